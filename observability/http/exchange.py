"""One HTTP request and what comes back of it, seen as it passes by: nothing is changed or held back."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from functools import wraps
from http import HTTPStatus
from time import perf_counter
from types import ModuleType, TracebackType
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from observability.metrics import drop

from .readers import Reader

if TYPE_CHECKING:
    from httpx2 import Request, Response

P = ParamSpec("P")
R = TypeVar("R")


def safely(function: Callable[P, R]) -> Callable[P, R | None]:
    """What goes wrong here is counted and logged, and never reaches the host."""

    @wraps(function)
    def safe(*args: P.args, **kwargs: P.kwargs) -> R | None:
        try:
            return function(*args, **kwargs)
        except Exception as error:
            with suppress(Exception):
                drop("observability.http", "error", error=error)
            return None

    return safe


class Exchange:
    """Ends once: with the last byte, an error, or when the host leaves the rest unread.

    A subclass says what to read of the body, and reports.
    """

    def __init__(self, request: Request, library: ModuleType) -> None:
        self.request = request
        self.library = library  # httpx or httpx2, whichever the client is of
        self.code: int | None = None  # of the answer; None while there is none
        self.headers: Any = {}
        self.error: BaseException | None = None
        self.whole = False  # whether the body came to its end
        self.duration = 0.0
        self.reader: Reader | None = None
        self._began = perf_counter()
        self._over = False

    def __enter__(self) -> None:
        """Within the block runs code of the client, whose exceptions end the exchange."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            is_the_hosts_will = self.code is not None and not isinstance(error, Exception)  # closed, cancelled
            self.end(None if is_the_hosts_will else error)

    @property
    def elapsed(self) -> float:
        """Seconds since the request was sent."""
        return perf_counter() - self._began

    @property
    def is_answered(self) -> bool:
        """Whether there is an answer, and no refusal or redirect."""
        return self.code is not None and 200 <= self.code < 300

    @property
    def status(self) -> str:
        """success, error, timeout or rate_limited. A host that reads no further is no error of the service."""
        if isinstance(self.error, (self.library.TimeoutException, TimeoutError)):
            return "timeout"
        if self.error is not None or self.code is None:
            return "error"
        if self.code == HTTPStatus.TOO_MANY_REQUESTS:
            return "rate_limited"
        return "success" if self.code < HTTPStatus.BAD_REQUEST else "error"

    @safely
    def answered(self, response: Response, watch: Callable[[Any, Exchange], Any]) -> None:
        """The head of the answer is here; ``watch`` makes the stream that its body passes through."""
        self.code, self.headers = response.status_code, response.headers
        at_hand = response.is_closed  # from a stand-in without a network
        encoding = response.headers.get("content-encoding", "identity")
        self.reader = self.choose_reader("" if at_hand or encoding == "identity" else encoding)
        if at_hand:
            self.feed(response.content)
            self.end(whole=True)
        else:
            response.stream = watch(response.stream, self)

    @safely
    def feed(self, chunk: bytes) -> None:
        """A part of the body passes by."""
        if self.reader:
            self.reader.feed(chunk)

    @safely
    def end(self, error: BaseException | None = None, *, whole: bool = False) -> None:
        """It is over; only the first call counts."""
        if self._over:
            return
        self._over, self.error, self.whole, self.duration = True, error, whole, self.elapsed
        if self.reader:
            safely(self.reader.end)(whole)
        self.report()

    def choose_reader(self, encoding: str) -> Reader | None:
        """What the body is to be read with, if at all."""
        return None

    def report(self) -> None:
        raise NotImplementedError
