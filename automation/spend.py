"""What AI requests have cost, by what they were made for."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.contrib.auth import get_user_model
from django.db.models import Count, F, Q, QuerySet, Sum
from django.db.models.functions import TruncDate
from django.utils import timezone

from automation.models import AIRequest, AIRequestStatus

NONE = "–"  # of requests that no job made, and of jobs that nobody started

DIMENSIONS: Mapping[str, Callable[[], Any]] = {
    "model": lambda: F("model"),
    "job_type": lambda: F("job__job_type"),
    "step": lambda: F("step"),
    "user": lambda: F(f"job__started_by__{get_user_model().USERNAME_FIELD}"),
    "day": lambda: TruncDate("created_at", tzinfo=timezone.get_default_timezone()),
    "outcome": lambda: F("job__status"),
}


@dataclass(frozen=True)
class Spent:
    """What the requests of one model, job type, step, user, day or outcome of their jobs have used and cost (USD)."""

    key: str
    requests: int
    unpriced: int  # with a cost that nobody knows, and in no sum
    input_tokens: int
    output_tokens: int
    cost: Decimal | None  # None where none is known


DECIMALS = 8  # of a cost
COUNTS = ("requests", "unpriced", "input_tokens", "output_tokens")


def exact(cost: Decimal | None) -> Decimal | None:
    """Return a sum of the database without what is left of floats, which SQLite has."""
    return None if cost is None else round(cost, DECIMALS)


def requests(since: datetime | None = None, until: datetime | None = None) -> QuerySet[AIRequest]:
    """Return the requests that have ended, of those made from one moment to before another."""
    ended = AIRequest.objects.exclude(status=AIRequestStatus.RUNNING).order_by()
    if since:
        ended = ended.filter(created_at__gte=since)
    return ended.filter(created_at__lt=until) if until else ended


def spent_by(dimension: str, rows: QuerySet[AIRequest]) -> list[Spent]:
    """Return what these requests have cost by one of DIMENSIONS: days in their order, else the costliest first."""
    groups = rows.values(key=DIMENSIONS[dimension]()).annotate(
        number=Count("pk"),
        unpriced=Count("pk", filter=Q(cost=None)),
        read=Sum("input_tokens"),
        written=Sum("output_tokens"),
        spent=Sum("cost"),
    )
    found = [
        Spent(str(g["key"] or NONE), g["number"], g["unpriced"], g["read"], g["written"], exact(g["spent"]))
        for g in groups
    ]
    return sorted(found, key=lambda row: row.key if dimension == "day" else (-(row.cost or 0), row.key))


def total(rows: list[Spent]) -> Spent:
    """Return the sum of rows."""
    counts = {name: sum(getattr(row, name) for row in rows) for name in COUNTS}
    known = [row.cost for row in rows if row.cost is not None]
    return Spent("total", **counts, cost=sum(known, Decimal(0)) if known or not rows else None)
