"""What AI requests cost, over any number of days at once: past days are summed once, the others are read as they are.

A past day is summed when nothing in it changes by itself any more. What changes it after that (a price that becomes
known, a row that is deleted) calls `forget` in its transaction: the day counts by its requests again, until it is
summed anew. So a sum never differs from the rows, and no request waits for a row that others write as well.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from functools import reduce
from itertools import chain, islice, starmap
from operator import or_
from typing import Any, NamedTuple
from uuid import UUID

from django.db import transaction
from django.db.models import Case, CharField, Count, F, Max, Min, Q, QuerySet, Sum, Value, When
from django.db.models.functions import Cast, Coalesce
from django.utils import timezone

from automation import spend
from automation.models import AIRequest, AIRequestStatus, Job, JobStatus, PriceSource, Spend, SpendDay
from automation.spend import requests

REACH = timedelta(days=200)  # back to which days are summed: twice the longest range of a page, and a few
SETTLED = timedelta(hours=1)  # after the end of a day, for rows that are being inserted
AT_ONCE = 5  # days that one pass sums
COSTLIEST = 10  # jobs
BATCH = 250  # jobs that one statement looks up: for many more PostgreSQL would read all
ACTIVE = (JobStatus.PENDING, JobStatus.RUNNING)

DIMENSIONS = ("model", "step", "job_type", "outcome", "user", "job", "no_price", "no_usage")
BY_ITSELF = tuple(name for name in DIMENSIONS if name != "job")  # of jobs there are many, and few are shown
ENDED_BADLY = (JobStatus.FAILED, JobStatus.CANCELLED)
COUNTS = ("number", "jobs", "unpriced", "tokens_in", "tokens_cached", "tokens_out")
MONEY = ("spent", "wasted")
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


def add(sums: Iterable[Sums]) -> Sums:
    """Return the sum of sums."""
    them = list(sums)
    if len(them) == 1:
        return them[0]
    amounts: dict[str, Any] = {name: sum(getattr(one, name) for one in them) for name in COUNTS}
    for name in MONEY:
        known = [amount for one in them if (amount := getattr(one, name)) is not None]
        amounts[name] = sum(known, Decimal(0)) if known else None
    days = [day for one in them for day in (one.first, one.last) if day]
    return Sums(**amounts, first=min(days, default=None), last=max(days, default=None))


class _Job(NamedTuple):
    """What sums need to know of a job: there are thousands of them, and a model's instance takes longer to make."""

    pk: UUID
    job_type: str
    status: str
    started_by: object
    created_at: datetime
    finished_at: datetime | None


Key = tuple[date | None, str, str]  # day, dimension and key; in the sum of many days only models have a day


class Book:
    """What the requests made from one moment to before another have cost, by each dimension, and by day and model."""

    def __init__(self, since: datetime, until: datetime) -> None:
        self._days = _current_days(since, until)
        found = defaultdict[tuple[str, str], list[Sums]](list)
        by_day = defaultdict[tuple[date, str], list[Sums]](list)
        now = requests().filter(_apart_from(self._days, since, until))
        for (day, dimension, key), sums in chain(map(_entry, _past(self._days, BY_ITSELF)), _sum(now)):
            found[dimension, key].append(sums)
            if dimension == "model" and day:
                by_day[day, key].append(sums)
        self.by: dict[str, dict[str, Sums]] = {dimension: {} for dimension in DIMENSIONS}
        for (dimension, key), them in found.items():
            self.by[dimension][key] = add(them)
        self.by_day = {key: add(them) for key, them in by_day.items()}

    @property
    def total(self) -> Sums:
        """Return the sum of all, whatever they are sorted by."""
        return add(self.by["outcome"].values())

    def costliest_jobs(self) -> list[tuple[str, Sums]]:
        """Return the keys of the jobs that cost most in this time; those that have cost nothing are none."""
        found = dict(self.by["job"])
        for (_, _, key), sums in map(_entry, _past(self._days, ["job"])):
            found[key] = add([found[key], sums]) if key in found else sums
        return [(key, sums) for key, sums in sorted(found.items(), key=by_cost)[:COSTLIEST] if sums.spent]


def by_cost(item: tuple[str, Sums]) -> tuple[Decimal, str]:
    """The costliest first, and what has cost the same by its key: for `sorted`."""
    return -(item[1].spent or Decimal(0)), item[0]


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


def _sum(rows: QuerySet[AIRequest]) -> Iterator[tuple[Key, Sums]]:
    """Yield sums of requests by day and dimension; of all dimensions from one statement, so that they agree."""
    lacks = Case(When(price_source=PriceSource.NO_USAGE, then=Value("no_usage")), default=Value("no_price"))
    parts = (
        _sum_by(Value("model"), F("model"), rows),
        _sum_by(Value("step"), F("step"), rows),
        _sum_by(Value("job"), F("job"), rows),
        _sum_by(lacks, F("model"), rows.filter(cost=None)),
    )
    of_jobs = []
    for row in parts[0].union(*parts[1:], all=True).order_by():
        key, sums = _entry(row)
        if key[1] == "job":
            of_jobs.append((key, sums))
        else:
            yield key, sums
    yield from _sum_by_jobs(of_jobs)


