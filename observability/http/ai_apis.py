"""Which API of AI models a request speaks: known by its path, at whatever address."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from observability.spend import ANTHROPIC, BEDROCK, EMBEDDINGS, GEMINI, OPENAI

if TYPE_CHECKING:
    from httpx2 import Request

# Whose prices hold at an address that nobody knows: a gateway, a proxy.
PROVIDERS = {OPENAI: "openai", EMBEDDINGS: "openai", ANTHROPIC: "anthropic", GEMINI: "google", BEDROCK: "aws"}


@dataclass(frozen=True)
class Spoken:
    """What a request's path tells."""

    api: str
    model: str = ""  # "" where the body names it
    location: str = ""  # the region of Google's cloud
    is_named_by_path: bool = False  # also where the answer has another name: that has no region

    @property
    def provider(self) -> str:
        return PROVIDERS[self.api]

    @property
    def operation(self) -> str:
        return EMBEDDINGS if self.api == EMBEDDINGS else "chat"


def _has_version(request: Request) -> bool:
    return "anthropic-version" in request.headers


# Ends of paths; OpenAI's are those of Azure, gateways and models in the house as well.
PATHS: tuple[tuple[str, str, Callable[[Request], bool] | None], ...] = (
    (r"/completions|/v1/responses|/openai/responses", OPENAI, None),
    (r"/embeddings", EMBEDDINGS, None),
    (r"/messages", ANTHROPIC, _has_version),
    (r"/publishers/anthropic/models/(?P<model>[^/:]+):(?:streamR|r)awPredict", ANTHROPIC, None),
    (r"/models/(?P<model>[^/:]+):(?:generateContent|streamGenerateContent)", GEMINI, None),
    (r"/model/(?P<model>[^?]+)/(?:converse|invoke)(?:-stream|-with-response-stream)?", BEDROCK, None),
)
ENDS = tuple((re.compile(f"(?:{end})$"), api, applies) for end, api, applies in PATHS)
LOCATION = re.compile(r"/locations/([^/]+)/")


def spoken_by(request: Request) -> Spoken | None:
    """None where a request speaks none of them."""
    if request.method != "POST":
        return None
    path = request.url.path
    for end, api, applies in ENDS:
        if (found := end.search(path)) and (applies is None or applies(request)):
            model = found.groupdict().get("model") or ""
            location = LOCATION.search(path)
            return Spoken(api, _name(model), location[1] if location else "", _has_region(api, model))
    return None


def _name(model: str) -> str:
    """Without what stands before it in an ARN: account and region."""
    return model.rpartition("/")[2]


def _has_region(api: str, model: str) -> bool:
    """Bedrock's ids tell the region that is paid for, other than those that a customer made."""
    return api == BEDROCK and "application-inference-profile" not in model
