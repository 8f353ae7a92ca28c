"""Spend by day as a chart, stacked by model; which colour a model has."""

from collections.abc import Iterable
from datetime import date, timedelta
from decimal import Decimal

from automation import daybook
from automation.admin.spend.reading import Reading
from observability.pages import formats
from observability.pages.charts import Chart, Line

MODELS = 5  # with a colour of their own
OTHER = 6  # the colour of all others
DAY_SECONDS = 86400


def roles(reading: Reading) -> dict[str, int]:
    """Return the colours of the costliest models."""
    costly = [model for model, sums in reading.ranked("model") if sums.spent]
    return {model: role for role, model in enumerate(costly[:MODELS], 1)}


def by_day(reading: Reading) -> Chart:
    """Return the chart."""
    days = daybook.days_between(daybook.day_of(reading.since), daybook.day_of(reading.now))
    own = roles(reading)
    others = [model for model, _ in reading.ranked("model") if model not in own]
    named = [([model], model, role) for model, role in own.items()]
    if any(reading.book.by["model"][model].spent for model in others):
        named.append((others, f"other ({len(others)} models)", OTHER))
    has_any = reading.total.spent is not None
    lines = [
        Line(label, role, [float(_spent(reading, day, models)) for day in days], total=True)
        for models, label, role in named
    ] or [Line("Spent", 1, [0.0 if has_any else None for _ in days], total=True)]
    times = [int(daybook.begin_of(day).timestamp()) for day in days]
    end = int(daybook.begin_of(days[-1] + timedelta(days=1)).timestamp())
    return Chart(
        id="spend-by-day",
        title="Spend by day",
        unit="USD, stacked by model",
        kind="bars",
        format="usd",
        times=times,
        start=times[0],
        end=end,
        lines=lines,
        summary=_summary(reading, days),
        bar=DAY_SECONDS,
    )


def _spent(reading: Reading, day: date, models: Iterable[str]) -> Decimal:
    found = (reading.book.by_day.get((day, model)) for model in models)
    return sum((sums.spent for sums in found if sums and sums.spent), Decimal(0))


def _summary(reading: Reading, days: list[date]) -> str:
    """``$412.72 in all, $13.76 a day on average, most on Mon 16 Nov: $24.76; today is not over``"""
    spent = reading.total.spent
    if spent is None:
        return "Nothing recorded yet."
    models = list(reading.book.by["model"])
    most, day = max((_spent(reading, day, models), day) for day in days)
    average = f", {formats.usd(float(spent) / len(days))} a day on average" if len(days) > 1 else ""
    highest = f", most on {day:%a} {day.day} {day:%b}: {formats.usd(float(most))}" if len(days) > 1 else ""
    return f"{formats.usd(float(spent))} in all{average}{highest}; today is not over"
