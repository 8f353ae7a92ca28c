"""The alerts, by group. Each has a section in docs/operations.md that says what to do."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from textwrap import indent

from prometheus import thresholds as at
from prometheus.expressions import ERRORS, events

# What an alert says of itself, as Prometheus's templates have it.
VALUE = "{{ printf `%.4g` $value }}"
PERCENT = "{{ $value | humanizePercentage }}"
SECONDS = "{{ $value | humanizeDuration }}"
USD = "{{ printf `%.2f` $value }} USD"
JOB, JOB_TYPE, BUDGET, MODEL = (f"{{{{ $labels.{name} }}}}" for name in ("job", "job_type", "budget", "model"))
ENDPOINT, INSTANCE, SOURCE, METRIC, REASON = (
    f"{{{{ $labels.{name} }}}}" for name in ("endpoint", "instance", "source", "metric", "reason")
)

LIMIT = (
    "{{ with printf `job_budget:ai_budget_limit_usd:max{job=%q,budget=%q}` $labels.job $labels.budget | query }}"
    "{{ . | first | value | printf `%.2f` }}{{ end }} USD"
)

# Users or money are hit now, and nobody but a person can help; and what can wait for the morning.
CRITICAL, WARNING = "critical", "warning"


@dataclass(frozen=True)
class Alert:
    """One rule; ``lasting`` is how long its expression has to hold, if not for a moment only."""

    name: str
    severity: str
    expr: str
    summary: str
    description: str
    lasting: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)


site = [
    Alert(
        "HighErrorRate",
        CRITICAL,
        f"""\
job:http_request_errors:ratio_rate5m > {at.ERROR_RATIO}
and
round(sum by (job) (increase({ERRORS}[5m]))) >= {at.ERRORS_AT_LEAST}""",
        f"{PERCENT} of the requests to {JOB} fail",
        f"{PERCENT} of the requests to {JOB} ended in 5xx over the last five minutes, more than {at.ERROR_RATIO:.0%}.",
        "5m",
    ),
    Alert(
        "SlowRequests",
        WARNING,
        # A stream takes as long as its reader.
        f"""\
job_endpoint:http_request_duration_seconds:p95 > {at.SLOW_SECONDS}
and
round(sum by (job, endpoint) (increase(http_request_duration_seconds_count[5m]))) >= {at.REQUESTS_AT_LEAST}
unless
sum by (job, endpoint) (rate(http_stream_first_byte_seconds_count[5m])) > 0""",
        f"{ENDPOINT} of {JOB} is slow: p95 is {SECONDS}",
        f"One request in twenty to {ENDPOINT} of {JOB} takes {SECONDS} or more, above {at.SLOW_SECONDS} s.",
        "10m",
    ),
    Alert(
        "TargetDown",
        CRITICAL,
        "up == 0",
        f"{INSTANCE} of {JOB} cannot be scraped",
        f"Prometheus got no metrics from {INSTANCE} of {JOB} for three minutes: it is down, or refuses the scrape.",
        "3m",
    ),
    Alert(
        "DatabaseConnectionsHigh",
        WARNING,
        f"max by (job) (database_connections) > {at.CONNECTIONS}",
        f"{VALUE} connections to the database of {JOB}",
        f"{JOB} has {VALUE} connections to its database open, more than {at.CONNECTIONS}.",
        "10m",
    ),
]


def burning(name: str, severity: str, factor: float, long: str, short: str, lasting: str) -> Alert:
    """The errors of a long and a short window use up the error budget so many times too fast.

    Windows and factors are those of The Site Reliability Workbook, chapter 5 ("Alerting on SLOs"), table 5-8.
    """
    budget = round(1 - at.OBJECTIVE, 6)
    counted = long if long.endswith("h") else "6h"
    return Alert(
        name,
        severity,
        f"""\
job:http_request_errors:ratio_rate{long} > {factor} * {budget}
and
job:http_request_errors:ratio_rate{short} > {factor} * {budget}
and
round(sum by (job) (increase({ERRORS}[{counted}]))) >= {at.BURN_ERRORS_AT_LEAST}""",
        f"{PERCENT} of the requests to {JOB} failed over {long}",
        f"{PERCENT} of the requests to {JOB} ended in 5xx over {long}, and it goes on. What the objective of "
        f"{at.OBJECTIVE:.1%} allows for 30 days is used up in {30 / factor:.2g} days above {factor * budget:.1%}.",
        lasting,
        {"window": long},
    )


slo = [
    burning("ErrorBudgetBurnFast", CRITICAL, 14.4, "1h", "5m", "2m"),
    burning("ErrorBudgetBurnFast", CRITICAL, 6, "6h", "30m", "15m"),
    burning("ErrorBudgetBurnSlow", WARNING, 3, "1d", "2h", "1h"),
    burning("ErrorBudgetBurnSlow", WARNING, 1, "3d", "6h", "1h"),
]

_FAILED = 'automation_job_results_total{status="failed"}'
_SUCCESS_AGE = "job_job_type:automation_job_success_age_seconds:min"

jobs = [
    Alert(
        "AutomationFailureRate",
        WARNING,
        f"""\
