"""Who was active when: a Redis sorted set where the cache is django-redis, else a table.

The middleware tells of each signed-in user it sees. Each process passes a user on once in a tenth of the window, from a
thread of its own: a silent Redis or database never holds up a request.
"""

from __future__ import annotations

from datetime import timedelta
from functools import lru_cache
from time import monotonic, time
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.core.cache import caches
from django.utils import timezone

from . import sources
from .conf import get_conf
from .logs import warn
from .probes import Probe

if TYPE_CHECKING:
    from redis import Redis

MAX_USERS = 100_000  # remembered by one process, so that a flood of accounts is no flood of memory

_passed_on: dict[str, float] = {}
_pending: dict[str, float] = {}


def seen(user_id: object) -> None:
    """A signed-in user made a request. Returns at once."""
    key, now = str(user_id), monotonic()
    if now - _passed_on.get(key, float("-inf")) < get_conf().ACTIVE_USERS_SECONDS / 10:
        return
    if len(_passed_on) >= MAX_USERS:
        _passed_on.clear()
    _passed_on[key] = now
    if len(_pending) < MAX_USERS:
        _pending[key] = time()
    _writer.start()


def count() -> float:
    """Users seen within the window, over all processes and hosts."""
    _write_pending()
    return _count_in_redis() if uses_redis() else _count_in_database()


def service() -> str:
    """The source that active users are read from."""
    return sources.CACHE if uses_redis() else sources.DATABASE


def uses_redis() -> bool:
    """Whether the cache is a Redis that can keep a sorted set."""
    cache = settings.CACHES.get(get_conf().CACHE_ALIAS, {})
    return str(cache.get("BACKEND", "")).startswith("django_redis.")


def _write_pending() -> None:
    while _pending:
        users = dict(_pending)
        (_write_to_redis if uses_redis() else _write_to_database)(users)
        for key in users:
            _pending.pop(key, None)


def _write_quietly() -> None:
    try:
        _write_pending()
    except Exception as error:
        warn("active users", "Active users cannot be kept: %r", error)


_writer = Probe(_write_quietly, lambda: get_conf().SOURCE_TIMEOUT)


# A table


def _write_to_database(users: dict[str, float]) -> None:
    from .models import ActiveUser  # models are not loaded when the middleware's module may be

    now = timezone.now()
    rows = [ActiveUser(user_id=key, seen_at=now) for key in users]
    ActiveUser.objects.bulk_create(
        rows, update_conflicts=True, unique_fields=["user_id"], update_fields=["seen_at"], batch_size=500
    )
    ActiveUser.objects.filter(seen_at__lt=now - _window()).delete()


def _count_in_database() -> float:
    from .models import ActiveUser

    return ActiveUser.objects.filter(seen_at__gte=timezone.now() - _window()).count()


def _window() -> timedelta:
    return timedelta(seconds=get_conf().ACTIVE_USERS_SECONDS)


# Redis


def _write_to_redis(users: dict[str, float]) -> None:
    conf = get_conf()
    client, key = _redis(conf.CACHE_ALIAS, conf.SOURCE_TIMEOUT)
    with client.pipeline(transaction=False) as pipe:
        pipe.zadd(key, users)
        pipe.zremrangebyscore(key, "-inf", time() - conf.ACTIVE_USERS_SECONDS)
        pipe.expire(key, conf.ACTIVE_USERS_SECONDS)
        pipe.execute()


def _count_in_redis() -> float:
    conf = get_conf()
    client, key = _redis(conf.CACHE_ALIAS, conf.SOURCE_TIMEOUT)
    return float(client.zcount(key, time() - conf.ACTIVE_USERS_SECONDS, "+inf"))


@lru_cache(maxsize=4)
def _redis(alias: str, seconds: float) -> tuple[Redis, str]:
    """A client for the cache's server that gives up by itself, whatever time-outs the host chose, and the set's key."""
    import redis
    from django_redis import get_redis_connection
    from redis.backoff import NoBackoff
    from redis.retry import Retry

    host_pool = get_redis_connection(alias).connection_pool
    limits: dict[str, Any] = {
        "socket_timeout": seconds,
        "socket_connect_timeout": seconds,
        "retry": Retry(NoBackoff(), 0),
    }
    kwargs = host_pool.connection_kwargs | limits
    pool = redis.ConnectionPool(connection_class=host_pool.connection_class, **kwargs)
    return redis.Redis(connection_pool=pool), caches[alias].make_key("observability:active_users")
