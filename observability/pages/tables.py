"""Where time and errors are: by endpoint, by job type, by step."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from django.http import HttpRequest

from observability.history import Step
from observability.history.amounts import Key, by
from observability.history.steps import quantile
from observability.metrics import JOB_SECONDS, REQUEST_SECONDS

from . import formats
from .sections import Cell, Column, Table, url_of

MOST = 10
NUMBER = "number"


def endpoints(step: Step | None) -> list[Table]:
    """The most time spent, and the most server errors."""
    counters = step.counters if step else {}
    statuses = counters.get("http_requests_total", {})
    return [
        _by_time(
            by(counters.get("http_request_duration_seconds_sum", {}), 0, 1),
            by(statuses, 0, 1),
            counters.get("http_request_duration_seconds_bucket", {}),
        ),
        _by_errors(statuses),
    ]


def _by_time(times: Mapping[Key, float], requests: Mapping[Key, float], buckets: Mapping[Key, float]) -> Table:
    total = sum(times.values())
    rows = []
    for key in _greatest(times):
        share = times[key] / total if total else 0
        p95 = quantile(0.95, _of(buckets, key), REQUEST_SECONDS)
        rows.append(
            (
                _endpoint(key),
                Cell(formats.count(requests.get(key, 0))),
                Cell(formats.seconds(p95)),
                Cell(formats.seconds(times[key])),
                Cell(formats.percent(share), share=share),
            )
        )
    columns = (
        Column("Endpoint"),
        Column("Requests", NUMBER, secondary=True),
        Column("p95", NUMBER),
        Column("Total", NUMBER, secondary=True),
        Column("Share", "meter"),
    )
    return Table("endpoints-time", "Most time spent", columns, rows, "No requests in this range.")


def _by_errors(statuses: Mapping[Key, float]) -> Table:
    failed = {key: value for key, value in statuses.items() if key[2].startswith("5")}
    errors, requests = by(failed, 0, 1), by(statuses, 0, 1)
    rows = []
    for key in _greatest(errors):
        of_key = sorted(_of(failed, key).items(), key=lambda item: -item[1])
        words = ", ".join(f"{status} × {formats.count(value)}" for (*_, status), value in of_key)
        ratio = formats.percent(errors[key] / requests[key])
        rows.append((_endpoint(key), Cell(formats.count(errors[key]), bad=True), Cell(ratio), Cell(words)))
    columns = (Column("Endpoint"), Column("Errors", NUMBER), Column("Ratio", NUMBER), Column("Status", secondary=True))
    return Table("endpoints-errors", "Most server errors", columns, rows, "No server errors in this range.")


def _endpoint(key: Key) -> Cell:
    method, endpoint = key[:2]
    return Cell(formats.identifier(endpoint), prefix=method)


def jobs(request: HttpRequest, step: Step | None) -> list[Table]:
    """Job types and steps, those that failed most often first, then the slowest."""
    counters = step.counters if step else {}
    waits = counters.get("automation_job_queue_wait_seconds_sum", {})
    started = counters.get("automation_job_queue_wait_seconds_count", {})

    def waited(key: Key) -> Cell:
        mean = waits.get(key, 0.0) / started[key] if started.get(key) else None
        return Cell(formats.seconds(mean), sort=mean)

    types = _outcomes(
        request,
        "job_type",
        counters.get("automation_job_results_total", {}),
        counters.get("automation_job_duration_seconds_bucket", {}),
        waited,
    )
    steps = _outcomes(
        request,
        "step",
        counters.get("automation_job_steps_total", {}),
        counters.get("automation_step_duration_seconds_bucket", {}),
    )
    wait = Column("Waited", NUMBER, sortable=True, secondary=True)
    return [
        Table("job-types", "Job types", (*_columns("Type"), wait), types, "No job ended in this range."),
        Table("steps", "Steps", _columns("Step"), steps, "No step ended in this range."),
    ]


def _columns(first: str) -> tuple[Column, ...]:
    return (
        Column(first, sortable=True),
        Column("Ended", NUMBER, sortable=True, secondary=True),
        Column("Failed", NUMBER, sortable=True),
        Column("Ratio", NUMBER, sortable=True),
        Column("p50", NUMBER, sortable=True, secondary=True),
        Column("p95", NUMBER, sortable=True),
    )


def _outcomes(
    request: HttpRequest,
    label: str,
    results: Mapping[Key, float],
    buckets: Mapping[Key, float],
    *more: Callable[[Key], Cell],
) -> list[tuple[Cell, ...]]:
    ended = {key: value for key, value in by(results, 0).items() if round(value)}
    rows = []
    for key, total in ended.items():
        failed = results.get((*key, "failed"), 0.0)
        p50, p95 = (quantile(q, _of(buckets, key), JOB_SECONDS) for q in (0.5, 0.95))
        name = Cell(formats.identifier(key[0]), url=url_of(request, label, key[0]))
        row = (
            name,
            Cell(formats.count(total), sort=total),
            Cell(formats.count(failed), sort=failed, bad=round(failed) > 0),
            Cell(formats.percent(failed / total), sort=failed / total),
            Cell(formats.seconds(p50), sort=p50),
            Cell(formats.seconds(p95), sort=p95),
            *(one(key) for one in more),
        )
        rows.append(row)
    return sorted(rows, key=lambda row: (row[2].sort or 0, row[5].sort or 0), reverse=True)[:MOST]


def _of(amounts: Mapping[Key, float], key: Key) -> dict[Key, float]:
    return {one: value for one, value in amounts.items() if one[: len(key)] == key}


def _greatest(amounts: Mapping[Key, float]) -> list[Key]:
    found = sorted(amounts, key=lambda key: amounts[key], reverse=True)
    return [key for key in found[:MOST] if amounts[key] > 0]
