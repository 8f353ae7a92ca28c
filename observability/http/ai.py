"""Requests to AI models, in the API of OpenAI, which many others speak, and in that of Anthropic."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from decimal import Decimal
from types import ModuleType
from typing import TYPE_CHECKING, Any

from observability import sentry
from observability.signals import ai_request_finished

from . import ai_spans, prices, readers, usage
from .answers import Answer
from .exchange import Exchange
from .usage import Usage

if TYPE_CHECKING:
    from httpx2 import Request

OPENAI, ANTHROPIC = "openai", "anthropic"
READ_USAGE = {OPENAI: usage.of_openai, ANTHROPIC: usage.of_anthropic}
# Ends of paths, at whatever address: OpenAI's own, Azure's, those of gateways and of models that run in the house.
OPENAI_PATHS = ("/completions", "/embeddings", "/v1/responses", "/openai/responses")
UNKNOWN_MODEL = "unknown"


@dataclass(frozen=True)
class AICall:
    """One HTTP request to a model. What it did not tell is None; times are in seconds, the cost is in USD."""

    api: str  # openai or anthropic
    model: str
    status: str  # success, error, timeout or rate_limited
    usage: Usage
    cost: Decimal | None
    duration: float
    time_to_first_token: float | None  # of a stream
    request_id: str  # the service's, "" where it gave none
    http_status: int | None


def announce(call: AICall) -> None:
    """Send ``ai_request_finished``, whose receivers record it."""
    about = {"model": call.model, "status": call.status, "cost": call.cost, "duration": call.duration}
    tokens = asdict(call.usage)
    ai_request_finished.send_robust(
        AICall, instance=call, **about, **tokens, time_to_first_token=call.time_to_first_token
    )


def begin(request: Request, library: ModuleType, tell: Callable[[AICall], None]) -> Exchange | None:
    api = api_of(request)
    return AIExchange(request, library, api, tell) if api else None


def api_of(request: Request) -> str | None:
    """Which API a request speaks, if any."""
    if request.method != "POST":
        return None
    path = request.url.path
    if path.endswith(OPENAI_PATHS):
        return OPENAI
    return ANTHROPIC if path.endswith("/messages") and "anthropic-version" in request.headers else None


class AIExchange(Exchange):
    """Tokens, model and times out of the answer as far as it came."""

    def __init__(self, request: Request, library: ModuleType, api: str, tell: Callable[[AICall], None]) -> None:
        super().__init__(request, library)
        self.api, self.tell = api, tell
        self.answer, self.is_stream = Answer(), False
        self.first_token: float | None = None
        prices.prepare()

    def choose_reader(self, encoding: str) -> readers.Reader | None:
        """Only a good answer tells of tokens; a compressed one is read at its end, when it is too late for times."""
        if not self.is_answered:
            return None
        self.is_stream = readers.is_stream(self.headers)
        take_event = self.answer.take_event if encoding else self._take_event
        return readers.choose(
            self.headers, encoding, self.library, take_event if self.is_stream else self.answer.take_body
        )

    def _take_event(self, value: Any) -> None:
        self.answer.take_event(value)
        if self.answer.has_begun and self.first_token is None:
            self.first_token = self.elapsed

    def report(self) -> None:
        tokens = READ_USAGE[self.api](self.answer.usage)
        model = self.answer.model or self._requested_model()
        call = AICall(
            api=self.api,
            model=model,
            status=self._outcome(),
            usage=tokens,
            cost=self._cost(tokens, model),
            duration=self.duration,
            time_to_first_token=self.first_token,
            request_id=self.headers.get("x-request-id") or self.headers.get("request-id") or "",
            http_status=self.code,
        )
        if sentry.is_on():
            ai_spans.show(call, "embeddings" if self.request.url.path.endswith("/embeddings") else "chat")
        self.tell(call)

    def _outcome(self) -> str:
        """An answer that began well may end in an error, or in the middle."""
        if self.status != "success":
            return self.status
        is_cut = self.is_stream and self.whole and not self.answer.has_ended
        return self.answer.failure or ("error" if is_cut else "success")

    def _cost(self, tokens: Usage, model: str) -> Decimal | None:
        """What was refused, or never sent, cost nothing; what was broken off unread may have cost anything."""
        errors = self.library
        never_sent = isinstance(self.error, (errors.ConnectError, errors.ConnectTimeout, errors.PoolTimeout))
        if never_sent or (self.code is not None and not self.is_answered):
            return Decimal(0)
        if self.api == ANTHROPIC and tokens.output_tokens is None:  # a stream tells them at its end
            return None
        url = self.request.url
        return prices.cost(tokens, model, f"{url.scheme}://{url.host}{url.path}", self.api, self.answer.terms)

    def _requested_model(self) -> str:
        try:
            asked = readers.parse(self.request.content[: readers.MAX_BYTES])
        except self.library.RequestNotRead:  # the body was a stream
            asked = None
        model = asked.get("model") if isinstance(asked, dict) else None
        return model if isinstance(model, str) and model else UNKNOWN_MODEL
