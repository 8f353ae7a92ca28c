"""The history of a range of time, from the best source there is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from time import monotonic, perf_counter
from typing import Protocol
from urllib.parse import urlsplit

from django.utils import timezone
from prometheus_client.metrics_core import Metric

from observability.conf import get_conf, prometheus_url
from observability.logs import warn
from observability.probes import Answer, Probe, Silent, ask_all

from .amounts import DETAILS, TOTALS, Wanted, take
from .own import Own
from .prometheus import Prometheus, Unusable
from .ranges import Grid, Range
from .steps import Step

PATIENCE = 2.0  # seconds for all questions to Prometheus
REST = 30.0  # seconds in which one that did not answer is left alone
REQUESTS: Wanted = {name: TOTALS[name] for name in ("http_requests_total", "http_request_duration_seconds_bucket")}
SPEND: Wanted = {"ai_cost_usd_sum": ()}

_rest_until = 0.0
_problem = ""


class Source(Protocol):
    """Where history comes from; every call may raise."""

    @property
    def name(self) -> str: ...

    def steps(self, grid: Grid) -> list[Step | None]:
        """What was added in each step."""

    def increase(self, wanted: Wanted, begin: float, end: float) -> Step | None:
        """What was added from a moment to another; None where nobody knows."""


@dataclass(frozen=True)
class History:
    """All that the page shows of the past."""

    source: str  # "prometheus", "own", or "none" where neither could be read
    problem: str  # why it is not Prometheus
    range: Range
    grid: Grid
    now: float
    steps: Sequence[Step | None]
    spent_before: float  # USD, from the midnight before the grid's start until then
    details: Step | None  # of the whole range
    minute: Step | None
    minutes: Step | None  # the last five


def read(span: Range, families: Sequence[Metric], now: float) -> History:
    """The history of a range; ``families`` is a snapshot of now. A source that is silent costs time, and no more."""
    found = _from_prometheus(span, now)
    if isinstance(found, History):
        return found
    own = Own(now, [(wanted, take(families, wanted, now)) for wanted in (TOTALS, DETAILS)])
    answer = _in_time(own, span, now, found, 4 * get_conf().SOURCE_TIMEOUT)
    if answer.value is not None:
        return answer.value
    warn("history", "Samples cannot be read: %r", answer.error)
    grid = span.grid(now)
    return History("none", found, span, grid, now, [None] * len(grid.starts), 0.0, None, None, None)


def _in_time(source: Source, span: Range, now: float, problem: str, seconds: float) -> Answer[History]:
    probe: Probe[History] = Probe(partial(_read, source, span, now, problem), lambda: seconds)
    return ask_all([probe], seconds)[0]


def _from_prometheus(span: Range, now: float) -> History | str:
    """Or why not; a server that failed is not asked again at once."""
    global _rest_until, _problem
    if monotonic() < _rest_until:
        return _problem
    source = Prometheus(prometheus_url(), now, perf_counter() + PATIENCE)
    answer = _in_time(source, span, now, "", PATIENCE)
    if answer.value is not None:
        return answer.value
    _rest_until, _problem = monotonic() + REST, _reason(answer.error)
    return _problem


def _reason(error: BaseException | None) -> str:
    """In words that give nothing away."""
    if isinstance(error, Silent):
        return f"did not answer within {PATIENCE:g} s"
    return str(error) if isinstance(error, Unusable) else "did not answer"


def prometheus_link() -> str:
    """The address of the Prometheus server, without a password that it may carry."""
    parts = urlsplit(prometheus_url())
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()


def _read(source: Source, span: Range, now: float, problem: str) -> History:
    grid = span.grid(now)
    steps = source.steps(grid)
    if source.name == "prometheus" and not any(steps):
        raise Unusable("has no numbers of this site")
    return History(
        source=source.name,
        problem=problem,
        range=span,
        grid=grid,
        now=now,
        steps=steps,
        spent_before=_sum(source.increase(SPEND, midnight(grid.start), grid.start)),
        details=source.increase(DETAILS, grid.start, now),
        minute=source.increase(REQUESTS, now - 60, now),
        minutes=source.increase(REQUESTS, now - 300, now),
    )


def _sum(step: Step | None) -> float:
    return step.sum("ai_cost_usd_sum") if step else 0.0


def midnight(at: float) -> float:
    """When the day began by the clocks of the settings' time zone, as budgets have it, whatever zone is active."""
    moment = datetime.fromtimestamp(at, timezone.get_default_timezone())
    return moment.replace(hour=0, minute=0, second=0, microsecond=0, fold=0).timestamp()
