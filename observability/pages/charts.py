"""The charts: their points, and the same in words and in a table."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from math import ceil
from typing import Any

from observability.history import History, Step
from observability.history.door import midnight
from observability.history.ranges import DAY
from observability.history.steps import fold

from . import formats

Points = Sequence[float | None]
Write = Callable[[float | None], str]
ROWS = 30  # of a chart's table

WRITE: Mapping[str, Write] = {
    "rate": formats.rate,
    "percent": formats.percent,
    "seconds": formats.seconds,
    "count": formats.count,
    "usd": formats.usd,
}


@dataclass(frozen=True)
class Line:
    """One line or one colour of bars; colour is never alone, so each line of a chart has another dash."""

    label: str
    role: int  # of its colour
    values: Points
    dash: str = "solid"  # "dashed", "dotted"
    fill: bool = False
    total: bool = False  # the legend shows the sum, not the newest value


@dataclass(frozen=True)
class Chart:
    """What is drawn over ``times``, in seconds since the epoch."""

    id: str
    title: str
    unit: str
    kind: str  # "lines" or "bars"
    format: str
    times: Sequence[float]
    start: int
    end: int
    lines: Sequence[Line]
    summary: str
    bar: int = 0  # seconds
    shown: Sequence[str] = field(init=False)  # what the legend says of each line
    rows: Sequence[Sequence[str]] = field(init=False)

    def __post_init__(self) -> None:
        write = WRITE[self.format]
        newest = (_sum(line.values) if line.total else last(line.values) for line in self.lines)
        object.__setattr__(self, "shown", [write(value) for value in newest])
        object.__setattr__(self, "rows", list(self._rows(write)))

    @property
    def legend(self) -> list[tuple[Line, str]]:
        """Each line with what the legend says of it."""
        return list(zip(self.lines, self.shown, strict=True))

    @property
    def empty(self) -> bool:
        """Nothing is known of the whole time."""
        return all(value is None for line in self.lines for value in line.values)

    def _rows(self, write: Write) -> Iterable[Sequence[str]]:
        with_day, days = self.end - self.start >= DAY, self.bar >= DAY
        every = 1 if days else max(1, -(-len(self.times) // ROWS))
        when = formats.day if days else partial(formats.clock, with_day=with_day)
        known = [at for at in range(len(self.times)) if any(line.values[at] is not None for line in self.lines)]
        for at in known[::-1][::every]:
            yield when(self.times[at]), *(write(line.values[at]) for line in self.lines)

    def as_json(self) -> dict[str, Any]:
        """For the script that draws."""
        return vars(self) | {"lines": [vars(line) for line in self.lines], "empty": self.empty}


def last(values: Points) -> float | None:
    """The newest value that is known."""
    return next((value for value in reversed(values) if value is not None), None)


def _sum(values: Points) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) if known else None


def make(history: History, *, jobs: bool, spend: bool, limit: float | None = None) -> list[Chart]:
    """The charts of a page; those of jobs and of money only where there are any. ``limit``: of a day's spend in USD."""
    points = _Points(history)
    of_money = [partial(_spend, limit=limit)] if spend else []
    wanted: list[Callable[[_Points], Chart]]
    wanted = [_requests, _errors, _durations, *([_jobs] if jobs else []), *of_money, _resources]
    return [make_one(points) for make_one in wanted]


