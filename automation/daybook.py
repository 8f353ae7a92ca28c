"""What AI requests cost, over any number of days at once: past days are summed once, the others are read as they are.

A past day is summed when nothing in it changes by itself any more. What changes it after that (a price that becomes
known, a row that is deleted) calls `forget` in its transaction: the day counts by its requests again, until it is
summed anew. So a sum never differs from the rows, and no request waits for a row that others write as well.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from functools import reduce
from itertools import chain
from operator import or_
from typing import Any

from django.db import transaction
from django.db.models import Case, CharField, Count, Exists, F, Max, Min, OuterRef, Q, QuerySet, Sum, Value, When
from django.db.models.functions import Cast, Coalesce
from django.utils import timezone

from automation.models import AIRequest, AIRequestStatus, JobStatus, PriceSource, Spend, SpendDay
from automation.spend import DIMENSIONS, requests

REACH = timedelta(days=200)  # back to which days are summed: twice the longest range of a page, and a few
SETTLED = timedelta(hours=1)  # after the end of a day, for rows that are being inserted
AT_ONCE = 5  # days that one pass sums
ACTIVE = (JobStatus.PENDING, JobStatus.RUNNING)

# Users by their key, since names change. Models once more for requests whose cost is unknown, by what they lack.
KEYS: Mapping[str, Any] = {
    **{name: DIMENSIONS[name]() for name in ("model", "job_type", "step", "outcome")},
    "user": F("job__started_by"),
    "job": F("job"),
    "no_price": F("model"),
    "no_usage": F("model"),
}
AMONG: Mapping[str, Q] = {
    "job": Q(job__isnull=False),
    "no_price": Q(cost=None) & ~Q(price_source=PriceSource.NO_USAGE),
    "no_usage": Q(cost=None, price_source=PriceSource.NO_USAGE),
}
COUNT_JOBS = ("job_type", "outcome", "job")  # by the first request of each
ENDED_BADLY = Q(job__status__in=[JobStatus.FAILED, JobStatus.CANCELLED])
COUNTS = ("number", "jobs", "unpriced", "tokens_in", "tokens_cached", "tokens_out")
MONEY = ("spent", "wasted")
DECIMALS = 8  # of a cost
AMOUNTS = (*COUNTS, *MONEY)


@dataclass(frozen=True)
class Sums:
    """What some requests have used and cost (USD); an amount is None where no cost is known."""

    number: int = 0
    jobs: int = 0
    unpriced: int = 0
    tokens_in: int = 0
    tokens_cached: int = 0
    tokens_out: int = 0
    spent: Decimal | None = None
    wasted: Decimal | None = None  # on jobs that failed or were cancelled
    first: date | None = None
    last: date | None = None

    def __add__(self, other: "Sums") -> "Sums":
        amounts: dict[str, Any] = {name: getattr(self, name) + getattr(other, name) for name in COUNTS}
        amounts |= {name: _plus(getattr(self, name), getattr(other, name)) for name in MONEY}
        days = [day for day in (self.first, self.last, other.first, other.last) if day]
        return Sums(**amounts, first=min(days, default=None), last=max(days, default=None))


def _plus(one: Decimal | None, other: Decimal | None) -> Decimal | None:
    return (one or 0) + other if other is not None else one


def add(sums: Iterable[Sums]) -> Sums:
    """Return the sum of sums."""
    return sum(sums, Sums())


class Book:
    """What the requests made from one moment to before another have cost, by each of KEYS, and by day and model."""

    def __init__(self, since: datetime, until: datetime) -> None:
        self._days = _current_days(since, until)
        now = _apart_from(self._days, since, until)
        self.by: dict[str, dict[str, Sums]] = {dimension: {} for dimension in KEYS}
        self.by_day: dict[tuple[date, str], Sums] = {}
        by_itself = [dimension for dimension in KEYS if dimension != "job"]  # of jobs there are many, and few are shown
        for row in chain(map(_entry, _summed(self._days, by_itself)), _sum(requests().filter(now))):
            self._enter(**row)

    def _enter(self, *, day: date | None, dimension: str, key: str, **amounts: Any) -> None:
        money = {
            name: round(amounts[name], DECIMALS) for name in MONEY if amounts[name] is not None
        }  # SQLite has floats
        sums = Sums(**({"first": day, "last": day} | amounts | money))
        self.by[dimension][key] = self.by[dimension].get(key, Sums()) + sums
        if dimension == "model" and day:
            self.by_day[day, key] = self.by_day.get((day, key), Sums()) + sums

    @property
    def total(self) -> Sums:
        """Return the sum of all, whatever they are sorted by."""
        return add(self.by["outcome"].values())

    def costliest_jobs(self, most: int) -> list[tuple[str, Sums]]:
        """Return the keys of the jobs that cost most in this time; those that have cost nothing are none."""
        # Of jobs that went on after the days that are summed, what these have of them; of all others the greatest.
        went_on = [key for key, sums in self.by["job"].items() if not sums.jobs]
        past = _summed(self._days, ["job"])
        greatest = past.exclude(key__in=went_on).order_by(F("all_spent").desc(nulls_last=True))[:most]
        for row in chain(past.filter(key__in=went_on), greatest):
            self._enter(**_entry(row))
        found = self.by["job"]
        ranked = sorted(found.items(), key=lambda item: (-(item[1].spent or 0), item[0]))
        return [(key, sums) for key, sums in ranked[:most] if sums.spent]


def cost(since: datetime, until: datetime) -> Decimal:
    """Return what the requests made from one moment to before another have cost in USD, as far as that is known."""
    days = _current_days(since, until)
    summed = Spend.objects.filter(dimension="outcome", day__in=days).aggregate(total=Sum("spent"))["total"]
    now = requests().filter(_apart_from(days, since, until)).aggregate(total=Sum("cost"))["total"]
    return (summed or Decimal(0)) + (now or Decimal(0))


def close() -> int:
    """Sum a few past days that are not yet, the newest first, and return how many."""
    days = _to_sum()
    if days:
        unsettled = _unsettled()
        days = [day for day in days if day not in unsettled][:AT_ONCE]
    for day in days:
        _sum_day(day)
    return len(days)


def forget(moments: Iterable[datetime]) -> None:
    """Let the past days of these moments count by their requests again; to be called before these are changed.

    In the transaction of that change: whoever sums such a day then waits for its end.
    """
    days = sorted({day_of(moment) for moment in moments} - {day_of(timezone.now())})
    if days:
        SpendDay.objects.bulk_create(map(SpendDay, days), ignore_conflicts=True)
        for day in days:  # one after the other, as everybody locks them
            SpendDay.objects.filter(day=day).update(is_current=False)


def day_of(moment: datetime) -> date:
    """Return the day of a moment, in the time zone of the settings."""
    return timezone.localdate(moment, timezone.get_default_timezone())


def begin_of(day: date) -> datetime:
    """Return when a day begins, in the time zone of the settings."""
    return datetime.combine(day, time(), timezone.get_default_timezone())


def days_between(first: date, last: date) -> list[date]:
    """Return the days from one to another, with both of them."""
    return [first + timedelta(days=number) for number in range((last - first).days + 1)]


def _current_days(since: datetime, until: datetime) -> list[date]:
    """Return the days that lie wholly between two moments, and whose sums hold."""
    first, last = day_of(since), day_of(until) - timedelta(days=1)
    if begin_of(first) < since:
        first += timedelta(days=1)
    found = SpendDay.objects.filter(day__range=(first, last), is_current=True, zone=settings_zone())
    return sorted(found.values_list("day", flat=True))


def settings_zone() -> str:
    return timezone.get_default_timezone_name()


def _apart_from(days: Iterable[date], since: datetime, until: datetime) -> Q:
    """Return what tells the requests between two moments that were not made on these days."""
    gaps, begin = [], since
    for day in days:
        gaps.append((begin, begin_of(day)))
        begin = begin_of(day + timedelta(days=1))
    spans = [Q(created_at__gte=one, created_at__lt=other) for one, other in [*gaps, (begin, until)] if one < other]
    return reduce(or_, spans, Q()) if spans else Q(pk__in=[])


def _sum(rows: QuerySet[AIRequest]) -> Iterator[dict[str, Any]]:
    """Yield sums of requests as rows of Spend, by day and by each of KEYS: in one statement, so that they agree."""
    one, *others = (_sum_by(dimension, rows.filter(AMONG.get(dimension, Q()))) for dimension in KEYS)
    return one.union(*others, all=True).iterator()


def _sum_by(dimension: str, rows: QuerySet[AIRequest]) -> QuerySet[Any, Any]:
    key = Coalesce(Cast(KEYS[dimension], CharField()), Value(""))
    before = AIRequest.objects.filter(job=OuterRef("job"), pk__lt=OuterRef("pk"))
    is_first = Q(job__isnull=False) & ~Q(Exists(before))
    jobs = Count("pk", filter=is_first) if dimension in COUNT_JOBS else Count("pk", filter=Q(pk=None))
    return rows.values(day=DIMENSIONS["day"](), dimension=Value(dimension), key=key).annotate(
        number=Count("pk"),
        jobs=jobs,
        unpriced=Count("pk", filter=Q(cost=None)),
        tokens_in=Sum("input_tokens"),
        tokens_cached=Sum("cached_input_tokens"),
        tokens_out=Sum("output_tokens"),
        spent=Sum("cost"),
        wasted=Sum("cost", filter=ENDED_BADLY),
    )


def _summed(days: list[date], dimensions: Iterable[str]) -> QuerySet[Any, Any]:
    """Return what days that are summed already have in all, by dimension and key; models also by day."""
    rows = Spend.objects.filter(day__in=days, dimension__in=dimensions).order_by()
    groups = rows.values("dimension", "key", of_day=Case(When(dimension="model", then="day")))
    return groups.annotate(first=Min("day"), last=Max("day"), **{f"all_{name}": Sum(name) for name in AMOUNTS})


def _entry(row: dict[str, Any]) -> dict[str, Any]:
    return {name.removeprefix("all_").removeprefix("of_"): value for name, value in row.items()}


def _to_sum() -> list[date]:
    last = day_of(timezone.now() - SETTLED) - timedelta(days=1)
    oldest = AIRequest.objects.order_by("created_at").values_list("created_at", flat=True).first()
    if oldest is None:
        return []
    wanted = days_between(max(day_of(oldest), last - REACH), last)
    held = SpendDay.objects.filter(day__in=wanted, is_current=True, zone=settings_zone())
    return sorted(set(wanted) - set(held.values_list("day", flat=True)), reverse=True)


def _unsettled() -> set[date]:
    """Return the days with requests that have not ended, or whose jobs have not: what becomes of these is open."""
    running = AIRequest.objects.filter(status=AIRequestStatus.RUNNING)
    of_active = AIRequest.objects.filter(job__status__in=ACTIVE)
    return {day_of(moment) for rows in (running, of_active) for moment in rows.values_list("created_at", flat=True)}


@transaction.atomic
def _sum_day(day: date) -> None:
    """Sum a day under the lock that `forget` takes."""
    SpendDay.objects.bulk_create([SpendDay(day=day)], ignore_conflicts=True)
    SpendDay.objects.filter(day=day).update(is_current=True, zone=settings_zone())
    Spend.objects.filter(day=day).delete()
    rows = _sum(requests(begin_of(day), begin_of(day + timedelta(days=1))))
    Spend.objects.bulk_create((Spend(**row) for row in rows), batch_size=500)
