"""Every metric of the app, declared once, and ``MetricsCollector``, which records them from code.

The metrics live in a registry of their own: a host project may define a metric of the same name without an error at
import (a system check tells it), and finds none of ours in its own registry.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from functools import partial, wraps
from http import HTTPStatus
from itertools import product
from threading import RLock
from typing import Any, ParamSpec, cast

import prometheus_client
from prometheus_client import CollectorRegistry
from prometheus_client.metrics import MetricWrapperBase

from . import exemplars, labels, spend, store
from .conf import get_conf
from .logs import warn

store.install()  # before the first metric is made: prometheus_client decides then where its values live

REGISTRY = CollectorRegistry()
Counter = partial(prometheus_client.Counter, registry=REGISTRY)
Gauge = partial(prometheus_client.Gauge, registry=REGISTRY)
Histogram = partial(prometheus_client.Histogram, registry=REGISTRY)

REQUEST_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 7.5, 10, 30, 60)
JOB_SECONDS = (0.1, 0.5, 1, 5, 10, 30, 60, 120, 300, 600, 1800, 3600, 7200)
CALL_SECONDS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120)
BYTES = (100, 1_000, 10_000, 100_000, 1_000_000, 10_000_000, 100_000_000)
COST_USD = (0.0001, 0.0005, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10, 50)

# HTTP

http_requests_total = Counter(
    "http_requests_total", "Requests answered, by method, route and status.", ["method", "endpoint", "status"]
)
http_request_duration_seconds = Histogram(
    "http_request_duration_seconds",
    "Time from entry into the middleware to the last byte of the response.",
    ["method", "endpoint"],
    buckets=REQUEST_SECONDS,
)
http_request_size_bytes = Histogram(
    "http_request_size_bytes",
    "Size of request bodies by Content-Length, requests with a body only.",
    ["method", "endpoint"],
    buckets=BYTES,
)
http_response_size_bytes = Histogram(
    "http_response_size_bytes",
    "Bytes of response bodies sent, streams included.",
    ["method", "endpoint"],
    buckets=BYTES,
)
http_requests_in_progress = Gauge(
    "http_requests_in_progress", "Requests being handled now.", ["method"], multiprocess_mode="livesum"
)
http_exceptions_total = Counter(
    "http_exceptions_total", "Exceptions that left a view, by class name.", ["endpoint", "exception"]
)
http_stream_first_byte_seconds = Histogram(
    "http_stream_first_byte_seconds",
    "Time to the first byte of streaming responses.",
    ["method", "endpoint"],
    buckets=REQUEST_SECONDS,
)

# Jobs and steps

automation_jobs_total = Counter("automation_jobs_total", "Jobs that ended, by outcome.", ["status"])
automation_job_duration_seconds = Histogram(
    "automation_job_duration_seconds", "Time from a job's start to its end.", ["job_type"], buckets=JOB_SECONDS
)
automation_job_results_total = Counter(
    "automation_job_results_total", "Jobs that ended, by type and outcome.", ["job_type", "status"]
)
automation_job_queue_wait_seconds = Histogram(
    "automation_job_queue_wait_seconds",
    "Time from a job's creation to its start.",
    ["job_type"],
    buckets=JOB_SECONDS,
)
automation_job_cost_usd = Histogram(
    "automation_job_cost_usd",
    "AI cost in USD of jobs that ended, by outcome.",
    ["job_type", "status"],
    buckets=COST_USD,
)
automation_jobs_queued = Gauge(
    "automation_jobs_queued", "Jobs that wait to be started.", ["job_type"], multiprocess_mode="mostrecent"
)
automation_oldest_active_job_age_seconds = Gauge(
    "automation_oldest_active_job_age_seconds",
    "Time since the oldest sign of life among the running jobs.",
    multiprocess_mode="mostrecent",
)
automation_job_last_success_timestamp_seconds = Gauge(
    "automation_job_last_success_timestamp_seconds",
    "When a job last succeeded, in seconds since the epoch.",
    ["job_type"],
    multiprocess_mode="mostrecent",
)
automation_job_steps_total = Counter("automation_job_steps_total", "Steps that ended, by outcome.", ["step", "status"])
automation_step_duration_seconds = Histogram(
    "automation_step_duration_seconds", "Time from a step's start to its end.", ["step"], buckets=JOB_SECONDS
)

# Services that jobs call

notion_requests_total = Counter(
    "notion_requests_total", "Requests to Notion, by operation and outcome.", ["operation", "status"]
)
notion_request_duration_seconds = Histogram(
    "notion_request_duration_seconds", "Duration of requests to Notion.", ["operation"], buckets=CALL_SECONDS
)
vercel_deployments_total = Counter("vercel_deployments_total", "Vercel deployments that ended, by outcome.", ["status"])
vercel_deployment_duration_seconds = Histogram(
    "vercel_deployment_duration_seconds",
    "Time from creation of a Vercel deployment until it was ready or failed.",
    buckets=JOB_SECONDS,
)
ai_requests_total = Counter("ai_requests_total", "Requests to AI models, by outcome.", ["model", "status"])
ai_tokens_total = Counter("ai_tokens_total", "Billable tokens, input and output together.", ["model"])
ai_token_usage_total = Counter(
    "ai_token_usage_total", "Tokens by kind; only input and output add up.", ["model", "type"]
)
ai_cost_usd = Histogram("ai_cost_usd", "Cost of AI requests in USD.", ["model"], buckets=COST_USD)
ai_request_duration_seconds = Histogram(
    "ai_request_duration_seconds", "Duration of AI requests.", ["model"], buckets=CALL_SECONDS
)
ai_time_to_first_token_seconds = Histogram(
    "ai_time_to_first_token_seconds",
    "Time to the first token of streamed completions.",
    ["model"],
    buckets=CALL_SECONDS,
)
ai_unpriced_requests_total = Counter(
    "ai_unpriced_requests_total", "AI requests whose price is unknown; they are in no sum.", ["model"]
)

ai_budget_limit_usd = Gauge(
    "ai_budget_limit_usd", "Limit of an AI budget in USD.", ["budget"], multiprocess_mode="mostrecent"
)
ai_budget_spent_usd = Gauge(
    "ai_budget_spent_usd",
    "Spent of an AI budget in USD, since its day or month began.",
    ["budget"],
    multiprocess_mode="mostrecent",
)
ai_budget_reserved_usd = Gauge(
    "ai_budget_reserved_usd",
    "Reserved of an AI budget in USD, for requests under way.",
    ["budget"],
    multiprocess_mode="mostrecent",
)
ai_budget_rejections_total = Counter(
    "ai_budget_rejections_total", "AI requests that were refused since they did not fit into a budget.", ["budget"]
)

# The whole deployment, and the exporter itself

active_users = Gauge("active_users", "Signed-in users seen lately.", multiprocess_mode="livemostrecent")
active_jobs = Gauge("active_jobs", "Jobs running now.", multiprocess_mode="livemostrecent")
database_connections = Gauge(
    "database_connections", "Database connections open now.", multiprocess_mode="livemostrecent"
)
app_info = Gauge(
    "app_info",
    "The running version; always 1.",
    ["version", "environment", "python", "django"],
    multiprocess_mode="mostrecent",
)
observability_source_up = Gauge(
    "observability_source_up",
    "Whether a service that gauges are read from answered this scrape in time.",
    ["source"],
    multiprocess_mode="mostrecent",
)
observability_scrape_duration_seconds = Gauge(
    "observability_scrape_duration_seconds",
    "Time that it took to gather the numbers of this scrape.",
    multiprocess_mode="mostrecent",
)
observability_store_files = Gauge(
    "observability_store_files", "Files in the shared store.", multiprocess_mode="mostrecent"
)
observability_store_healthy = Gauge(
    "observability_store_healthy",
    "Whether what is recorded reaches the shared store.",
    multiprocess_mode="mostrecent",
)
observability_series = Gauge("observability_series", "Series that were recorded.", multiprocess_mode="mostrecent")
observability_store_damaged_files_total = Counter(
    "observability_store_damaged_files_total", "Damaged files of the shared store that were put aside."
)
observability_dropped_total = Counter(
    "observability_dropped_total", "Samples that were refused, by metric and reason.", ["metric", "reason"]
)

READ = (  # by the app, and never recorded
    automation_jobs_queued,
    automation_oldest_active_job_age_seconds,
    automation_job_last_success_timestamp_seconds,
    ai_budget_limit_usd,
    ai_budget_spent_usd,
    ai_budget_reserved_usd,
)
SETTABLE = (active_users, active_jobs, database_connections)  # read by the app, unless somebody sets them

# Label values known beforehand. Where a metric's labels are all known, its series exist at 0 from the start, so that
# increase() sees the very first failure; past the cap of series, known values stay and only the others overflow.

JOB_OUTCOMES = ("success", "failed", "cancelled")
CALL_OUTCOMES = ("success", "error", "timeout", "rate_limited")
TOKEN_TYPES = ("input", "output", "cached_input", "cache_write", "reasoning")

_expected: dict[str, dict[str, None]] = {
    "method": dict.fromkeys((*sorted(labels.METHODS), labels.OTHER_METHOD)),
    "type": dict.fromkeys(TOKEN_TYPES),
}
_outcomes: dict[MetricWrapperBase, Iterable[str]] = {
    http_requests_total: [*(str(int(status)) for status in HTTPStatus), str(labels.CLIENT_CLOSED)],
    automation_jobs_total: JOB_OUTCOMES,
    automation_job_results_total: JOB_OUTCOMES,
    automation_job_cost_usd: JOB_OUTCOMES,
    automation_job_steps_total: ("success", "failed"),
    notion_requests_total: CALL_OUTCOMES,
    vercel_deployments_total: JOB_OUTCOMES,
    ai_requests_total: (*CALL_OUTCOMES, "budget_exceeded"),
}


def expect_labels(**values: Iterable[str]) -> None:
    """Name label values known beforehand, as ``expect_labels(job_type=["nightly"], step=["fetch", "build"])``."""
    for label, known in values.items():
        _expected.setdefault(label, {}).update(dict.fromkeys(map(labels.clean, known)))


def expected(label: str) -> list[str]:
    """The values of a label that were named beforehand."""
    return list(_expected.get(label, ()))


def _known(metric: MetricWrapperBase, label: str) -> Iterable[str]:
    return _outcomes.get(metric, ()) if label == "status" else _expected.get(label, ())


def create_known_series() -> None:
    """Make every series whose label values are all known; they start at 0."""
    for metric in declared():
        if metric in READ:
            continue
        for values in product(*(_known(metric, label) for label in metric._labelnames)):
            series(metric, *values)


def declared() -> list[MetricWrapperBase]:
    """Every metric of this module, in the order of declaration."""
    return [cast(MetricWrapperBase, metric) for metric in REGISTRY._collector_to_names]


def name_of(metric: MetricWrapperBase) -> str:
    """The name that the text format's TYPE line carries."""
    return f"{metric._name}_total" if metric._type == "counter" else str(metric._name)


