"""Rings in a table, for sites whose cache is no Redis."""

from __future__ import annotations

from collections.abc import Sequence

from observability.models import HistorySample

from .ring import Row, Tier

AT_ONCE = 100  # rows too many that one write removes


def claim(tier: Tier, instance: str, slot: int) -> bool:
    """Whether nobody has this sample yet."""
    return not HistorySample.objects.filter(tier=tier.name, slot=slot, instance=instance).exists()


def write(tier: Tier, row: Row) -> None:
    """Keep a sample, unless there is one in its place, and forget what is too old or too much."""
    sample = HistorySample(tier=tier.name, slot=row.slot, instance=row.instance, data=row.data)
    HistorySample.objects.bulk_create([sample], ignore_conflicts=True)
    of_tier = HistorySample.objects.filter(tier=tier.name)
    of_tier.filter(slot__lte=row.slot - tier.seconds // tier.step).delete()
    too_much = of_tier.order_by("-slot", "-pk").values_list("pk", flat=True)[tier.most : tier.most + AT_ONCE]
    HistorySample.objects.filter(pk__in=list(too_much)).delete()


def read(tier: Tier, since: int) -> Sequence[Row]:
    """All samples from this slot on, the oldest first."""
    rows = HistorySample.objects.filter(tier=tier.name, slot__gte=since).order_by("slot")
    return [Row(instance, slot, bytes(data)) for instance, slot, data in rows.values_list("instance", "slot", "data")]
