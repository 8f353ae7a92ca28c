"""How it is now: gauges with the health of their source, and the last minutes in a few numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from prometheus_client.metrics import MetricWrapperBase
from prometheus_client.metrics_core import Metric

from observability import exposition, metrics, sources
from observability.conf import get_conf
from observability.history import History

from . import formats
from .sections import Budget


@dataclass(frozen=True)
class Tile:
    """One number; ``value`` is an en dash while nobody knows it."""

    title: str
    value: str
    unit: str = ""
    note: str = ""
    health: str = ""
    up: bool | None = None  # None: not read from a service
    url: str = ""
    link: str = ""
    meter: Sequence[float] = ()  # parts of the whole: what is spent, and with what is reserved

    @property
    def lengths(self) -> list[str]:
        """Those of the meter, which ends where the whole does."""
        return [f"{min(part, 1) * 100:.1f}%" for part in self.meter]


GAUGES: Mapping[str, MetricWrapperBase] = {
    "Active users": metrics.active_users,
    "Active jobs": metrics.active_jobs,
    "Database connections": metrics.database_connections,
}


def gauges(families: exposition.Snapshot, answers: sources.Answers, history: History) -> list[Tile]:
    """The current gauges, each with its source."""
    found = {family.name: family for family in families}
    return [_gauge(title, metric, found, answers, history) for title, metric in GAUGES.items()]


def _gauge(
    title: str,
    metric: MetricWrapperBase,
    families: Mapping[str, Metric],
    answers: sources.Answers,
    history: History,
) -> Tile:
    family = families.get(metric._name)
    service = sources.service_of(metric)
    value = exposition.human_number(family.samples[0].value) if family else formats.NONE
    if family is not None and not isinstance(family, sources.SourceFamily):
        return Tile(title, value, note="set by the application")
    if service is None:
        return Tile(title, value, note="not known here")
    answer = answers[service]
    up = answer.value is not None and not answer.value[1]
    health = f"{service} {'answered in' if up else 'failed after'} {answer.seconds * 1000:,.0f} ms"
    if value == formats.NONE:
        return Tile(title, value, health=f"{health}{_last_value(metric, history)}", up=up)
    return Tile(title, value, note=_note(metric, families), health=health, up=up)


def _note(metric: MetricWrapperBase, families: Mapping[str, Metric]) -> str:
    if metric is metrics.active_users:
        return f"seen in the last {formats.seconds(get_conf().ACTIVE_USERS_SECONDS).removesuffix(' 00 s')}"
    if metric is metrics.active_jobs:
        queued = families.get(metrics.automation_jobs_queued._name)
        number = sum(s.value for s in queued.samples) if queued else 0
        return f"{formats.count(number)} queued" if number else "none queued"
    return ""


def _last_value(metric: MetricWrapperBase, history: History) -> str:
    for step, start in zip(reversed(history.steps), reversed(history.grid.starts), strict=True):
        if step and (value := step.gauges.get(metric._name)) is not None:
            return f"; last value {exposition.human_number(value)}, {formats.clock(start)}"
    return ""


def lately(history: History, *, jobs: bool, failed_url: str) -> list[Tile]:
    """The last minutes: requests, errors, times; of the whole range jobs that failed."""
    tiles = [_requests(history), _errors(history), _durations(history)]
    if jobs:
        tiles.append(_jobs(history, failed_url))
    return tiles


def _requests(history: History) -> Tile:
    step = history.minute
    value = formats.rate(step.request_rate) if step else formats.NONE
    number, _, unit = value.partition("/")
    return Tile("Requests", number, f"/{unit}" if unit else "", "last minute")


def _errors(history: History) -> Tile:
    ratio = history.minutes.error_ratio if history.minutes else None
    number, _, unit = formats.percent(ratio).partition(" ")
    note = "no requests in 5 min" if ratio is None else f"of requests, {formats.unbroken('last 5 min')}"
    return Tile("Server errors", number, unit and f" {unit}", note)


def _durations(history: History) -> Tile:
    step = history.minutes
    p50, p95, p99 = (step.request_quantile(q) if step else None for q in (0.5, 0.95, 0.99))
    number, _, unit = formats.seconds(p95).partition(" ")
    named = (f"{name} {formats.seconds(value)}" for name, value in (("p50", p50), ("p99", p99)))
    note = "no requests in 5 min" if p95 is None else " · ".join(formats.unbroken(one) for one in named)
    return Tile("Response time p95", number, unit and f" {unit}", note)


def _jobs(history: History, url: str) -> Tile:
    results = history.details.counters.get("automation_job_results_total", {}) if history.details else {}
    ended = sum(results.values())
    failed = sum(value for (_, status), value in results.items() if status == "failed")
    if not round(ended):
        return Tile(
            "Jobs failed", "0" if history.details else formats.NONE, " of 0", f"none ended in {history.range.short}"
        )
    note = f"{formats.percent(failed / ended)} in {history.range.short}"
    return Tile("Jobs failed", formats.count(failed), f" of {formats.count(ended)}", note, url=url, link="the latest")


def spend(spent: float | None, budget: Budget | None) -> Tile:
    """What AI has cost since midnight, in USD."""
    title, value = "AI spend today", formats.usd(spent)
    if budget is None:
        return Tile(title, value, note="USD since 00:00")
    unit, ahead = f" of {formats.usd(budget.limit)}", ""
    if budget.forecast is not None and budget.forecast >= (spent or 0):  # a budget counts from when it was made
        ahead = f" · forecast {formats.usd(budget.forecast)}"
    note = f"{formats.usd(budget.reserved)} reserved{ahead}"
    if spent is None or not budget.limit:
        return Tile(title, value, unit, note)
    part, held = spent / budget.limit, (spent + budget.reserved) / budget.limit
    return Tile(title, value, f"{unit}, {formats.percent(part)}", note, meter=(part, held))