# Series, bounded in number

_children: dict[tuple[Any, ...], Any] = {}
_sizes: dict[MetricWrapperBase, int] = {}
_admission = RLock()
_admitting = False


def _after_fork_in_child() -> None:
    """What another thread of the parent held is held by nobody now."""
    global _admission, _admitting
    _admission, _admitting = RLock(), False
    store.renew_locks(REGISTRY, prometheus_client.REGISTRY)


os.register_at_fork(after_in_child=_after_fork_in_child)


def find(metric: MetricWrapperBase, *values: object) -> Any:
    """The child for these label values, or None where the metric has no room for one more."""
    if not metric._labelnames:
        return metric
    key = (metric, *map(labels.clean, values))
    return _children.get(key) or _admit(key)


def _admit(key: tuple[Any, ...], *, beyond_cap: bool = False) -> Any:
    global _admitting
    with _admission:
        if _admitting:  # a signal handler interrupted this very function: prometheus_client's lock would wait for ever
            raise Interrupted
        _admitting = True
        try:
            return _children.get(key) or _make(key, beyond_cap)
        finally:
            _admitting = False


def _make(key: tuple[Any, ...], beyond_cap: bool) -> Any:
    metric, *values = key
    if _sizes.get(metric, 0) >= get_conf().MAX_SERIES and not beyond_cap:
        return None
    _children[key] = child = metric.labels(*values)
    _sizes[metric] = _sizes.get(metric, 0) + (not beyond_cap)
    return child


