"""Language models: what they say, streamed or not, and a row of AIRequest for each HTTP request."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from functools import partial
from typing import Any, ClassVar

import httpx2

from automation import conf
from automation.clients.http import CODE, Deadline, Service, ServiceError, Sleep, TimedOut, timeouts, tls
from automation.errors import printable
from automation.models import AIRequest, AIRequestStatus, Job, PriceSource
from automation.prices import priced
from automation.transitions import finish_request, start_request
from observability import spend
from observability.http import AICall, Usage, instrument

SILENCE = 60.0  # seconds that a stream may say nothing
CUT_SHORT = {"length", "max_tokens"}  # reasons of an end
# What comes of reading another shape than the documented one.
SHAPE_ERRORS = (AttributeError, IndexError, KeyError, TypeError, ValueError, RecursionError)

Message = dict[str, str]  # role (user or assistant) and content
Watch = Callable[[str], None]


@dataclass(frozen=True)
class Completion:
    """What a model said; `whole` unless `max_tokens` cut it short."""

    text: str
    whole: bool


class LLM(Service):
    """A provider of models. Each HTTP request to it is a row of AIRequest before it is made, whatever comes of it."""

    provider: ClassVar[str]
    path: ClassVar[str]

    def __init__(self, url: str, headers: dict[str, str], sleep: Sleep) -> None:
        self._calls: list[AICall] = []
        client = httpx2.Client(base_url=url, headers=headers, verify=tls())
        super().__init__(instrument(client, on_ai_call=self._calls.append), conf.completion_timeout(), sleep)

    def complete(
        self,
        job: Job | None,
        model: str,
        messages: list[Message],
        *,
        system: str = "",
        max_tokens: int = 8192,
        stream: bool = True,
        watch: Watch | None = None,
    ) -> Completion:
        """Return what the model says; raises ServiceError, and BudgetExceeded where the request does not fit into one.

        `watch` is called with each piece of a stream as it comes, and with "" whenever anything comes; what it raises
        ends the request. An answer that broke off has cost money: whether to ask again is left to the step.
        """
        body = self._body(model, messages, system, max_tokens, stream)
        most = partial(self._most, model, body, max_tokens)

        def once() -> Completion:
            with self._recorded(start_request(job, self.provider, printable(model)[:200], most)):
                return self._stream(body, watch) if stream else self._whole(body)

        return self._repeat(once, lambda error: error.was_refused)

    def _most(self, model: str, body: dict[str, Any], max_tokens: int) -> Decimal | None:
        """Return what a request may cost, in USD: no token is shorter than a byte. None where no price is known.

        Some providers write to their cache unasked, and some prices of reasoning are higher than those of the rest.
        """
        read = len(json.dumps(body, ensure_ascii=False).encode())
        provider = spend.provider_at(str(self._client.base_url)) or self.provider
        dearest = Usage(read, max_tokens, cache_write_tokens=read, reasoning_tokens=max_tokens)
        usages = (Usage(read, max_tokens), dearest)
        costs = [priced(spend.price(usage, model, provider))["cost"] for usage in usages]
        return max((cost for cost in costs if cost is not None), default=None)

    def _whole(self, body: dict[str, Any]) -> Completion:
        with self._answer("complete", "POST", self.path, json=body, timeout=timeouts(self._timeout)) as answer:
            value = self._json("complete", *answer)
            with self._understanding(answer[0]):
                text, reason = self._read(value)
                return Completion("".join([text]), reason not in CUT_SHORT)

    def _stream(self, body: dict[str, Any], watch: Watch | None) -> Completion:
        pieces, reason = [], ""
        timeout = timeouts(min(SILENCE, self._timeout))
        with self._answer("complete", "POST", self.path, json=body, timeout=timeout) as (response, deadline):
            for text, ended in self._pieces(_Parts(response, deadline, watch)):
                pieces.append(text)
                reason = ended or reason
                if text and watch:
                    watch(text)
            if not reason:
                raise self._garbled("complete", response, "the answer broke off")
        return Completion("".join(pieces), reason not in CUT_SHORT)

    def _pieces(self, parts: "_Parts") -> Iterator[tuple[str, str]]:
        """Yield the text of each event, and the reason of the end where it tells that."""
        with self._understanding(parts.response):
            for event in httpx2.EventSource(parts):  # type: ignore[arg-type]  # it reads no more of a response
                if event.data == "[DONE]":
                    return
                text, reason = self._read_event(json.loads(event.data))
                yield "".join([text]), "".join([reason])  # of any other type it is a TypeError

    @contextmanager
    def _understanding(self, response: httpx2.Response) -> Iterator[None]:
        try:
            yield
        except Told as exc:
            code = str(exc) if CODE.fullmatch(str(exc)) else "unknown"
            raise self._garbled("complete", response, f"the answer ended in the error {code}") from None
        except SHAPE_ERRORS:
            raise self._garbled("complete", response, "the answer is not of the documented shape") from None

    @contextmanager
    def _recorded(self, row: AIRequest) -> Iterator[None]:
        """Save what the HTTP request within the block has cost, and why it failed when the block raises."""
        self._calls.clear()
        fault: BaseException | None = None
        try:
            yield
        except BaseException as exc:
            fault = exc
            raise
        finally:
            if self._calls:
                _save(row, self._calls[0], fault)
            else:
                error = _reason(fault) if fault else ""
                finish_request(
                    row, AIRequestStatus.ERROR, duration=None, error=error, price_source=PriceSource.NO_USAGE
                )

    def _body(self, model: str, messages: list[Message], system: str, max_tokens: int, stream: bool) -> dict[str, Any]:
        raise NotImplementedError

    def _read(self, answer: dict[str, Any]) -> tuple[str, str]:
        """Return the text of a whole answer and the reason of its end; another shape is one of SHAPE_ERRORS."""
        raise NotImplementedError

    def _read_event(self, event: dict[str, Any]) -> tuple[str, str]:
        """Return the same of one event; raises Told where it tells of an error."""
        raise NotImplementedError


def _save(row: AIRequest, call: AICall, fault: BaseException | None) -> None:
    """To the HTTP client an answer that we could not use, or not wait for, is a good one."""
    tokens = call.usage
    failed = AIRequestStatus.TIMEOUT if isinstance(fault, TimedOut) else AIRequestStatus.ERROR
    finish_request(
        row,
        failed if fault and call.status == AIRequestStatus.SUCCESS else AIRequestStatus(call.status),
        duration=call.duration,
        model=printable(call.model)[:200],
        error=_reason(fault) if fault else "",
        input_tokens=tokens.input_tokens or 0,
        output_tokens=tokens.output_tokens or 0,
        cached_input_tokens=tokens.cached_input_tokens or 0,
        cache_write_tokens=tokens.cache_write_tokens or 0,
        reasoning_tokens=tokens.reasoning_tokens or 0,
        **priced(call.price),
        provider=call.provider[:32],
        billed=call.usage.told() | {"terms": {name: printable(value) for name, value in call.terms.items()}},
        time_to_first_token=call.time_to_first_token,
        request_id=printable(call.request_id)[:128],
    )


def _reason(fault: BaseException) -> str:
    """Return why a request failed; of what a listener raised its class only, as it may quote the answer."""
    if isinstance(fault, ServiceError):
        return printable(fault.reason[:1].upper() + fault.reason[1:])
    return f"Ended before the answer was whole ({type(fault).__name__})"


class _Parts:
    """A streamed answer as it comes, within its time and a size; comments in it, which are no events, count as well."""

    def __init__(self, response: httpx2.Response, deadline: Deadline, watch: Watch | None) -> None:
        self.response, self.headers, self.request = response, response.headers, response.request
        self.deadline, self.watch = deadline, watch

    def iter_text(self) -> Iterator[str]:
        for part in self.deadline.within(self.response.iter_text()):
            if self.watch:
                self.watch("")
            yield part


class Told(Exception):
    """A stream says that it ends in an error; the message is the error's code."""
