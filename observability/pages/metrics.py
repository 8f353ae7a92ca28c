"""What the page "Observability › Metrics" shows."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from time import time
from typing import Any
from urllib.parse import urlencode, urlsplit

from django.http import HttpRequest
from django.template.loader import render_to_string
from django.urls import NoReverseMatch, reverse
from django.utils import timezone
from prometheus_client.metrics import MetricWrapperBase

from observability import exposition, metrics, sources
from observability.conf import get_conf
from observability.history import RANGES, read
from observability.history.door import prometheus_link

from . import charts, formats, now, sections, tables

ROWS, MORE = 10, 50  # series shown at first, and with each step
DEFAULT = "1h"
FRAGMENTS = ("messages", "now", "note", "tables", "series")  # what a script puts in the place of what was there
FOLDER = "admin/observability/metric"


@dataclass(frozen=True)
class Reading:
    """One look at everything recorded."""

    at: float
    answers: sources.Answers
    families: exposition.Snapshot


def take() -> Reading:
    """Look at everything recorded."""
    answers = sources.ask()
    return Reading(time(), answers, exposition.snapshot(answers=answers))


def context(request: HttpRequest, reading: Reading) -> dict[str, Any]:
    """All that the templates want."""
    span = RANGES.get(request.GET.get("range", ""), RANGES[DEFAULT])
    history = read(span, reading.families, reading.at)
    has_jobs = _has(reading, metrics.automation_jobs_total, "job_type")
    has_ai = _has(reading, metrics.ai_requests_total, "model")
    budget = sections.budget_of_today(request) if has_ai else None
    configured = bool(get_conf().PROMETHEUS_URL)
    drawn = charts.make(history, jobs=has_jobs, spend=has_ai, limit=budget.limit if budget else None)
    return {
        "enabled": get_conf().METRICS_ENABLED,
        "prometheus_url": prometheus_link() if configured or history.source == "prometheus" else "",
        "json_url": _json_url(),
        "spend_url": sections.url_of(request, "spend"),
        "ranges": [(one, _query(request, range=one.name)) for one in RANGES.values()],
        "range": span,
        "at": reading.at,
        "read_at": formats.clock(reading.at),
        "gauges": now.gauges(reading.families, reading.answers, history),
        "lately": [
            *now.lately(history, jobs=has_jobs, failed_url=sections.url_of(request, "jobs")),
            *(now.spend(charts.last(chart.lines[0].values), budget) for chart in drawn if chart.id == "spend"),
        ],
        "history": history,
        "prometheus": urlsplit(prometheus_link()).netloc,
        "configured": configured,
        "zone": timezone.get_current_timezone_name(),
        "charts": drawn,
        "nothing": all(chart.empty for chart in drawn),
        "endpoint_tables": tables.endpoints(history.details),
        "job_tables": [*tables.jobs(request, history.details), *sections.tables(request)] if has_jobs else [],
        **_series(request, reading.families),
    }


def data(request: HttpRequest, reading: Reading) -> dict[str, Any]:
    """What a script needs to bring the page up to date."""
    values = context(request, reading)
    return {
        "at": reading.at,
        "range": values["range"].name,
        "charts": [chart.as_json() for chart in values["charts"]],
        "fragments": {name: render_to_string(f"{FOLDER}/{name}.html", values, request) for name in FRAGMENTS},
    }


def _has(reading: Reading, metric: MetricWrapperBase, label: str) -> bool:
    """Whether the site has jobs, or asks models: it said so beforehand, or one of them was counted."""
    families = (family for family in reading.families if family.name == metric._name)
    counted = any(sample.value for family in families for sample in family.samples)
    return counted or bool(metrics.expected(label))


def _json_url() -> str:
    """Where the same numbers are as JSON, where the host serves them."""
    with suppress(NoReverseMatch):
        return reverse("observability:metrics_json")
    return ""


def _query(request: HttpRequest, **changes: object) -> str:
    kept = {name: request.GET[name] for name in ("range", "q") if request.GET.get(name)}
    return f"?{urlencode(kept | changes)}"


def _series(request: HttpRequest, families: Sequence[Any]) -> dict[str, Any]:
    query = request.GET.get("q", "").strip()
    wanted = request.GET.get("rows", "")
    most = int(wanted) if wanted.isdecimal() and len(wanted) < 7 else ROWS
    rows = list(exposition.to_rows(families))
    found = [row for row in rows if query.lower() in f"{row.name}{{{row.labels}}}".lower()]
    return {
        "query": query,
        "total": len(rows),
        "found": len(found),
        "rows": found[:most],
        "more": _query(request, rows=most + MORE) if len(found) > most else "",
        "more_count": min(MORE, len(found) - most),
    }