def _sum_by(dimension: Any, key: Any, rows: QuerySet[AIRequest]) -> QuerySet[Any, Any]:
    text = Coalesce(Cast(key, CharField()), Value(""))
    return rows.values(of_day=spend.DIMENSIONS["day"](), dimension=dimension, key=text).annotate(
        all_number=Count("pk"),
        all_unpriced=Count("pk", filter=Q(cost=None)),
        all_tokens_in=Sum("input_tokens"),
        all_tokens_cached=Sum("cached_input_tokens"),
        all_tokens_out=Sum("output_tokens"),
        all_spent=Sum("cost"),
    )


def _sum_by_jobs(found: list[tuple[Key, Sums]]) -> Iterator[tuple[Key, Sums]]:
    """Yield sums by job, and by what is known of jobs: to join the two tables, PostgreSQL would read all jobs."""
    jobs = dict[UUID, _Job]()
    for keys in _batches({UUID(key) for (_, _, key), _ in found if key}):
        rows = Job.objects.filter(pk__in=keys).order_by().values_list(*_Job._fields)
        jobs |= {job.pk: job for job in starmap(_Job, rows)}
    first_days = _first_days(found, jobs)
    by = defaultdict[Key, list[Sums]](list)
    for (day, _, key), of_requests in found:
        job = jobs.get(UUID(key)) if key else None
        sums = _of_job(job, of_requests, first_days.get(job.pk)) if job else of_requests
        if job:
            yield (day, "job", key), sums
        by[day, "job_type", job.job_type if job else ""].append(sums)
        by[day, "outcome", job.status if job else ""].append(sums)
        by[day, "user", str(job.started_by or "") if job else ""].append(sums)
    yield from ((key, replace(add(them), first=key[0], last=key[0])) for key, them in by.items())


def _of_job(job: _Job, sums: Sums, first: date | None) -> Sums:
    """Return sums of a job's requests on one day, with the days on which it has any."""
    last = day_of(job.finished_at) if job.finished_at else date.max
    wasted = sums.spent if job.status in ENDED_BADLY else None
    return replace(sums, jobs=int(first == sums.first), wasted=wasted, first=first, last=last)


def _first_days(found: list[tuple[Key, Sums]], jobs: Mapping[UUID, _Job]) -> dict[UUID, date]:
    """Return on which day each job made its first request; looked up only of jobs that are older than a day here."""
    days, older = dict[UUID, date](), list[UUID]()
    for (day, _, key), _ in found:
        job = jobs.get(UUID(key)) if key else None
        if job and day == day_of(job.created_at):
            days[job.pk] = day
        elif job:
            older.append(job.pk)
    for keys in _batches(older):
        firsts = requests().filter(job__in=keys).values_list("job").annotate(Min("created_at"))
        days |= {job: day_of(moment) for job, moment in firsts}
    return days


def _batches(keys: Iterable[UUID]) -> Iterator[list[UUID]]:
    """Yield as many at once as a statement may have parameters."""
    rest = iter(keys)
    while batch := list(islice(rest, BATCH)):
        yield batch


def _past(days: list[date], dimensions: Iterable[str]) -> QuerySet[Any, Any]:
    """Return what days that are summed already have in all, by dimension and key; models also by day."""
    rows = Spend.objects.filter(day__in=days, dimension__in=dimensions).order_by()
    groups = rows.values("dimension", "key", of_day=Case(When(dimension="model", then="day")))
    return groups.annotate(first=Min("day"), last=Max("day"), **{f"all_{name}": Sum(name) for name in AMOUNTS})


def _entry(row: dict[str, Any]) -> tuple[Key, Sums]:
    amounts = {name: row[f"all_{name}"] for name in AMOUNTS if f"all_{name}" in row}
    for name in MONEY:
        if name in amounts:
            amounts[name] = spend.exact(amounts[name])
    day = row["of_day"]
    days = {"first": row.get("first", day), "last": row.get("last", day)}
    return (day, row["dimension"], row["key"]), Sums(**amounts, **days)


def _to_sum() -> list[date]:
    last = day_of(timezone.now() - SETTLED) - timedelta(days=1)
    oldest = AIRequest.objects.order_by().aggregate(oldest=Min("created_at"))["oldest"]
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
    found = dict(_sum(requests(begin_of(day), begin_of(day + timedelta(days=1)))))
    left_out = _left_out({key: sums for (_, by, key), sums in found.items() if by == "job"})
    rows = (
        Spend(day=day, dimension=by, key=key, **_amounts(sums))
        for (_, by, key), sums in found.items()
        if by != "job" or key not in left_out
    )
    Spend.objects.bulk_create(rows, batch_size=500)


def _left_out(jobs: dict[str, Sums]) -> set[str]:
    """Return the jobs of a day that are among the costliest of no time: those of this day alone, after the first."""
    of_this_day = {key: sums for key, sums in jobs.items() if sums.first == sums.last}
    return {key for key, _ in sorted(of_this_day.items(), key=by_cost)[COSTLIEST:]}


def _amounts(sums: Sums) -> dict[str, Any]:
    return {name: getattr(sums, name) for name in AMOUNTS}