class _Points:
    """The steps of a history, as many together as make a point of a line, or a bar."""

    def __init__(self, history: History) -> None:
        self.history = history
        grid, span = history.grid, history.range
        begun = range(grid.start, min(grid.end, ceil(history.now)), span.point)
        self.times = [min(start + span.point, history.now) for start in begun]
        self.points = [fold(group) for group in self._of_points(history.steps)]
        self.bars = [fold(group) for group in _groups(history.steps, span.bar // span.step)]
        self.bar_times = list(range(grid.start, grid.end, span.bar))

    def of(self, value: Callable[[Step], float | None]) -> list[float | None]:
        """A number of each point."""
        return [value(point) if point else None for point in _steady(self.points, self.history.range.point)]

    def worst(self, value: Callable[[Step], float | None]) -> list[float | None]:
        """The greatest among the steps of each point: a long point would hide a spike."""
        span = self.history.range
        steps = _steady(self.history.steps, span.step)
        return [max(_known(value, group), default=None) for group in self._of_points(steps)]

    def _of_points(self, steps: Sequence[Step | None]) -> Iterable[list[Step | None]]:
        """The steps of each point that has begun."""
        span = self.history.range
        return islice(_groups(steps, span.point // span.step), len(self.times))

    def line_chart(self, name: str, title: str, unit: str, form: str, lines: Sequence[Line], summary: str) -> Chart:
        """A chart over the range's time."""
        grid = self.history.grid
        return Chart(name, title, unit, "lines", form, self.times, grid.start, grid.end, lines, summary)

    def extremes(self, values: Points, form: str, *, lowest: bool = True) -> str:
        """``Now 19.4/s, lowest 14.3/s, highest 22.3/s at 13:14``"""
        known = [(value, at) for value, at in zip(values, self.times, strict=True) if value is not None]
        if not known:
            return NOTHING
        write = WRITE[form]
        high, at = max(known)
        low = f" lowest {write(min(known)[0])}," if lowest else ""
        when = formats.clock(at, with_day=self.history.range.seconds > DAY)
        return f"Now {write(known[-1][0])},{low} highest {write(high)} at {when}"


NOTHING = "Nothing recorded yet."
NEVER = Step(0.0, {}, {})


def _groups(steps: Sequence[Step | None], size: int) -> Iterable[list[Step | None]]:
    rest = iter(steps)
    while group := list(islice(rest, size)):
        yield group


def _steady(steps: Sequence[Step | None], seconds: int) -> list[Step | None]:
    """What is under way counts together with what was before, until half of its time is over: else it would jump."""
    newest = max((at for at, step in enumerate(steps) if step), default=0)
    if not newest or (steps[newest] or NEVER).seconds >= seconds / 2:
        return list(steps)
    return [*steps[:newest], fold(steps[newest - 1 : newest + 1]), *steps[newest + 1 :]]


def _known(value: Callable[[Step], float | None], steps: Iterable[Step | None]) -> list[float]:
    found = [value(step) for step in steps if step]
    return [one for one in found if one is not None]


def _requests(points: _Points) -> Chart:
    values = points.of(lambda step: step.request_rate)
    line = Line("Requests", 1, values, fill=True)
    return points.line_chart("requests", "Requests", "per second", "rate", [line], points.extremes(values, "rate"))


def _errors(points: _Points) -> Chart:
    values = points.worst(lambda step: step.error_ratio)
    line = Line("Server errors", 2, values, fill=True)
    summary = points.extremes(values, "percent")
    return points.line_chart("errors", "Server errors", "% of requests", "percent", [line], summary)


def _durations(points: _Points) -> Chart:
    lines = [
        Line("p99", 4, points.worst(lambda step: step.request_quantile(0.99)), "dotted"),
        Line("p95", 3, points.of(lambda step: step.request_quantile(0.95)), "dashed"),
        Line("p50", 1, points.of(lambda step: step.request_quantile(0.5))),
    ]
    return points.line_chart(
        "durations", "Response time", "p50, p95, p99", "seconds", lines, _highest(lines, "seconds")
    )


def _highest(lines: Sequence[Line], form: str) -> str:
    """``p99 highest 1.86 s, p95 highest 674 ms``"""
    write = WRITE[form]
    found = ((line.label, max((v for v in line.values if v is not None), default=None)) for line in lines)
    words = ", ".join(f"{label} highest {write(value)}" for label, value in found if value is not None)
    return words or NOTHING


def _jobs(points: _Points) -> Chart:
    history, outcomes = points.history, (("success", 1), ("failed", 2), ("cancelled", 6))
    lines = [
        Line(
            status.capitalize(),
            role,
            [round(bar.sum("automation_jobs_total", status)) if bar else None for bar in points.bars],
            total=True,
        )
        for status, role in outcomes
    ]
    sums = [_sum(line.values) for line in lines]
    summary = ", ".join(f"{formats.count(n)} {status}" for n, (status, _) in zip(sums, outcomes, strict=True))
    return Chart(
        id="jobs",
        title="Jobs ended",
        unit=f"per {formats.age(history.range.bar).removesuffix(' 00 s').removesuffix(' 00 min')}, by outcome",
        kind="bars",
        format="count",
        times=points.bar_times,
        start=history.grid.start,
        end=history.grid.end,
        lines=lines,
        summary=NOTHING if None in sums else summary,
        bar=history.range.bar,
    )


def _spend(points: _Points, limit: float | None) -> Chart:
    values = list(_since_midnight(points))
    lines = [Line("Spent", 1, values, fill=True)]
    known = last(values)
    summary = NOTHING if known is None else f"Now {formats.usd(known)}"
    if limit is not None:
        lines.append(Line("Budget of the day", 3, [None if value is None else limit for value in values], "dashed"))
        summary += f", {formats.percent(known / limit)} of {formats.usd(limit)}" if known is not None and limit else ""
    unit = "USD since 00:00" if points.history.range.seconds <= DAY else "USD since 00:00 of each day"
    return points.line_chart("spend", "AI spend today", unit, "usd", lines, summary)


def _since_midnight(points: _Points) -> Iterable[float | None]:
    spent, day = points.history.spent_before, midnight(points.history.grid.start)
    for point, at in zip(points.points, points.times, strict=True):
        if (today := midnight(at)) != day:
            spent, day = 0.0, today
        if point:
            spent += point.sum("ai_cost_usd_sum")
        yield spent if point else None


def _resources(points: _Points) -> Chart:
    named = (("Users", "active_users", 1, "solid"), ("Connections", "database_connections", 3, "dashed"))
    lines = [
        Line(label, role, points.of(lambda step, name=name: step.gauges.get(name)), dash)  # type: ignore[misc]
        for label, name, role, dash in (*named, ("Jobs", "active_jobs", 4, "dotted"))
    ]
    lines = [line for line in lines if last(line.values) is not None] or lines
    summary = _highest(lines, "count")
    return points.line_chart("resources", "Users, jobs, connections", "count", "count", lines, summary)
