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
    return bool(client.set(f"{key}:{instance}:{slot}", 1, nx=True, ex=2 * tier.step))


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
    client, key = _redis(tier)
    members = cast(list[bytes], client.zrange(key, since, "+inf", byscore=True))
    return [_row(member) for member in members]


def _row(member: bytes) -> Row:
    instance, slot, data = member.split(b"\0", 2)
    return Row(instance.decode(), int(slot), data)


def _redis(tier: Tier) -> tuple[Redis, str]:
    conf = get_conf()
    return connect(conf.CACHE_ALIAS, conf.SOURCE_TIMEOUT, f"observability:history:{tier.name}")