job_job_type:automation_job_failures:ratio_increase30m > {at.FAILURE_RATIO}
and
round(sum without (status) (job_job_type_status:automation_job_results:increase30m)) >= {at.JOBS_AT_LEAST}""",
        f"{PERCENT} of the {JOB_TYPE} jobs of {JOB} fail",
        f"{PERCENT} of the jobs {JOB_TYPE} of {JOB} that ended within half an hour have failed, "
        f"more than {at.FAILURE_RATIO:.0%}.",
        "1m",
    ),
    Alert(
        "AutomationJobStuck",
        CRITICAL,
        f"max by (job) (automation_oldest_active_job_age_seconds) > {at.HEARTBEAT_SECONDS}",
        f"A running job of {JOB} gave no sign of life for {SECONDS}",
        f"The worker of a running job of {JOB} was last heard of {SECONDS} ago, and no other worker took the job over.",
        "1m",
    ),
    Alert(
        "AutomationNoSuccess",
        WARNING,
        # A type that in the week before last paused for longer is started when somebody needs it, and may pause. Tried
        # in vain it may not.
        f"""\
{_SUCCESS_AGE} > {at.SUCCESS_SECONDS}
unless max_over_time({_SUCCESS_AGE}[1w] offset 1w) > {at.SUCCESS_SECONDS}
or
{_SUCCESS_AGE} > {at.SUCCESS_SECONDS}
and on (job, job_type) (
  max by (job, job_type) (automation_jobs_queued) > 0
  or
{indent(events(_FAILED, "1d", "job, job_type"), "  ")} > 0
)""",
        f"No {JOB_TYPE} job of {JOB} has succeeded for {SECONDS}",
        f"A job {JOB_TYPE} of {JOB} last succeeded {SECONDS} ago.",
        "1h",
    ),
    Alert(
        "AutomationQueueBacklog",
        WARNING,
        f"""\
max by (job, job_type) (automation_jobs_queued) > {at.QUEUE_LENGTH}
or
max by (job, job_type) (automation_jobs_queued) > 0
and on (job)
max by (job) (active_jobs) == 0""",
        f"{VALUE} {JOB_TYPE} jobs of {JOB} wait",
        f"{VALUE} jobs {JOB_TYPE} of {JOB} have been waiting for a quarter of an hour: more than {at.QUEUE_LENGTH}, "
        "or no job of any type runs.",
        "15m",
    ),
]

_SPENT_SHARE = "job_budget:ai_budget_spent_usd:max / clamp_min(job_budget:ai_budget_limit_usd:max, 0.01)"

ai = [
    Alert(
        "HighAICost",
        CRITICAL,
        f"sum by (job) (job_model:ai_cost_usd:increase1h) > {at.HOURLY_COST_USD}",
        f"{JOB} spent {USD} on AI within an hour",
        f"{JOB} spent {USD} on AI within the last hour, more than {at.HOURLY_COST_USD} USD.",
    ),
    Alert(
        "AISpendForecastOverBudget",
        WARNING,
        "job_budget:ai_budget_spent_usd:forecast > (job_budget:ai_budget_limit_usd:max > 0)",
        f"The budget {BUDGET} of {JOB} is heading for {USD}",
        f"At the present pace {JOB} will have spent {USD} when the day or month of the budget {BUDGET} ends, "
        f"and its limit is {LIMIT}.",
        "30m",
    ),
    Alert(
        "AIBudgetExceeded",
        WARNING,
        f"""\
{_SPENT_SHARE} >= 1
or
{_SPENT_SHARE}
and
{events("ai_budget_rejections_total", "15m", "job, budget")} > 0""",
        f"{PERCENT} of the budget {BUDGET} of {JOB} are spent",
        f"{PERCENT} of the {LIMIT} of the budget {BUDGET} of {JOB} are spent; requests that do not fit in are refused.",
    ),
    Alert(
        "AIRequestsUnpriced",
        WARNING,
        f"{events('ai_unpriced_requests_total', '1h', 'job, model')} > 0",
        f"Requests of {JOB} to {MODEL} without a price: {VALUE}",
        f"Requests of {JOB} to {MODEL} within the last hour whose cost is unknown, and in no sum: {VALUE}.",
    ),
]

monitoring = [
    Alert(
        "MetricsStoreUnhealthy",
        WARNING,
        "min by (job, instance) (observability_store_healthy) == 0",
        f"{INSTANCE} of {JOB} cannot record its metrics",
        f"What {INSTANCE} of {JOB} counts has not reached its store for five minutes: other alerts may miss it.",
        "5m",
    ),
    Alert(
        "MetricsSourceDown",
        WARNING,
        "min by (job, instance, source) (observability_source_up) == 0",
        f"{INSTANCE} of {JOB} cannot read gauges from {SOURCE}",
        f"{SOURCE} has not answered {INSTANCE} of {JOB} in time for five minutes; gauges read from it are absent.",
        "5m",
    ),
    Alert(
        "MetricsSamplesDropped",
        WARNING,
        f"{events('observability_dropped_total', '15m', 'job, metric, reason')} > 0",
        f"Samples of {METRIC} that {JOB} refused: {VALUE}",
        f"Samples of {METRIC} that {JOB} refused within a quarter of an hour: {VALUE}, for {REASON}.",
    ),
]

GROUPS = {"site": site, "slo": slo, "jobs": jobs, "ai": ai, "monitoring": monitoring}
