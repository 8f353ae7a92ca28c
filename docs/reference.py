"""``make reference``: writes the tables of ``docs/metrics.md``, from the metrics as ``observability.metrics`` has them.

A table is the one below its comment ``<!-- make reference: NAME -->``; all else on the page is written by hand.
"""

# ruff: noqa: INP001  # a script, not a package

import re
from collections.abc import Callable, Iterable
from pathlib import Path

from prometheus_client.metrics import MetricWrapperBase

from observability import metrics

PAGE = Path(__file__).resolve().parent / "metrics.md"
TABLE = re.compile(r"(?<=<!-- make reference: )([\w, ]+)( -->\n\n)(?:\|.*\n)+")
# A public contract: names and labels do not change.
CORE = set(
    """
    http_requests_total http_request_duration_seconds http_request_size_bytes
    automation_jobs_total automation_job_duration_seconds automation_job_steps_total
    notion_requests_total notion_request_duration_seconds vercel_deployments_total vercel_deployment_duration_seconds
    ai_requests_total ai_tokens_total ai_cost_usd active_users active_jobs database_connections
    """.split()
)
# What there is to say beside the help text.
NOTES = {
    "http_requests_total": "Counted once, when the response is complete.",
    "http_requests_in_progress": "Over the living processes of this instance.",
    "http_exceptions_total": "`Http404` and `PermissionDenied` among them.",
    "automation_jobs_total": "One for each committed transition.",
    "automation_job_results_total": "The same by type, for failure ratios.",
    "automation_job_cost_usd": "What failure wastes; jobs without a known cost are not in it.",
    "automation_jobs_queued": "Read from the database, over all tracked models.",
    "automation_oldest_active_job_age_seconds": (
        "Read from the database, over all models tracked with a `heartbeat`; 0 when no job runs."
    ),
    "automation_job_last_success_timestamp_seconds": "Read from the database; absent until one did.",
    "ai_token_usage_total": (
        "`type` is `input`, `output`, `cached_input`, `cache_write` or `reasoning`: the first two are all "
        "that is billed, of which the other three are parts."
    ),
    "ai_cost_usd": "`ai_cost_usd_sum` is the spend.",
    "ai_unpriced_requests_total": "Unknown is not zero.",
    "active_users": "Within `ACTIVE_USERS_SECONDS`, over all processes and hosts.",
    "active_jobs": "Read from the database, over all tracked models.",
    "database_connections": (
        "PostgreSQL: the server's own count for this database; SQLite: this instance's open handles (Linux); "
        "elsewhere absent unless set by the application."
    ),
    "observability_source_up": "1 or 0; `source` is `database`, `cache`, or [one of yours](usage.md#own-gauges).",
    "observability_store_healthy": "1 or 0: 0 when the disk is full or the folder cannot be used.",
    "observability_series": "Each bucket of a histogram is one.",
    "observability_store_damaged_files_total": "The log has their names.",
    "observability_dropped_total": (
        "`reason` is `invalid_value`, `contradiction` (numbers of tokens that cannot all be), `series_cap`, "
        "`error`, `store_full`, `store_unusable`, or `interrupted` where a signal handler had to give way."
    ),
}
Rows = Iterable[Iterable[str]]


def table(header: str, rows: Rows) -> str:
    cells = header.split(", ")
    lines = [cells, ["---"] * len(cells), *rows]
    return "".join(f"| {' | '.join(line)} |\n".replace("|  |", "| |") for line in lines)


def of_group(*prefixes: str) -> str:
    """The metrics whose names begin so; with none, those that are in no group."""
    groups = ("http_", "automation_", "notion_", "vercel_", "ai_")
    chosen = [m for m in metrics.declared() if metrics.name_of(m).startswith(prefixes or groups) == bool(prefixes)]
    return table("name, type, labels, meaning", map(_row, chosen))


def _row(metric: MetricWrapperBase) -> list[str]:
    name = metrics.name_of(metric)
    mark = "**core** " if name in CORE else ""
    meaning = f"{metric._documentation} {NOTES.get(name, '')}".strip()
    return [f"{mark}`{name}`", metric._type, ", ".join(metric._labelnames), meaning]


def statuses() -> str:
    """The values of the label ``status``, metrics with the same ones in one row."""
    return table("metric, values", _together((m, _listed(metrics._outcomes[m])) for m in _with_status()))


def _with_status() -> list[MetricWrapperBase]:
    return [m for m in metrics._outcomes if m is not metrics.http_requests_total]


def _listed(values: Iterable[str]) -> str:
    return ", ".join(f"`{value}`" for value in values)


def buckets() -> str:
    """The upper bounds of all histograms but the last, which is infinity."""
    histograms = [m for m in metrics.declared() if m._type == "histogram"]
    return table("histograms, upper bounds", _together((m, _bounds(m)) for m in histograms))


def _bounds(histogram: MetricWrapperBase) -> str:
    return ", ".join(f"{bound:.10g}" for bound in histogram._upper_bounds[:-1])


def _together(values: Iterable[tuple[MetricWrapperBase, str]]) -> Rows:
    names: dict[str, list[str]] = {}
    for metric, value in values:
        names.setdefault(value, []).append(metrics.name_of(metric))
    return [(_listed(same), value) for value, same in names.items()]


TABLES: dict[str, Callable[[], str]] = {
    "HTTP": lambda: of_group("http_"),
    "jobs": lambda: of_group("automation_"),
    "services": lambda: of_group("notion_", "vercel_", "ai_"),
    "deployment": of_group,
    "statuses": statuses,
    "buckets": buckets,
}


def written(text: str) -> str:
    """The page with its tables anew."""
    return TABLE.sub(lambda found: f"{found[1]}{found[2]}{TABLES[found[1]]()}", text)


if __name__ == "__main__":
    PAGE.write_text(written(PAGE.read_text()))