class Interrupted(Exception):
    """A series cannot be made now: this is a signal handler, and what it interrupted makes one."""


def series(metric: MetricWrapperBase, *values: object) -> Any:
    """The child for these label values; past the cap, one whose unknown values are ``__overflow__``."""
    found = find(metric, *values)
    return _admit((metric, *overflow(metric, values)), beyond_cap=True) if found is None else found


def overflow(metric: MetricWrapperBase, values: Sequence[object]) -> tuple[str, ...]:
    """The label values of a sample that is one series too many; it is counted as refused."""
    drop(name_of(metric), "series_cap", "label values %r", values)
    return tuple(_overflow(metric, *pair) for pair in zip(metric._labelnames, values, strict=True))


def _overflow(metric: MetricWrapperBase, label: str, value: object) -> str:
    text = labels.clean(value)
    return text if text in _known(metric, label) else labels.OVERFLOW


def drop(metric: str, reason: str, why: str = "", *args: object, error: BaseException | None = None) -> None:
    """Count a refused sample, and log the cause once a minute."""
    store.refused.append((metric, reason))
    count_refused()
    warn(f"{metric} {reason}", f"{metric}: a sample was refused ({reason}) {why}", *args, error=error)


def drop_refused(usage: spend.Usage) -> None:
    """Count what an answer said that it used, and that cannot be."""
    for kind, reason in usage.refused:
        drop("ai_token_usage_total", reason, "%s", kind)


