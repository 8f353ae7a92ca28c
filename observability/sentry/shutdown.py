"""What is left to send when a process is told to end."""

from __future__ import annotations

import os
import signal
from threading import Thread, current_thread, main_thread
from types import FrameType

from .sdk import active

FLUSH_SECONDS = 2.0  # that the end of a process waits for what is not sent yet


def flush(seconds: float) -> None:
    """Wait until all is sent, at most so long: in another thread, since this one may hold a lock of the SDK's."""
    if sdk := active():
        thread = Thread(target=sdk.flush, kwargs={"timeout": seconds}, daemon=True)
        thread.start()
        thread.join(seconds)


def flush_at_sigterm() -> None:
    """Flush before SIGTERM ends the process; a handler that somebody has set stays as it is.

    What ends in another way, as by that of gunicorn or the task worker, is flushed at its exit by the SDK.
    """
    if current_thread() is not main_thread() or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        return

    def end(number: int, frame: FrameType | None) -> None:
        signal.signal(number, signal.SIG_DFL)  # a second signal does not wait
        flush(FLUSH_SECONDS)
        os.kill(os.getpid(), number)

    signal.signal(signal.SIGTERM, end)
