"""Streaming responses, watched until the server has sent the last byte, whichever way it sends them."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Iterator
from functools import lru_cache
from typing import Any, Protocol, cast

from django.http import FileResponse, HttpRequest, StreamingHttpResponse

from .labels import CLIENT_CLOSED

# Turns of the event loop that Django takes to cancel a response whose client went away. An ASGI server drops what comes
# after that without a word, so a stream that never waits would be through before it is cancelled.
TURNS = 5


class Observer(Protocol):
    """Who is told what became of the stream."""

    def first_part(self) -> None:
        """The first bytes are about to be sent."""

    def broken(self, error: BaseException) -> None:
        """The stream raised; the server cuts the connection."""

    def finish(self, status: int, size: int | None) -> None:
        """It ended, after ``size`` bytes; the first call counts."""


def watch(request: HttpRequest, response: StreamingHttpResponse, observer: Observer) -> None:
    """Tell the observer when the response has been sent, or given up."""
    if getattr(response, "file_to_stream", None) is not None and "wsgi.file_wrapper" in request.META:
        closer = _FileWatch(cast(FileResponse, response), observer).closed
    else:
        stream = _Watch(response, observer)
        stream.begin(under_asgi=hasattr(request, "scope"))
        closer = stream.closed
    cast(Any, response)._resource_closers.insert(0, closer)  # before the one that closes the file


class _FileWatch:
    """A file that the server sends by itself, by the kernel where it can; wrapping it would prevent that."""

    def __init__(self, response: FileResponse, observer: Observer) -> None:
        self.response, self.observer = response, observer
        self.file = cast(Any, response).file_to_stream
        self.begin = self._position()

    def closed(self) -> None:
        """The server is done; when it gave up, the error is still on its way, and the file stands where it stopped."""
        if sys.exc_info()[1] is None:
            size = self.response.headers.get("Content-Length", "")
            self.observer.finish(self.response.status_code, int(size) if size.isdecimal() else None)
        else:
            self.observer.finish(CLIENT_CLOSED, max(0, self._position() - self.begin))

    def _position(self) -> int:
        try:
            return int(self.file.tell())
        except Exception:  # a file without places to stand at
            return 0


class _Watch:
    """Content that passes through here, part by part."""

    def __init__(self, response: StreamingHttpResponse, observer: Observer) -> None:
        self.response, self.observer = response, observer
        self.status = response.status_code
        self.content: Any = response.streaming_content
        self.sent = 0

    def begin(self, *, under_asgi: bool) -> None:
        """Put itself between the content and whoever reads it."""
        response = self.response
        is_async = response.is_async
        pass_on: Any = self.pass_on_async if is_async else self.pass_on
        response.streaming_content = pass_on(self.content)
        if is_async != under_asgi:
            response.__class__ = _converted(type(response))
            cast(Converted, response).observability_watch = self

    def closed(self) -> None:
        """No more than a fallback: nobody has read the content to its end."""
        self.observer.finish(CLIENT_CLOSED, self.sent)

    def pass_on(self, content: Iterator[bytes]) -> Iterator[bytes]:
        """Each part; it is sent when the server comes back for the next one."""
        try:
            for part in content:
                self._before()
                yield part
                self.sent += len(part)
        except BaseException as error:
            self._broken(error)
            raise
        self.observer.finish(self.status, self.sent)

    async def pass_on_async(self, content: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """The same, awaited."""
        try:
            async for part in content:
                self._before()
                yield part
                self.sent += len(part)
            for _ in range(TURNS):
                await asyncio.sleep(0)
        except BaseException as error:
            self._broken(error)
            raise
        self.observer.finish(self.status, self.sent)

    def _before(self) -> None:
        if not self.sent:
            self.observer.first_part()

    def _broken(self, error: BaseException) -> None:
        gone = isinstance(error, GeneratorExit | asyncio.CancelledError)
        if not gone:
            self.observer.broken(error)
        self.observer.finish(CLIENT_CLOSED if gone else self.status, self.sent)


class Converted(StreamingHttpResponse):
    """A stream of the kind that its server cannot send: Django reads it to its end, and then sends what it read.

    The reading is not what counts then, but the sending. Mixed into the response's own class, since a server asks the
    response, and a test its ``streaming_content``, which stays of the kind that the view made.
    """

    observability_watch: _Watch

    def __iter__(self) -> Iterator[bytes]:
        self.streaming_content = self.observability_watch.content
        return self.observability_watch.pass_on(super().__iter__())

    def __aiter__(self) -> AsyncIterator[bytes]:
        self.streaming_content = self.observability_watch.content
        return self.observability_watch.pass_on_async(super().__aiter__())


@lru_cache(maxsize=64)
def _converted(kind: type[StreamingHttpResponse]) -> type[StreamingHttpResponse]:
    return type(kind.__name__, (Converted, kind), {"__module__": kind.__module__})