def fail(metric: str, error: Exception) -> None:
    """Count a sample as refused for what went wrong in recording it; a host never sees that."""
    with suppress(Exception):
        if isinstance(error, Interrupted):
            store.refused.append((metric, "interrupted"))  # to be counted later: to make a series was just refused
        else:
            drop(metric, "error", error=error)


def count_refused() -> None:
    """Count the samples that were refused so far; what cannot be counted now is counted the next time."""
    for _ in range(len(store.refused)):
        with suppress(IndexError):  # another thread was faster
            key = store.refused.popleft()
            if not _count_refusal(key):
                store.refused.append(key)
                return  # each sample that a full disk refuses leads here


def _count_refusal(key: tuple[str, str]) -> bool:
    try:
        child = _children.get((observability_dropped_total, *key)) or _admit_drop(key)
    except Interrupted:
        return False
    if is_kept := store.can_keep(child._value):
        child.inc()
    return is_kept


store.on_refusal(count_refused)


def _admit_drop(key: tuple[str, str]) -> Any:
    return _admit((observability_dropped_total, *key), beyond_cap=True)


def adder(child: Any) -> Callable[[float], None]:
    """The ``inc`` of a counter's or gauge's child, past its checks: half the time, for numbers known to be good."""
    return cast(Callable[[float], None], child._value.inc)


def _number(metric: MetricWrapperBase, value: object) -> float | None:
    """The value when it is one to record; a bad one is counted as dropped."""
    amount = labels.number(value)
    if amount is None and value is not UNSET:
        drop(name_of(metric), "invalid_value", "%.100r", value)
    return amount


