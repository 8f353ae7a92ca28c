"""What the rows of jobs, steps and AI requests would have made of the metrics, had somebody scraped them meanwhile.

As OpenMetrics text with time stamps (https://prometheus.io/docs/specs/om/open_metrics_spec/), of which Prometheus makes
blocks (https://prometheus.io/docs/prometheus/latest/storage/#backfilling-from-openmetrics-format).
"""

from bisect import bisect_left
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from itertools import accumulate, chain
from typing import Any

from django.db.models import Count, QuerySet, Sum
from prometheus_client.metrics import Histogram, MetricWrapperBase
from prometheus_client.utils import floatToGoString

from automation.models import AIRequest, AIRequestStatus, Job, JobStatus, Step, StepStatus
from observability import metrics
from observability.labels import clean

ENDED = [JobStatus.SUCCESS, JobStatus.FAILED, JobStatus.CANCELLED]
CHUNK = 2000  # rows that are read at once

Event = tuple[datetime, tuple[str, ...], float]  # when, label values, by how much or what was observed
Row = dict[str, Any]
Source = tuple[str, QuerySet[Any]]  # the field that says when, and the rows
Tell = Callable[[Row], Iterable[tuple[tuple[str, ...], Any]]]


@dataclass
class Series:
    """What was counted or observed so far under the same label values, and how its samples begin."""

    heads: list[str]
    bounds: list[float]  # of a histogram
    counts: list[float] = field(default_factory=lambda: [0.0])
    sum: float = 0.0

    def add(self, value: float) -> None:
        """Count by so much, or observe it."""
        if self.bounds:
            self.counts[bisect_left(self.bounds, value)] += 1
            self.sum += value
        else:
            self.counts[0] += value

    def lines(self, moment: int) -> Iterator[str]:
        """The samples as they are at a moment, in seconds since 1970."""
        values = list(accumulate(self.counts))
        if self.bounds:
            values += [values[-1], self.sum]
        for head, value in zip(self.heads, values, strict=True):
            yield f"{head}{floatToGoString(value)} {moment}\n"


def lines(since: datetime, until: datetime, step: int, labels: dict[str, str]) -> Generator[str, None, None]:
    """Yield the text line by line: each series from its first event on, every `step` seconds, and at the end."""
    for metric, events in _families(since, until):
        base = str(metric._name)
        yield f"# HELP {base} {metric._documentation}\n# TYPE {base} {metric._type}\n"
        yield from _samples(metric, events, range(int(since.timestamp()), int(until.timestamp()), step), until, labels)
    yield "# EOF\n"


def _samples(
    metric: MetricWrapperBase, events: Iterator[Event], moments: range, until: datetime, labels: dict[str, str]
) -> Iterator[str]:
    found: dict[tuple[str, ...], Series] = {}
    event: Event | None = None
    before = moments.start
    for moment in chain(moments[1:], [int(until.timestamp()) + 1]):
        event = event or next(events, None)
        while event and event[0].timestamp() < moment:
            _, values, value = event
            if values not in found:
                found[values] = _series(metric, values, labels)
                yield from found[values].lines(before)  # at 0, so that increase() sees the first
            found[values].add(value)
            event = next(events, None)
        for series in found.values():
            yield from series.lines(moment)
        before = moment


def _series(metric: MetricWrapperBase, values: tuple[str, ...], labels: dict[str, str]) -> Series:
    named = dict(zip(metric._labelnames, values, strict=True)) | labels
    if not isinstance(metric, Histogram):
        return Series([_head(f"{metric._name}_total", named)], [])
    bounds = list(metric._upper_bounds)
    heads = [_head(f"{metric._name}_bucket", named | {"le": floatToGoString(bound)}) for bound in bounds]
    heads += [_head(f"{metric._name}_{part}", named) for part in ("count", "sum")]
    return Series(heads, bounds, [0.0] * len(bounds))


