"""Active users in a sorted set of the cache's Redis. Needs django-redis."""

from __future__ import annotations

from time import time

from .conf import get_conf
from .redis import connect

KEY = "observability:active_users"


def write(users: dict[str, float]) -> None:
    """Keep when each user was seen, in seconds since the epoch."""
    conf = get_conf()
    client, key = connect(conf.CACHE_ALIAS, conf.SOURCE_TIMEOUT, KEY)
    with client.pipeline(transaction=False) as pipe:
        pipe.zadd(key, users)
        pipe.zremrangebyscore(key, "-inf", time() - conf.ACTIVE_USERS_SECONDS)
        pipe.expire(key, conf.ACTIVE_USERS_SECONDS)
        pipe.execute()


def count() -> float:
    """Users seen within the window."""
    conf = get_conf()
    client, key = connect(conf.CACHE_ALIAS, conf.SOURCE_TIMEOUT, KEY)
    return float(client.zcount(key, time() - conf.ACTIVE_USERS_SECONDS, "+inf"))
