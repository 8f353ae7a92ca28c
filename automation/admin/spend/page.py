"""All that the page of what was spent shows, and the same as CSV."""

from collections.abc import Iterable
from typing import Any

from django.http import HttpRequest

from automation import budgets
from automation.admin.spend import budget_rows, chart, tables
from automation.admin.spend.ranges import RANGES
from automation.admin.spend.reading import Reading
from automation.admin.spend.tiles import tiles
from automation.daybook import AMOUNTS, Sums, add
from automation.forecast import forecast
from automation.spend import NONE
from automation.spreadsheets import to_csv
from observability.pages import formats

HEAD = ("by", "key", *AMOUNTS)
SORTED = ("model", "job_type", "step", "outcome", "no_price", "no_usage")


def context(request: HttpRequest) -> dict[str, Any]:
    """Return all that the template wants."""
    reading = Reading(request)
    drawn = chart.by_day(reading)
    periods = budgets.periods_now()
    return {
        "ranges": [(one, f"?range={one.name}") for one in RANGES.values()],
        "range": reading.range,
        "read_at": formats.clock(reading.now.timestamp()),
        "zone": str(reading.now.tzinfo),
        "reach": _reach(reading),
        "tiles": tiles(reading, budget_rows.of_today(periods)),
        "budgets": budget_rows.rows(reading, periods),
        "forecast": forecast(reading.now),
        "chart": drawn,
        "data": {"charts": [drawn.as_json()], "fragments": {}},
        "breakdowns": tables.breakdowns(reading),
        "jobs": tables.costliest_jobs(reading),
        "unpriced": tables.unpriced(reading),
        "metrics_url": reading.url("observability", "metric_changelist"),
        "budgets_url": reading.url("automation", "budget_changelist"),
        "prices_url": reading.url("observability", "modelprice_changelist"),
    }


def _reach(reading: Reading) -> str:
    """``25 Oct – 23 Nov 2026``"""
    first, last = reading.since, reading.now
    begin = f"{first.day} {first:%b}" + (f" {first.year}" if first.year != last.year else "")
    end = f"{last.day} {last:%b %Y}"
    return end if first.date() == last.date() else f"{begin} – {end}"


def as_csv(request: HttpRequest) -> tuple[str, str]:
    """Return the name of a file, and in it all that the page sums, with the costliest jobs."""
    reading = Reading(request)
    lines = ((by, key or NONE, *(getattr(sums, name) for name in AMOUNTS)) for by, key, sums in _all(reading))
    return f"ai-spend-{reading.range.name}.csv", to_csv([HEAD, *lines])


def _all(reading: Reading) -> Iterable[tuple[str, str, Sums]]:
    book = reading.book
    for day in sorted({day for day, _ in book.by_day}):
        yield "day", str(day), add(sums for (of, _), sums in book.by_day.items() if of == day)
    for dimension in SORTED:
        yield from ((dimension, key, sums) for key, sums in reading.ranked(dimension))
    yield from (("user", name, sums) for _, name, sums in reading.users)
    yield from (("job", key, sums) for key, sums in book.costliest_jobs())
