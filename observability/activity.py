"""Who was active when: a Redis sorted set where the cache is django-redis, else a table.

The middleware tells of each signed-in user it sees. Each process passes a user on once in a tenth of the window, from a
thread of its own: a silent Redis or database never holds up a request.
"""

from __future__ import annotations

from concurrent.futures import Future
from time import monotonic, time
from typing import Protocol, cast

from django.conf import settings

from . import sources
from .conf import get_conf
from .logs import warn
from .probes import Answer, Probe, database_in_memory

MAX_ID = 64  # characters, as wide as the table's column
MAX_USERS = 100_000  # remembered by one process, so that a flood of accounts is no flood of memory


class Backend(Protocol):
    """Where sightings are kept; both calls may wait for a server, and raise what it raises."""

    def write(self, users: dict[str, float]) -> None:
        """Keep when each user was seen, in seconds since the epoch."""

    def count(self) -> float:
        """Users seen within the window."""


_passed_on: dict[str, float] = {}
_pending: dict[str, float] = {}


def seen(user_id: object) -> None:
    """A signed-in user made a request. Returns at once."""
    key, now = str(user_id)[:MAX_ID], monotonic()
    if now - _passed_on.get(key, float("-inf")) < get_conf().ACTIVE_USERS_SECONDS / 10:
        return
    if len(_passed_on) >= MAX_USERS:
        _passed_on.clear()
    _passed_on[key] = now
    if len(_pending) < MAX_USERS:
        _pending[key] = time()
    if not database_in_memory():  # in tests a write here would be a surprise; it is made up for when somebody counts
        _writer.start().add_done_callback(_write_rest)


def count() -> float:
    """Users seen within the window, over all processes and hosts."""
    _write_pending()
    return backend().count()


def service() -> str:
    """The source that active users are read from."""
    return sources.CACHE if uses_redis() else sources.DATABASE


def uses_redis() -> bool:
    """Whether the cache is a Redis that can keep a sorted set."""
    cache = settings.CACHES.get(get_conf().CACHE_ALIAS, {})
    return str(cache.get("BACKEND", "")).startswith("django_redis.")


def backend() -> Backend:
    """The module that keeps sightings. Imported in ``ready()``: an import takes longer than a scrape may."""
    if uses_redis():
        from . import activity_redis

        return cast(Backend, activity_redis)
    from . import activity_database

    return cast(Backend, activity_database)


def _write_pending() -> None:
    while _pending:
        users = dict(_pending)
        backend().write(users)
        for key in users:
            _pending.pop(key, None)


def _write_quietly() -> bool:
    try:
        _write_pending()
    except Exception as error:
        warn("active users", "Active users cannot be kept: %r", error)
        return False
    return True


def _write_rest(written: Future[Answer[bool]]) -> None:
    """Users that were seen while the writer was ending."""
    if written.result().value and _pending:
        _writer.start().add_done_callback(_write_rest)


_writer = Probe(_write_quietly, lambda: get_conf().SOURCE_TIMEOUT)
