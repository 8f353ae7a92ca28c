"""How clients of httpx and httpx2 are made to be measured."""

from __future__ import annotations

import sys
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator, Mapping
from functools import cache, partial
from types import ModuleType
from typing import TYPE_CHECKING, Any, TypeVar

from . import ai, notion, vercel
from .exchange import Exchange, safely

if TYPE_CHECKING:
    from httpx2 import Request, Response

C = TypeVar("C")
Service = Callable[["Request", ModuleType], Exchange | None]
Begin = Callable[["Request"], Exchange | None]


def instrument(
    client: C,
    *,
    notion_url: str = notion.URL,
    vercel_url: str = vercel.URL,
    on_ai_call: Callable[[ai.AICall], None] = ai.announce,
    on_deployment: Callable[[vercel.Deployment], None] = vercel.see,
) -> C:
    """Measure every request of a client to Notion, Vercel or an AI model, and return the client.

    Takes a ``Client`` or ``AsyncClient`` of httpx or httpx2; anything else is a TypeError. AI models are known by the
    paths and headers of their APIs, wherever they are. ``on_ai_call`` is called at the end of each request to one, in
    the event loop where the client is async, in place of sending ``ai_request_finished``: for a project that keeps
    these requests in rows, which are counted themselves. ``on_deployment`` is called likewise with a ``Deployment`` for
    each answer that shows one, in place of counting its end. What is measured already stays as it is.
    """
    library = _library(client)
    services: dict[str, Service] = {
        notion_url: notion.begin,
        vercel_url: partial(vercel.begin, tell=on_deployment),
    }
    prefixes = {f"{str(library.URL(url)).rstrip('/')}/": begin for url, begin in services.items()}
    begin = partial(_begin, library=library, prefixes=prefixes, on_ai_call=on_ai_call)
    is_async = isinstance(client, library.AsyncClient)
    transports: Any = (client._transport, *client._mounts.values())  # type: ignore[attr-defined]
    for transport in transports:
        if transport is not None:
            _measure(transport, begin, library, is_async)
    return client


def _library(client: object) -> ModuleType:
    for base in type(client).__mro__:
        if base.__module__ in ("httpx", "httpx2") and base.__name__ in ("Client", "AsyncClient"):
            return sys.modules[base.__module__]
    raise TypeError(f"instrument() takes a client of httpx or httpx2, not {type(client).__name__}.")


@safely
def _begin(
    request: Request, library: ModuleType, prefixes: Mapping[str, Service], on_ai_call: Callable[[ai.AICall], None]
) -> Exchange | None:
    """The exchange that begins with a request, None where the service is none of ours."""
    address = str(request.url)
    for prefix, begin in prefixes.items():
        if address.startswith(prefix):
            return begin(request, library)
    return ai.begin(request, library, on_ai_call)


def _measure(transport: Any, begin: Begin, library: ModuleType, is_async: bool) -> None:
    """Below the client, so that redirects, retries and errors are seen one by one."""
    name = "handle_async_request" if is_async else "handle_request"
    own = vars(transport).get(name)
    if not hasattr(own, "is_measured"):
        handle = own or partial(_inherited, transport, name)
        measured = (_async if is_async else _sync)(handle, begin, _stream(library, is_async))
        measured.is_measured = True
        setattr(transport, name, measured)


def _inherited(transport: Any, name: str, request: Request) -> Any:
    """Found anew for each request: libraries for tests replace the method of the class."""
    return getattr(type(transport), name)(transport, request)


def _sync(handle: Callable[[Request], Response], begin: Begin, watch: Any) -> Any:
    def handle_request(request: Request) -> Response:
        if (exchange := begin(request)) is None:
            return handle(request)
        with exchange:
            response = handle(request)
        exchange.answered(response, watch)
        return response

    return handle_request


def _async(handle: Callable[[Request], Awaitable[Response]], begin: Begin, watch: Any) -> Any:
    async def handle_async_request(request: Request) -> Response:
        if (exchange := begin(request)) is None:
            return await handle(request)
        with exchange:
            response = await handle(request)
        exchange.answered(response, watch)
        return response

    return handle_async_request


class _Stream:
    """The body of an answer on its way to the host."""

    def __init__(self, stream: Any, exchange: Exchange) -> None:
        self._stream, self._exchange = stream, exchange

    def __del__(self) -> None:
        """Some are neither read nor closed."""
        self._exchange.end()


class _SyncStream(_Stream):
    def __iter__(self) -> Iterator[bytes]:
        with self._exchange:
            for chunk in self._stream:
                self._exchange.feed(chunk)
                yield chunk
        self._exchange.end(whole=True)

    def close(self) -> None:
        with self._exchange:
            self._stream.close()
        self._exchange.end()


class _AsyncStream(_Stream):
    async def __aiter__(self) -> AsyncIterator[bytes]:
        stream = self._stream.__aiter__()
        try:
            with self._exchange:
                async for chunk in stream:
                    self._exchange.feed(chunk)
                    yield chunk
        finally:
            if isinstance(stream, AsyncGenerator):
                await stream.aclose()  # here, and not in whatever task collects it later
        self._exchange.end(whole=True)

    async def aclose(self) -> None:
        with self._exchange:
            await self._stream.aclose()
        self._exchange.end()


@cache
def _stream(library: ModuleType, is_async: bool) -> type[Any]:
    """Both libraries take only streams of their own kind."""
    if is_async:
        return type("WatchedStream", (_AsyncStream, library.AsyncByteStream), {})
    return type("WatchedStream", (_SyncStream, library.SyncByteStream), {})
