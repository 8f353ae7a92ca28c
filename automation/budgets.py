"""Budgets for AI requests: a request reserves what it may cost at most before it is made, and settles afterwards.

Both change the row of the budget's day or month under its lock, so that of requests at the same time none takes what
another has. A reservation ends with its request; where the cost stays unknown, the reserved amount counts as spent.
"""

from collections.abc import Iterable, Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from functools import partial
from typing import Any

from django.db import transaction
from django.db.models import F, Prefetch, Q, QuerySet
from django.db.models.functions import Now
from django.utils import timezone

from automation.conf import lease
from automation.errors import BudgetExceeded
from automation.models import AIRequest, Budget, BudgetPeriod, Job, Reservation
from automation.signals import budget_nearly_spent
from observability import metrics, sentry

SMALLEST_SHARE = 0.05  # of a period that has to have passed before its pace says anything

Gauge = Mapping[tuple[str, ...], float]


def begin_of(budget: Budget, day: date | None = None) -> date:
    """Return when the budget's period of a day began, by default of today, in the time zone of the settings."""
    day = day or timezone.localdate(timezone=timezone.get_default_timezone())
    return day if budget.period == Budget.Period.DAY else day.replace(day=1)


def concerning(job: Job | None, model: str) -> list[Budget]:
    """Return the budgets that a job's request to a model comes under, always in the order in which they are locked."""
    job_type, user = (job.job_type, job.started_by_id) if job else ("", None)
    of_all = Q(user=None)
    return list(
        Budget.objects.filter(
            of_all if user is None else of_all | Q(user=user),
            job_type__in=["", job_type],
            model__in=["", model],
        ).order_by("pk")
    )


def end_of(period: BudgetPeriod) -> date:
    """Return the first day after a period."""
    if period.budget.period == Budget.Period.DAY:
        return period.begins + timedelta(days=1)
    return (period.begins + timedelta(days=31)).replace(day=1)


def forecast(period: BudgetPeriod) -> Decimal | None:
    """Return what will be spent at the period's end in USD if it goes on at its pace so far; None in its first 20th."""
    zone = timezone.get_default_timezone()
    begin, end = (datetime.combine(day, time(), zone).timestamp() for day in (period.begins, end_of(period)))
    passed = (timezone.now().timestamp() - begin) / (end - begin)
    return None if passed < SMALLEST_SHARE else period.spent / Decimal(min(passed, 1))


def reserve(row: AIRequest, budgets: Iterable[Budget], most: Decimal | None) -> None:
    """Hold what a request may cost at most (USD; None: unknown) in each of the budgets, or raise BudgetExceeded.

    To be called in the transaction that inserts the row, so that an error leaves neither.
    """
    for budget in budgets:
        if most is None and not budget.allow_unpriced:
            raise BudgetExceeded(budget.name, f"The price of {row.model} is unknown, and the budget wants one.")
        amount, period = most or Decimal(0), _locked(_period_of(budget))
        if period is None:
            continue
        if left(period) < amount or not left(period):
            raise BudgetExceeded(budget.name, _too_much(period, amount))
        BudgetPeriod.objects.filter(pk=period.pk).update(reserved=period.reserved + amount)
        Reservation.objects.create(period=period, request=row, amount=amount)


def left(period: BudgetPeriod) -> Decimal:
    """Return what may still be reserved, in USD."""
    return max(Decimal(0), period.budget.limit - period.spent - period.reserved)


def settle(row: AIRequest) -> None:
    """Put what a request has cost in the place of what was reserved for it; also later, when its cost becomes known.

    To be called in the transaction that ends the request, or changes its cost.
    """
    for held in row.reservations.select_related("period").order_by("period__budget_id"):
        period = _locked(held.period)
        if period is None:
            continue
        period.spent += (held.amount if row.cost is None else row.cost) - (held.amount if held.is_spent else 0)
        period.reserved -= 0 if held.is_spent else held.amount
        period.save(update_fields=["spent", "reserved"])
        if period.spent * 100 >= period.budget.limit * period.budget.warn_at:
            _warn(period)
        if row.cost is not None:
            held.delete()
        elif not held.is_spent:
            Reservation.objects.filter(pk=held.pk).update(is_spent=True)


