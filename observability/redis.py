"""The Redis of the cache, with time-outs of our own. Needs django-redis."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from django.core.cache import caches
from django_redis import get_redis_connection
from redis import ConnectionPool, Redis
from redis.backoff import NoBackoff
from redis.retry import Retry


def connect(alias: str, seconds: float, key: str) -> tuple[Redis, str]:
    """A client for the cache's server that gives up by itself, and the key as the cache would name it."""
    return _client(alias, seconds), caches[alias].make_key(key)


@lru_cache(maxsize=4)
def _client(alias: str, seconds: float) -> Redis:
    """Whatever time-outs the host chose for its own."""
    host_pool = get_redis_connection(alias).connection_pool
    limits: dict[str, Any] = {
        "socket_timeout": seconds,
        "socket_connect_timeout": seconds,
        "retry": Retry(NoBackoff(), 0),
    }
    kwargs = host_pool.connection_kwargs | limits
    return Redis(connection_pool=ConnectionPool(connection_class=host_pool.connection_class, **kwargs))