def _head(name: str, labels: Mapping[str, str]) -> str:
    pairs = ",".join(f'{label}="{_escaped(value)}"' for label, value in labels.items())
    return f"{name}{{{pairs}}} "


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")


def _families(since: datetime, until: datetime) -> Iterator[tuple[MetricWrapperBase, Iterator[Event]]]:
    for metric, source, tell in FAMILIES:
        at, rows = source()
        rows = rows.filter(**{f"{at}__gte": since, f"{at}__lte": until}).order_by(at, "pk")
        yield metric, _events(rows, at, tell)


def _events(rows: QuerySet[Any], at: str, tell: Tell) -> Iterator[Event]:
    for row in rows.iterator(CHUNK):
        for labels, value in tell(row):
            if value is not None:
                yield row[at], tuple(map(clean, labels)), float(value)


def _jobs() -> Source:
    ended = Job.objects.filter(status__in=ENDED)
    costs = {"number": Count("ai_requests"), "priced": Count("ai_requests__cost"), "cost": Sum("ai_requests__cost")}
    return "finished_at", ended.annotate(**costs).values("job_type", "status", "duration", "finished_at", *costs)


def _starts() -> Source:
    return "started_at", Job.objects.exclude(started_at=None).values("job_type", "created_at", "started_at")


def _steps() -> Source:
    ended = Step.objects.exclude(status=StepStatus.RUNNING)
    return "finished_at", ended.values("name", "status", "duration", "finished_at")


def _requests() -> Source:
    return "created_at", AIRequest.objects.exclude(status=AIRequestStatus.RUNNING).values()


def _cost(job: Row) -> float | None:
    """As a job's end records it: None without a request, or where one has no known cost."""
    return job["cost"] if job["number"] == job["priced"] else None


def _is_unpriced(request: Row) -> bool:
    used = request["input_tokens"] + request["output_tokens"]
    return request["cost"] is None and bool(used or request["status"] == AIRequestStatus.SUCCESS)


FAMILIES: list[tuple[MetricWrapperBase, Callable[[], Source], Tell]] = [
    (metrics.automation_jobs_total, _jobs, lambda job: [((job["status"],), 1)]),
    (metrics.automation_job_results_total, _jobs, lambda job: [((job["job_type"], job["status"]), 1)]),
    (metrics.automation_job_duration_seconds, _jobs, lambda job: [((job["job_type"],), job["duration"])]),
    (metrics.automation_job_cost_usd, _jobs, lambda job: [((job["job_type"], job["status"]), _cost(job))]),
    (
        metrics.automation_job_queue_wait_seconds,
        _starts,
        lambda job: [((job["job_type"],), max(0.0, (job["started_at"] - job["created_at"]).total_seconds()))],
    ),
    (metrics.automation_job_steps_total, _steps, lambda step: [((step["name"], step["status"]), 1)]),
    (metrics.automation_step_duration_seconds, _steps, lambda step: [((step["name"],), step["duration"])]),
    (metrics.ai_requests_total, _requests, lambda request: [((request["model"], request["status"]), 1)]),
    (
        metrics.ai_tokens_total,
        _requests,
        lambda request: [((request["model"],), request["input_tokens"] + request["output_tokens"])],
    ),
    (
        metrics.ai_token_usage_total,
        _requests,
        lambda request: [((request["model"], kind), request[f"{kind}_tokens"]) for kind in metrics.TOKEN_TYPES],
    ),
    (metrics.ai_cost_usd, _requests, lambda request: [((request["model"],), request["cost"])]),
    (metrics.ai_request_duration_seconds, _requests, lambda request: [((request["model"],), request["duration"])]),
    (
        metrics.ai_time_to_first_token_seconds,
        _requests,
        lambda request: [((request["model"],), request["time_to_first_token"])],
    ),
    (metrics.ai_unpriced_requests_total, _requests, lambda request: [((request["model"],), _is_unpriced(request))]),
]
LABELS = {"le", *chain.from_iterable(metric._labelnames for metric, _, _ in FAMILIES)}
