"""Async steps, for a thread that waits for them."""

import asyncio
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from contextlib import suppress
from typing import Any

from asgiref.sync import AsyncToSync, async_to_sync


def wait_for(function: Callable[..., Coroutine[Any, Any, Any]], *arguments: Any) -> Any:
    """Return what a coroutine function returns; what it asks the ORM for goes over this thread's connections.

    KeyboardInterrupt and SystemExit of this thread cancel the coroutine and wait for its end before they go on:
    `async_to_sync` alone would leave it behind, at work and without anybody who serves its calls of the ORM.
    """
    begun: Future[Any] = Future()
    over: Future[None] = Future()

    async def stoppable() -> Any:
        begun.set_result((asyncio.get_running_loop(), asyncio.current_task(), AsyncToSync.executors.current))
        try:
            return await function(*arguments)
        finally:
            over.set_result(None)

    try:
        return async_to_sync(stoppable)()
    except (KeyboardInterrupt, SystemExit):
        if not begun.cancel() and not over.done():  # once it is cancelled, nothing begins any more
            loop, task, this_thread = begun.result()
            with suppress(RuntimeError):  # the loop has ended this very moment
                loop.call_soon_threadsafe(task.cancel)
            this_thread.run_until_future(over)
        raise
