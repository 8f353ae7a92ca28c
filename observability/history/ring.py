"""Own samples, in rings that are bounded in time and in number: in Redis where the cache is one, else in a table."""

from __future__ import annotations

import os
import socket
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple, Protocol, cast
from uuid import uuid4

from django.db import DEFAULT_DB_ALIAS, connections

from observability import activity, store
from observability.probes import NO_DATABASE

from .amounts import DETAILS, TOTALS, Wanted

MINUTE, HOUR, DAY = 60, 3600, 86400
INSTANCES = 32  # whose samples have room for the whole length; of more, the oldest go earlier
FILE = "instance"  # in the store's folder


@dataclass(frozen=True)
class Tier:
    """One ring: a sample of each instance every ``step`` seconds, for so many seconds."""

    name: str
    step: int
    seconds: int
    wanted: Wanted

    def slot(self, at: float) -> int:
        """The number of a step since the epoch."""
        return int(at // self.step)

    @property
    def most(self) -> int:
        """Samples that are kept, of all instances together."""
        return INSTANCES * (self.seconds // self.step)


FINE = Tier("totals 15 s", 15, HOUR + MINUTE, TOTALS)  # a range begins with the sample before its first step
TIERS = (
    FINE,
    Tier("totals 1 min", MINUTE, DAY + HOUR, TOTALS),
    Tier("totals 15 min", 15 * MINUTE, 8 * DAY, TOTALS),
    Tier("details 1 min", MINUTE, HOUR + MINUTE, DETAILS),
    Tier("details 15 min", 15 * MINUTE, 8 * DAY, DETAILS),
)


class Row(NamedTuple):
    """A packed sample and its place."""

    instance: str
    slot: int
    data: bytes


class Backend(Protocol):
    """Where rings are kept; every call may wait for a server, and raise what it raises."""

    def claim(self, tier: Tier, instance: str, slot: int) -> bool:
        """Whether nobody has this sample yet; two that ask at the same time may both be told so."""

    def write(self, tier: Tier, row: Row) -> None:
        """Keep a sample, unless there is one in its place, and forget what is too old or too much."""

    def read(self, tier: Tier, since: int) -> Sequence[Row]:
        """All samples from this slot on, the oldest first."""


def backend() -> Backend | None:
    """The module that keeps samples, None where there is neither Redis nor a database."""
    if activity.uses_redis():
        from . import ring_redis

        return cast(Backend, ring_redis)
    if connections[DEFAULT_DB_ALIAS].vendor == NO_DATABASE:
        return None
    from . import ring_database

    return cast(Backend, ring_database)


def instance() -> str:
    """Whose counters these are: the store's, whichever process or container reads it, or this process's own."""
    folder = store.folder()
    return _of_process(os.getpid()) if folder is None else _of_folder(folder)


@lru_cache(maxsize=1)
def _of_process(pid: int) -> str:
    return f"{socket.gethostname()[:64]}:{pid}:{uuid4().hex[:8]}"


def _of_folder(folder: Path) -> str:
    """Written when there is none, as in a folder that was emptied meanwhile; the first of several processes wins."""
    path = folder / FILE
    with suppress(OSError):
        if not path.exists():
            _name(path)
        return path.read_text()[:100]
    return _of_process(os.getpid())


def _name(path: Path) -> None:
    own = path.with_name(f".{FILE}-{uuid4().hex}")
    try:
        own.write_text(f"{socket.gethostname()[:64]}:{uuid4().hex[:8]}")
        with suppress(FileExistsError):
            os.link(own, path)
    finally:
        own.unlink(missing_ok=True)