def _period_of(budget: Budget) -> BudgetPeriod:
    return BudgetPeriod.objects.get_or_create(budget=budget, begins=begin_of(budget))[0]


def _locked(period: BudgetPeriod) -> BudgetPeriod | None:
    """Return the period as it is now; until the end of the transaction nobody else changes it.

    None when its budget was deleted meanwhile. An update that changes nothing takes the lock on PostgreSQL and on
    SQLite, which has no SELECT … FOR UPDATE.
    """
    BudgetPeriod.objects.filter(pk=period.pk).update(reserved=F("reserved"))
    return BudgetPeriod.objects.select_related("budget").filter(pk=period.pk).first()


def _too_much(period: BudgetPeriod, amount: Decimal) -> str:
    return (
        f"Of {period.budget.limit:.2f} USD for this {period.budget.period}, {period.spent:.4f} are spent and "
        f"{period.reserved:.4f} reserved, and the request may cost {amount:.4f}."
    )


def warn_of_refusal(budgets: Iterable[Budget], most: Decimal | None) -> None:
    """Warn of each budget of which so much is spent that it refuses what it would let through if nothing were.

    To be called in the transaction that records the refusal.
    """
    for budget in budgets:
        if most is not None and most <= budget.limit:
            for period in budget.periods.filter(begins=begin_of(budget), spent__gt=budget.limit - most):
                _warn(period)


def _warn(period: BudgetPeriod) -> None:
    """Tell on commit how much is spent, unless that was told before, or is about to be."""
    if BudgetPeriod.objects.filter(pk=period.pk, warn_since=None).update(warn_since=Now()):
        transaction.on_commit(partial(_tell, period), robust=True)


def warn_again() -> None:
    """Tell what nobody has noted as told a lease after it was to be: the process that was to tell it has died."""
    untold = BudgetPeriod.objects.filter(has_warned=False, warn_since__lt=Now() - lease())
    for period in untold.select_related("budget"):
        if untold.filter(pk=period.pk).update(warn_since=Now()):  # of several at the same time one tells it
            _tell(period)


def _tell(period: BudgetPeriod) -> None:
    budget = period.budget
    budget_nearly_spent.send_robust(Budget, instance=budget, period=period)
    text = f"AI budget {budget.name}: {period.spent:.2f} of {budget.limit:.2f} USD for this {budget.period} are spent."
    sentry.capture_message(text, level="warning", context={"budget": budget.name})
    BudgetPeriod.objects.filter(pk=period.pk).update(has_warned=True)


def read_limits() -> Gauge:
    """Return the limits in USD, by budget; the first refusal of each then counts from 0."""
    limits = {budget.name: float(budget.limit) for budget in Budget.objects.all()}
    for name in limits:
        metrics.series(metrics.ai_budget_rejections_total, name)
    return {(name,): limit for name, limit in limits.items()}


def read_spent() -> Gauge:
    """Return what is spent of each budget in its day or month, in USD."""
    return _current("spent")


def read_reserved() -> Gauge:
    """Return what is reserved of each budget in its day or month, in USD."""
    return _current("reserved")


def _current(field: str) -> Gauge:
    return {(period.budget.name,): float(getattr(period, field)) for period in periods_now()}


def periods_now() -> list[BudgetPeriod]:
    """Return the day or month of each budget."""
    return list(map(period_now, with_recent(Budget.objects.select_related("user"))))


def with_recent(rows: QuerySet[Budget]) -> QuerySet[Budget]:
    """Let `period_now` know the periods of all these budgets from one query."""
    begins = {begin_of(Budget(period=period)) for period in Budget.Period.values}
    recent = BudgetPeriod.objects.filter(begins__in=begins)
    return rows.prefetch_related(Prefetch("periods", recent, to_attr="recent"))


def period_now(budget: Any) -> BudgetPeriod:
    """Return the day or month in which such a budget is; one that nobody has used in it is at 0."""
    begins = begin_of(budget)
    found = (period for period in budget.recent if period.begins == begins)
    return next(found, BudgetPeriod(budget=budget, begins=begins))


GAUGES = {
    metrics.ai_budget_limit_usd: read_limits,
    metrics.ai_budget_spent_usd: read_spent,
    metrics.ai_budget_reserved_usd: read_reserved,
}
