"""What the clients have in common: one call at a time, its time, its errors, and when it is made again."""

import json
import re
import ssl
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import cache
from http import HTTPStatus
from typing import Any, Self, TypeVar

import httpx2

from automation.errors import Failure
from automation.retries import pause

TRIES = 3  # of one call
BACKOFF = 0.5  # seconds before the second try, twice that before the third
MAX_WAIT = 30.0  # seconds between two tries; a service that asks for more is left to the step's own retries
CONNECT_TIMEOUT = 5.0  # seconds
MAX_BODY = 20_000_000  # bytes of an answer
MAX_MESSAGE = 300  # characters of what a service says about a request that it does not take

NEVER_SENT = (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout)
PASSING = {HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.CONFLICT, HTTPStatus.TOO_MANY_REQUESTS}  # and all from 500
OUR_MISTAKE = {HTTPStatus.BAD_REQUEST, HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT, HTTPStatus.UNPROCESSABLE_ENTITY}
REQUEST_IDS = ("x-notion-request-id", "x-vercel-id", "x-request-id", "request-id")
CODE = re.compile(r"[\w.-]{1,60}")  # of an error

T = TypeVar("T")
Part = TypeVar("Part", str, bytes)
Sleep = Callable[[float], None]


class ServiceError(Failure):
    """A call that failed: which one, with which status and code, under which id of the service's. Never a key.

    `retriable`: it may pass. `without_effect`: it surely did nothing, and may be made again whatever it does.
    """

    def __init__(
        self,
        call: str,
        reason: str,
        *,
        status: int | None = None,
        request_id: str = "",
        retriable: bool = False,
        retry_after: float | None = None,
        without_effect: bool = False,
    ) -> None:
        under = f" (request {request_id})" if request_id else ""
        super().__init__(f"{call} failed: {reason}{under}", retriable=retriable, retry_after=retry_after)
        self.call = call
        self.reason = reason
        self.status = status
        self.request_id = request_id
        self.without_effect = without_effect

    @property
    def was_refused(self) -> bool:
        """Whether the service said no, or was not even reached: there is no answer that may have cost something."""
        return self.without_effect or (self.status is not None and self.status >= HTTPStatus.BAD_REQUEST)


class TimedOut(ServiceError):
    """The answer, or the rest of it, did not come in time."""


class Service:
    """One service. Its client follows no redirect: the key goes to the address of the settings only."""

    name = ""

    def __init__(self, client: httpx2.Client, timeout: float, sleep: Sleep = time.sleep) -> None:
        """`timeout`: the seconds that one try may take, with its whole answer; `sleep`: how to wait for the next."""
        self._client = client
        self._timeout = timeout
        self._sleep = sleep

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._client.close()

    def _call(self, operation: str, method: str, path: str, *, repeatable: bool = True, **options: Any) -> Any:
        """Return the JSON object of the answer; raises ServiceError.

        What is not `repeatable` is made again only after an error without effect, here and by the step.
        """

        def once() -> Any:
            try:
                with self._answer(operation, method, path, **options) as (response, deadline):
                    return self._json(operation, response, deadline)
            except ServiceError as error:
                error.retriable = error.retriable and (repeatable or error.without_effect)
                raise

        return self._repeat(once)

    def _repeat(self, once: Callable[[], T], may: Callable[["ServiceError"], bool] = lambda error: True) -> T:
        """Return what `once` returns, in the end; `may` says after which retriable errors to call it again."""
        tried = 1
        while True:
            try:
                return once()
            except ServiceError as error:
                wait = pause(error, tried, tries=TRIES, first=BACKOFF, longest=MAX_WAIT) if may(error) else None
                if wait is None:
                    raise
            self._sleep(wait)
            tried += 1

    @contextmanager
    def _answer(
        self, operation: str, method: str, path: str, **options: Any
    ) -> Iterator[tuple[httpx2.Response, "Deadline"]]:
        """Yield a good answer, whose body is still to come, and the end of its time; errors are ServiceErrors."""
        call, deadline = f"{self.name} {operation}", Deadline(self._timeout)
        # None of the causes is chained: some quote the headers, and with them the key.
        try:
            with self._client.stream(method, path, **options) as response:
                if not response.is_success:
                    raise self._refusal(operation, response, deadline)
                yield response, deadline
        except NEVER_SENT as exc:
            reason = f"no connection ({type(exc).__name__})"
            raise ServiceError(call, reason, retriable=True, without_effect=True) from None
        except (httpx2.TimeoutException, TimeoutError) as exc:
            raise TimedOut(call, f"it took too long ({type(exc).__name__})", retriable=True) from None
        except (httpx2.TransportError, httpx2.DecodingError) as exc:
            raise ServiceError(call, f"the answer broke off ({type(exc).__name__})", retriable=True) from None

    def _refusal(self, operation: str, response: httpx2.Response, deadline: "Deadline") -> ServiceError:
        status = response.status_code
        try:
            body = json.loads(deadline.read(response))
        except (httpx2.HTTPError, TimeoutError, ValueError, RecursionError):
            body = None
        return ServiceError(
            f"{self.name} {operation}",
            " ".join(filter(None, (f"HTTP {status}", _code(body), _message(status, body)))),
            status=status,
            request_id=_request_id(response),
            retriable=status in PASSING or status >= HTTPStatus.INTERNAL_SERVER_ERROR,
            retry_after=_retry_after(response.headers.get("retry-after", "")),
            without_effect=status == HTTPStatus.TOO_MANY_REQUESTS,
        )

    def _json(self, operation: str, response: httpx2.Response, deadline: "Deadline") -> dict[str, Any]:
        try:
            value = json.loads(deadline.read(response))
        except (ValueError, RecursionError):
            raise self._garbled(operation, response, "the answer is no JSON, or too long") from None
        if not isinstance(value, dict):
            raise self._garbled(operation, response, "the answer is no JSON object")
        return value

    def _garbled(self, operation: str, response: httpx2.Response, reason: str) -> ServiceError:
        """An answer that came and is of no use; another one may be."""
        return ServiceError(
            f"{self.name} {operation}",
            reason,
            status=response.status_code,
            request_id=_request_id(response),
            retriable=True,
        )


