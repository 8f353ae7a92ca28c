"""Rings as sorted sets of the cache's Redis. Needs django-redis."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from redis import Redis

from observability.conf import get_conf
from observability.redis import connect

from .ring import Row, Tier


def claim(tier: Tier, instance: str, slot: int) -> bool:
    """Whether nobody has this sample yet."""
    client, key = _redis(tier)
    is_first = client.set(f"{key}:{instance}:{slot}", 1, nx=True, ex=2 * tier.step)
    return bool(is_first) and all(row.instance != instance for row in _rows(client, key, slot, slot))


def write(tier: Tier, row: Row) -> None:
    """Keep a sample, and forget what is too old or too much."""
    client, key = _redis(tier)
    member = b"%s\0%d\0%s" % (row.instance.encode(), row.slot, row.data)
    with client.pipeline() as pipe:
        pipe.zadd(key, {member: row.slot})
        pipe.zremrangebyscore(key, "-inf", row.slot - tier.seconds // tier.step)
        pipe.zremrangebyrank(key, 0, -tier.most - 1)
        pipe.expire(key, tier.seconds)
        pipe.execute()


def read(tier: Tier, since: int) -> Sequence[Row]:
    """All samples from this slot on, the oldest first."""
    return _rows(*_redis(tier), since, "+inf")


def _rows(client: Redis, key: str, first: int, last: int | str) -> list[Row]:
    members = cast(list[bytes], client.zrange(key, first, last, byscore=True))
    parts = (member.split(b"\0", 2) for member in members)
    return [Row(instance.decode(), int(slot), data) for instance, slot, data in parts]


def _redis(tier: Tier) -> tuple[Redis, str]:
    conf = get_conf()
    return connect(conf.CACHE_ALIAS, conf.SOURCE_TIMEOUT, f"observability:history:{tier.name}")
