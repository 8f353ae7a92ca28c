"""Streaming responses, watched until the server has sent the last byte, whichever way it sends them."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from functools import lru_cache, partial
from typing import Any, Protocol, cast
from weakref import finalize

from django.http import FileResponse, HttpRequest, StreamingHttpResponse

from .labels import CLIENT_CLOSED

# Turns of the event loop that Django takes to cancel a response whose client went away. An ASGI server drops what comes
# after that without a word, so a stream that never waits would be through before it is cancelled.
TURNS = 5


class Observer(Protocol):
    """Who is told what became of the stream."""

    method: str | None  # of the request, as it came

    def first_part(self) -> None:
        """The first bytes are about to be sent."""

    def broken(self, error: BaseException) -> None:
        """The stream raised; the server cuts the connection."""

    def finish(self, status: int, size: int | None) -> None:
        """It ended, after ``size`` bytes; the first call counts."""


def watch(request: HttpRequest, response: StreamingHttpResponse, observer: Observer) -> None:
    """Tell the observer when the response has been sent, or given up."""
    if getattr(response, "file_to_stream", None) is not None and "wsgi.file_wrapper" in request.META:
        closed = _FileWatch(cast(FileResponse, response), observer).closed
    else:
        closed = _watch_content(request, response, observer)
    cast(Any, response)._resource_closers.insert(0, closed)  # before the one that closes the file
    # A response that another middleware replaced is never closed.
    finalize(response, observer.finish, CLIENT_CLOSED, 0).atexit = False


def _watch_content(request: HttpRequest, response: StreamingHttpResponse, observer: Observer) -> Callable[[], None]:
    under_asgi = hasattr(request, "scope")
    length = response.headers.get("Content-Length", "")
    stream = _Watch(response.status_code, observer, headers_are_out=under_asgi)
    stream.length = int(length) if length.isdecimal() else None
    read: Any = stream.read_async if response.is_async else stream.read
    response.streaming_content = read(response.streaming_content)
    if response.is_async != under_asgi:
        response.__class__ = _converted(type(response))
        cast(Converted, response).observability_watch = stream
    return stream.nobody_read if observer.method != "HEAD" else partial(observer.finish, response.status_code, 0)


class _FileWatch:
    """A file that the server sends by itself, by the kernel where it can; wrapping it would prevent that."""

    def __init__(self, response: FileResponse, observer: Observer) -> None:
        self.status, self.observer = response.status_code, observer
        self.size = response.headers.get("Content-Length", "")
        self.file = cast(Any, response).file_to_stream
        self.begin = self._position()

    def closed(self) -> None:
        """The server is done; when it gave up, the error is still on its way, and the file stands where it stopped."""
        if sys.exc_info()[1] is None:
            self.observer.finish(self.status, int(self.size) if self.size.isdecimal() else None)
        else:
            self.observer.finish(CLIENT_CLOSED, max(0, self._position() - self.begin))

    def _position(self) -> int:
        try:
            return int(self.file.tell())
        except Exception:  # a file without places to stand at
            return 0


class _Watch:
    """Content that passes through here, part by part."""

    def __init__(self, status: int, observer: Observer, *, headers_are_out: bool) -> None:
        self.status, self.observer = status, observer
        self.headers_are_out = headers_are_out  # before the first part; a WSGI server waits with them
        self.length: int | None = None  # where the client knows it, and may leave when it has it all
        self.served = False  # by the response's own iteration, which is watched in place of its content
        self.begun = False
        self.sent = 0

    def nobody_read(self) -> None:
        """No more than a fallback: the response was closed before its content was read to its end."""
        self.observer.finish(CLIENT_CLOSED, self.sent)

    def read(self, content: Iterator[bytes]) -> Iterator[bytes]:
        """The content, watched unless the response's own iteration is."""
        yield from content if self.served else self.pass_on(lambda: content)

    async def read_async(self, content: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """The same, awaited."""
        async for part in content if self.served else self.pass_on_async(lambda: content):
            yield part

    def pass_on(self, begin: Callable[[], Iterator[bytes]]) -> Iterator[bytes]:
        """Each part; it is sent when the server comes back for the next one."""
        try:
            for part in begin():
                self._before(part)
                yield part
                self.sent += len(part)
        except BaseException as error:
            self._broken(error)
            raise
        self.observer.finish(self.status, self.sent)

    async def pass_on_async(self, begin: Callable[[], AsyncIterator[bytes]]) -> AsyncIterator[bytes]:
        """The same, awaited."""
        try:
            async for part in begin():
                if self._completes(part):
                    await _let_news_arrive()
                self._before(part)
                yield part
                self.sent += len(part)
            if not self._completes(b""):
                await _let_news_arrive()
        except BaseException as error:
            self._broken(error)
            raise
        self.observer.finish(self.status, self.sent)

    def _completes(self, part: bytes) -> bool:
        """Whether the client has all that it was promised with this part."""
        return self.length is not None and self.sent + len(part) >= self.length

    def _before(self, part: bytes) -> None:
        if part and not self.begun:
            self.begun = self.headers_are_out = True
            self.observer.first_part()

    def _broken(self, error: BaseException) -> None:
        if isinstance(error, GeneratorExit | asyncio.CancelledError):
            self.observer.finish(CLIENT_CLOSED, self.sent)
            return
        self.observer.broken(error)
        self.observer.finish(self.status if self.headers_are_out else 500, self.sent)


async def _let_news_arrive() -> None:
    """Be cancelled here, if the client went away during the parts before."""
    for _ in range(TURNS):
        await asyncio.sleep(0)


class Converted(StreamingHttpResponse):
    """A stream of the kind that its server cannot send: Django reads it to its end, and then sends what it read.

    The reading is not what counts then, but the sending. Mixed into the response's own class, since a server asks the
    response, and a test its ``streaming_content``, which stays of the kind that the view made.
    """

    observability_watch: _Watch

    def __iter__(self) -> Iterator[bytes]:
        self.observability_watch.served = True
        return self.observability_watch.pass_on(super().__iter__)

    def __aiter__(self) -> AsyncIterator[bytes]:
        self.observability_watch.served = True
        return self.observability_watch.pass_on_async(super().__aiter__)


@lru_cache(maxsize=64)
def _converted(kind: type[StreamingHttpResponse]) -> type[StreamingHttpResponse]:
    return type(kind.__name__, (Converted, kind), {"__module__": kind.__module__})
