"""The database may be away for a while: what a worker has to write then is written when it is back."""

import time
from collections.abc import Callable
from typing import TypeVar

from django.db import InterfaceError, OperationalError, connection

from observability.logs import warn

T = TypeVar("T")

AWAY = (OperationalError, InterfaceError)
PATIENCE = 300.0  # seconds
PAUSE = 0.5  # seconds between two tries


def outlast(write: Callable[[], T], written: Callable[[], T | None] = lambda: None) -> T:
    """Return what `write` returns; while the database cannot be reached, repeat it, each time on a new connection.

    For PATIENCE seconds, and not within a transaction, which ends with its connection. A connection may be lost between
    a commit and the answer that tells of it: a write that must not be made twice comes with `written`, which is asked
    before each repetition. It returns what `write` would have, when the row shows that this is done, and else None.
    """

    def again() -> T:
        done = written()
        return write() if done is None else done

    act, deadline = write, time.monotonic() + PATIENCE
    while True:
        try:
            return act()
        except AWAY as exc:
            if connection.in_atomic_block or time.monotonic() > deadline:
                raise
            tell(exc)
        connection.close()
        time.sleep(PAUSE)
        act = again


def tell(exc: Exception) -> None:
    """Log that the database cannot be reached, once a minute."""
    warn("database", "The database cannot be reached, and is tried again: %r", exc)