def count(metric: MetricWrapperBase, *values: object, by: object = 1) -> None:
    """Add to a counter."""
    amount = _number(metric, by)
    if amount is not None and (child := _series_or_refusal(metric, values)):
        child.inc(amount)


def observe(metric: MetricWrapperBase, value: object, *values: object) -> None:
    """Add one observation to a histogram, as the example of its bucket where there are ids to find it by."""
    amount = _number(metric, value)
    if amount is not None and (child := _series_or_refusal(metric, values)):
        child.observe(amount)
        if ids := exemplars.current():
            store.Buckets(child).exemplify(amount, ids)


def _series_or_refusal(metric: MetricWrapperBase, values: tuple[object, ...]) -> Any:
    try:
        return series(metric, *values)
    except Interrupted as error:
        fail(name_of(metric), error)
        return None


def put(metric: MetricWrapperBase, value: object) -> None:
    """Set a gauge that has no labels."""
    if (amount := _number(metric, value)) is not None:
        _has_been_set.add(metric._name)
        series(metric).set(amount)


_has_been_set: set[str] = set()


def never_set() -> set[str]:
    """Gauges that nobody has set or reads: absent, not 0. The shared store sees to it by itself."""
    if store.folder():
        return set()
    return {metric._name for metric in (*SETTABLE, *READ)} - _has_been_set


UNSET: Any = object()  # an argument that was not given; None is a bad number like any other
P = ParamSpec("P")


