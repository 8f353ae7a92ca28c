"""The end of a server under ASGI, which Django does not hear of."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from .sentry.shutdown import FLUSH_SECONDS, flush

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Any, Any, Any], Awaitable[None]]


def flushed(application: Application) -> Application:
    """The same application, which sends what is left for Sentry when its server stops, by the protocol "lifespan"."""

    async def with_lifespan(scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] != "lifespan":
            await application(scope, receive, send)
            return
        while True:
            kind = (await receive())["type"]
            if kind == "lifespan.shutdown":
                await asyncio.to_thread(flush, FLUSH_SECONDS)
            await send({"type": f"{kind}.complete"})
            if kind == "lifespan.shutdown":
                return

    return with_lifespan