class Deadline:
    """The end of the time that an answer has."""

    def __init__(self, seconds: float) -> None:
        self.end = time.monotonic() + seconds

    def check(self) -> None:
        """Raise TimeoutError when it is past."""
        if time.monotonic() > self.end:
            raise TimeoutError

    def read(self, response: httpx2.Response) -> bytes:
        """Return the body; one that is too long is a ValueError."""
        return b"".join(self.within(response.iter_bytes()))

    def within(self, parts: Iterable[Part]) -> Iterator[Part]:
        """Yield the parts of a body as they come, none too late and none too many."""
        size = 0
        for part in parts:
            self.check()
            size += len(part)
            if size > MAX_BODY:
                raise ValueError("too long")
            yield part


@cache
def tls() -> ssl.SSLContext:
    """Return what every client takes as `verify`: it takes longer to make than most calls."""
    return httpx2.create_ssl_context()


def timeouts(read: float) -> httpx2.Timeout:
    """Return time-outs with `read` as the longest silence, in seconds."""
    return httpx2.Timeout(read, connect=min(read, CONNECT_TIMEOUT))


def _retry_after(text: str) -> float | None:
    """Return the seconds that a Retry-After of either form asks for, None for what is none."""
    try:
        seconds = float(text)
    except ValueError:
        seconds = _until(text)
    return max(0.0, seconds) if seconds < float("inf") else None


def _until(text: str) -> float:
    try:
        moment = parsedate_to_datetime(text)
        return (moment.replace(tzinfo=moment.tzinfo or UTC) - datetime.now(UTC)).total_seconds()
    except (ValueError, OverflowError):
        return float("inf")


def _request_id(response: httpx2.Response) -> str:
    found = next((response.headers[name] for name in REQUEST_IDS if name in response.headers), "")
    return found if re.fullmatch(r"[\w:.-]{1,128}", found) else ""


def _error(body: Any) -> dict[str, Any]:
    """Return what an answer says of its error: Notion says it at the top, the others within."""
    error = body.get("error", body) if isinstance(body, dict) else {}
    return error if isinstance(error, dict) else {}


def _code(body: Any) -> str:
    codes = [_error(body).get(name) for name in ("code", "type")]
    return next((code for code in codes if isinstance(code, str) and CODE.fullmatch(code)), "")


def _message(status: int, body: Any) -> str:
    """Return the service's sentence about our mistake; about a wrong key it might quote that."""
    text = _error(body).get("message")
    return f"({text[:MAX_MESSAGE]})" if status in OUR_MISTAKE and isinstance(text, str) else ""