def never_raises(record: Callable[P, None]) -> Callable[P, None]:
    """Instrumentation does nothing while switched off, and never breaks its host."""

    @wraps(record)
    def safely(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            if get_conf().METRICS_ENABLED:
                record(*args, **kwargs)
        except Exception as error:
            fail(record.__name__, error)

    return safely


def _amounts(usage: spend.Usage) -> list[int]:
    """In the order of TOKEN_TYPES; what is unknown was not given."""
    drop_refused(usage)
    told = (getattr(usage, f"{kind}_tokens") for kind in TOKEN_TYPES)
    return [UNSET if amount is None else amount for amount in told]


def _cost(usage: spend.Usage, model: str, provider: str) -> object:
    cost = spend.price(usage, model, provider).cost
    return UNSET if cost is None else cost


class MetricsCollector:
    """Record from code. A call never raises and never blocks; a bad value is dropped, counted and logged.

    Durations are in seconds, sizes in bytes, costs in USD (``Decimal`` welcome).
    """

    @staticmethod
    @never_raises
    def record_http_request(
        method: str,
        endpoint: str,
        status: int | str,
        duration: float,
        size: int = 0,
        *,
        response_size: int = UNSET,
    ) -> None:
        """One answered request; ``size`` is the request body's, 0 for none."""
        method = labels.method(method)
        count(http_requests_total, method, endpoint, status)
        observe(http_request_duration_seconds, duration, method, endpoint)
        if size != 0:
            observe(http_request_size_bytes, size, method, endpoint)
        observe(http_response_size_bytes, response_size, method, endpoint)

    @staticmethod
    @never_raises
    def record_automation_job(job_type: str, status: str, duration: float = UNSET, *, cost: object = UNSET) -> None:
        """One job that ended; one that never started has no duration, one without AI requests no cost."""
        count(automation_jobs_total, status)
        count(automation_job_results_total, job_type, status)
        observe(automation_job_duration_seconds, duration, job_type)
        observe(automation_job_cost_usd, cost, job_type, status)

    @staticmethod
    @never_raises
    def record_queue_wait(job_type: str, seconds: float) -> None:
        """The time that a job waited before it started."""
        observe(automation_job_queue_wait_seconds, seconds, job_type)

    @staticmethod
    @never_raises
    def record_automation_step(step: str, status: str, duration: float = UNSET) -> None:
        """One step that ended."""
        count(automation_job_steps_total, step, status)
        observe(automation_step_duration_seconds, duration, step)

    @staticmethod
    @never_raises
    def record_notion_request(operation: str, status: str, duration: float) -> None:
        """One request to Notion; status is success, error, timeout or rate_limited."""
        count(notion_requests_total, operation, status)
        observe(notion_request_duration_seconds, duration, operation)

    @staticmethod
    @never_raises
    def record_vercel_deployment(status: str, duration: float) -> None:
        """One deployment that ended; status is success, failed or cancelled."""
        count(vercel_deployments_total, status)
        observe(vercel_deployment_duration_seconds, duration)

    @staticmethod
    @never_raises
    def record_ai_request(
        model: str,
        status: str,
        tokens: int = UNSET,
        cost: object = UNSET,
        *,
        input_tokens: int = UNSET,
        output_tokens: int = UNSET,
        cached_input_tokens: int = UNSET,
        cache_write_tokens: int = UNSET,
        reasoning_tokens: int = UNSET,
        duration: float = UNSET,
        time_to_first_token: float = UNSET,
        usage: spend.Usage = UNSET,
        provider: str = "",
    ) -> None:
        """One request to a model. ``tokens`` is billable input and output together; a cost not given is unknown.

        Cached and written tokens are among the input, those of reasoning among the output. A request that used tokens,
        or succeeded, and has no valid cost counts as unpriced: unknown is not zero. With ``usage`` in place of all
        these numbers, the cost is worked out, unless it is given: at the prices of the ``provider``.
        """
        count(ai_requests_total, model, status)
        amounts = [input_tokens, output_tokens, cached_input_tokens, cache_write_tokens, reasoning_tokens]
        if usage is not UNSET:
            input_tokens, output_tokens, *_ = amounts = _amounts(usage)
            cost = _cost(usage, model, provider) if cost is UNSET else cost
        for kind, amount in zip(TOKEN_TYPES, amounts, strict=True):
            count(ai_token_usage_total, model, kind, by=amount)
        if tokens is UNSET:
            known = [amount for amount in map(labels.number, (input_tokens, output_tokens)) if amount is not None]
            tokens = cast(int, sum(known)) if known else UNSET
        count(ai_tokens_total, model, by=tokens)
        observe(ai_request_duration_seconds, duration, model)
        observe(ai_time_to_first_token_seconds, time_to_first_token, model)
        observe(ai_cost_usd, cost, model)
        if labels.number(cost) is None and (status == "success" or labels.number(tokens)):
            count(ai_unpriced_requests_total, model)

    @staticmethod
    @never_raises
    def record_budget_rejection(budget: str) -> None:
        """One request to a model that was not made, since it did not fit into a budget."""
        count(ai_budget_rejections_total, budget)

    @staticmethod
    @never_raises
    def record_ai_cost(model: str, cost: object) -> None:
        """What a request has cost that was recorded before its price was known."""
        observe(ai_cost_usd, cost, model)

    @staticmethod
    @never_raises
    def set_active_users(value: float) -> None:
        """Signed-in users now, as the application counts them: shown while this process lives, in place of ours."""
        put(active_users, value)

    @staticmethod
    @never_raises
    def set_active_jobs(value: float) -> None:
        """Jobs running now, as the application counts them."""
        put(active_jobs, value)

    @staticmethod
    @never_raises
    def set_database_connections(value: float) -> None:
        """Connections open now, as the application counts them."""
        put(database_connections, value)

    @staticmethod
    def get_metrics() -> bytes:
        """Everything recorded by all processes of this instance, as Prometheus text 0.0.4."""
        from .exposition import snapshot, to_text  # the reader imports this module

        return to_text(snapshot())

    @staticmethod
    def get_metrics_dict() -> dict[str, Any]:
        """The same as the JSON endpoint's content."""
        from .exposition import snapshot, to_dict

        return to_dict(snapshot())
