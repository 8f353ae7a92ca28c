"""Requests to AI models, in the APIs of OpenAI, which many others speak, Anthropic, Gemini and Bedrock."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from types import ModuleType
from typing import TYPE_CHECKING, Any

from observability import sentry, spend
from observability.metrics import drop_refused
from observability.signals import ai_request_finished
from observability.spend import NOT_BILLED, Price, Usage

from . import ai_spans, readers
from .ai_apis import Spoken, spoken_by
from .answers import Answer
from .exchange import Exchange

if TYPE_CHECKING:
    from httpx2 import Request

UNKNOWN_MODEL = "unknown"
UNREADABLE = "application/vnd.amazon.eventstream"
REQUEST_IDS = ("x-request-id", "request-id", "x-amzn-requestid")
TOLD = ("input_tokens", "output_tokens", "cached_input_tokens", "cache_write_tokens", "reasoning_tokens")


@dataclass(frozen=True)
class AICall:
    """One HTTP request to a model. What it did not tell is None; times are in seconds, the cost is in USD."""

    api: str  # openai, embeddings, anthropic, gemini or bedrock
    provider: str  # who answered, by the id of genai-prices; where that is unknown, whose API it is
    model: str
    status: str  # success, error, timeout or rate_limited
    usage: Usage
    terms: Mapping[str, str]  # on which the price depends, as the tier of the service
    price: Price
    began_at: datetime
    duration: float
    time_to_first_token: float | None  # of a stream
    request_id: str  # the service's, "" where it gave none
    http_status: int | None

    @property
    def cost(self) -> Decimal | None:
        return self.price.cost


def announce(call: AICall) -> None:
    """Send ``ai_request_finished``, whose receivers record it."""
    about = {"model": call.model, "status": call.status, "cost": call.cost, "duration": call.duration}
    tokens = {kind: getattr(call.usage, kind) for kind in TOLD}
    ai_request_finished.send_robust(
        AICall, instance=call, **about, **tokens, time_to_first_token=call.time_to_first_token
    )


def begin(request: Request, library: ModuleType, tell: Callable[[AICall], None]) -> Exchange | None:
    spoken = spoken_by(request)
    return AIExchange(request, library, spoken, tell) if spoken else None


class AIExchange(Exchange):
    """Tokens, model and times out of the answer as far as it came."""

    def __init__(self, request: Request, library: ModuleType, spoken: Spoken, tell: Callable[[AICall], None]) -> None:
        super().__init__(request, library)
        self.spoken, self.tell = spoken, tell
        self.answer, self.is_stream = Answer(), False
        self.first_token: float | None = None
        self.began_at = datetime.now(UTC)
        spend.prepare()

    def choose_reader(self, encoding: str) -> readers.Reader | None:
        """Only a good answer tells of tokens; a compressed one is read at its end, when it is too late for times."""
        if not self.is_answered or str(self.headers.get("content-type", "")).startswith(UNREADABLE):
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
        provider = spend.provider_at(self._address()) or self.spoken.provider
        usage = spend.read_usage(self.spoken.api, self.answer.usage, provider)
        drop_refused(usage)
        model, terms = self._model(), self._terms()
        call = AICall(
            api=self.spoken.api,
            provider=provider,
            model=model,
            status=self._outcome(),
            usage=usage,
            terms=terms,
            price=self._price(usage, model, provider, terms),
            began_at=self.began_at,
            duration=self.duration,
            time_to_first_token=self.first_token,
            request_id=next((id_ for name in REQUEST_IDS if (id_ := self.headers.get(name))), ""),
            http_status=self.code,
        )
        if sentry.is_on():
            ai_spans.show(call, self.spoken.operation)
        self.tell(call)

    def _outcome(self) -> str:
        """An answer that began well may end in an error, or in the middle."""
        if self.status != "success":
            return self.status
        is_cut = self.is_stream and self.whole and not self.answer.has_ended
        return self.answer.failure or ("error" if is_cut else "success")

    def _price(self, usage: Usage, model: str, provider: str, terms: Mapping[str, str]) -> Price:
        """What was refused, or never sent, cost nothing; what was broken off unread may have cost anything."""
        errors = self.library
        never_sent = isinstance(self.error, (errors.ConnectError, errors.ConnectTimeout, errors.PoolTimeout))
        if never_sent or (self.code is not None and not self.is_answered):
            return NOT_BILLED
        return spend.price(usage, model, provider, terms=terms, at=self.began_at)

    def _address(self) -> str:
        url = self.request.url
        return f"{url.scheme}://{url.host}{url.path}"

    def _terms(self) -> dict[str, str]:
        location = {"location": self.spoken.location} if self.spoken.location else {}
        return self.answer.terms | location

    def _model(self) -> str:
        spoken = self.spoken
        return (
            (spoken.is_named_by_path and spoken.model) or self.answer.model or spoken.model or self._requested_model()
        )

    def _requested_model(self) -> str:
        try:
            asked = readers.parse(self.request.content[: readers.MAX_BYTES])
        except self.library.RequestNotRead:  # the body was a stream
            asked = None
        model = asked.get("model") if isinstance(asked, dict) else None
        return model if isinstance(model, str) and model else UNKNOWN_MODEL
