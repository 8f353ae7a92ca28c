"""The numbers at the top."""

from decimal import Decimal

from django.utils.html import format_html

from automation import budgets, daybook
from automation.admin import formats
from automation.admin.spend.reading import Reading
from automation.daybook import add
from automation.models import AIRequest, BudgetPeriod, JobStatus
from observability.pages.formats import percent, usd, usd_exactly
from observability.pages.now import Tile

BADLY = (JobStatus.FAILED, JobStatus.CANCELLED)


def tiles(reading: Reading, budget_of_today: BudgetPeriod | None) -> list[Tile]:
    """Return what was spent, today's part of it, what was wasted, and what has no price."""
    return [_spent(reading), _today(reading, budget_of_today), _wasted(reading), _unpriced(reading)]


def _spent(reading: Reading) -> Tile:
    return Tile("Spent", _known(reading), note=_compared(reading))


def _compared(reading: Reading) -> str:
    """Only with a stretch that has requests before it: of the first one, part may be missing."""
    since, until = reading.range.stretch_before(reading.now)
    before, spent = daybook.cost(since, until), reading.total.spent
    if spent is None or not before or not AIRequest.objects.filter(created_at__lt=since).exists():
        return f"nothing to compare with in {reading.range.before}"
    change = f"{float(spent / before - 1) * 100:+.1f} %".replace("-", "−")
    return f"{change} on {reading.range.before}"


def _known(reading: Reading) -> str:
    """No request has cost nothing; requests without a price have cost nobody knows what."""
    return usd(reading.total.spent) if reading.total.number else "$0.00"


def _today(reading: Reading, period: BudgetPeriod | None) -> Tile:
    today = daybook.day_of(reading.now)
    sums = add(sums for (day, _), sums in reading.book.by_day.items() if day == today)
    value = usd(sums.spent) if sums.number else "$0.00"
    if period is None:
        return Tile("Today", value, note="no budget for each day")
    forecast, spent = budgets.forecast(period), sums.spent or Decimal(0)
    counted = f"{usd(period.spent)} of it in the budget · " if period.spent < spent else ""
    ahead = f" · forecast {usd(forecast)}" if forecast is not None and forecast >= spent else ""
    note = f"{counted}{usd(period.reserved)} reserved{ahead}"
    return Tile("Today", value, f" of {usd_exactly(period.budget.limit)}", note)


def _wasted(reading: Reading) -> Tile:
    by, total = reading.book.by["outcome"], reading.total
    jobs = formats.count(sum(by[status].jobs for status in BADLY if status in by))
    share = f"{percent(float((total.wasted or 0) / total.spent))}, " if total.spent else ""
    wasted = usd(total.wasted) if total.wasted is not None or any(s in by for s in BADLY) else "$0.00"
    return Tile("Wasted", wasted, note=f"{share}on {jobs} failed or cancelled jobs")


def _unpriced(reading: Reading) -> Tile:
    number = reading.total.unpriced
    models = len(reading.book.by["no_price"].keys() | reading.book.by["no_usage"].keys())
    if not number:
        return Tile("Requests without a price", "0", note="each has a cost")
    link = f"{models} models" if models > 1 else "1 model"
    sign = format_html('<span class="caution"><span aria-hidden="true">▲</span> {}</span>', formats.count(number))
    return Tile("Requests without a price", sign, note="in no sum", url="#unpriced", link=link)
