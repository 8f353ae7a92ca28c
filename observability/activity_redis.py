"""Active users in a sorted set of the cache's Redis. Needs django-redis."""

from __future__ import annotations

from functools import lru_cache
from time import time
from typing import Any

from django.core.cache import caches
from django_redis import get_redis_connection
from redis import ConnectionPool, Redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from .conf import get_conf

KEY = "observability:active_users"


def write(users: dict[str, float]) -> None:
    """Keep when each user was seen, in seconds since the epoch."""
    conf = get_conf()
    client, key = _redis(conf.CACHE_ALIAS, conf.SOURCE_TIMEOUT)
    with client.pipeline(transaction=False) as pipe:
        pipe.zadd(key, users)
        pipe.zremrangebyscore(key, "-inf", time() - conf.ACTIVE_USERS_SECONDS)
        pipe.expire(key, conf.ACTIVE_USERS_SECONDS)
        pipe.execute()


def count() -> float:
    """Users seen within the window."""
    conf = get_conf()
    client, key = _redis(conf.CACHE_ALIAS, conf.SOURCE_TIMEOUT)
    return float(client.zcount(key, time() - conf.ACTIVE_USERS_SECONDS, "+inf"))


@lru_cache(maxsize=4)
def _redis(alias: str, seconds: float) -> tuple[Redis, str]:
    """A client for the cache's server that gives up by itself, whatever time-outs the host chose, and the set's key."""
    host_pool = get_redis_connection(alias).connection_pool
    limits: dict[str, Any] = {
        "socket_timeout": seconds,
        "socket_connect_timeout": seconds,
        "retry": Retry(NoBackoff(), 0),
    }
    kwargs = host_pool.connection_kwargs | limits
    pool = ConnectionPool(connection_class=host_pool.connection_class, **kwargs)
    return Redis(connection_pool=pool), caches[alias].make_key(KEY)
