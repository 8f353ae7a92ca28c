"""The recording rules: what alerts and dashboards ask for again and again, by group and name."""

from prometheus.expressions import ERRORS, REQUESTS, percentile, total
from prometheus.thresholds import UTC_OFFSET

WINDOWS = ("30m", "1h", "2h", "6h", "1d", "3d")
DAY = 86400

http = {
    "job_endpoint:http_requests:rate5m": f"sum by (job, endpoint) (rate({REQUESTS}[5m]))",
    "job:http_requests:rate5m": "sum by (job) (job_endpoint:http_requests:rate5m)",
    "job:http_request_errors:rate5m": f"sum by (job) (rate({ERRORS}[5m])) or 0 * job:http_requests:rate5m",
    "job:http_request_errors:ratio_rate5m": "job:http_request_errors:rate5m / (job:http_requests:rate5m > 0)",
    **{
        f"job_endpoint:http_request_duration_seconds:p{percent}": percentile(
            percent / 100, "http_request_duration_seconds", "job, endpoint"
        )
        for percent in (50, 95, 99)
    },
}

# Of rates recorded before, since three days of each series of each instance would be read at each evaluation.
slo = {
    f"job:http_request_errors:ratio_rate{window}": f"""\
sum_over_time(job:http_request_errors:rate5m[{window}])
/
(sum_over_time(job:http_requests:rate5m[{window}]) > 0)"""
    for window in WINDOWS
}

# What a person cancelled has neither worked nor failed.
_ENDED = 'automation_job_results_total{status!="cancelled"}'

jobs = {
    "job_job_type_status:automation_job_results:increase30m": total(_ENDED, "30m", "job, job_type, status"),
    "job_job_type:automation_job_failures:ratio_increase30m": """\
sum without (status) (job_job_type_status:automation_job_results:increase30m{status="failed"})
/
(sum without (status) (job_job_type_status:automation_job_results:increase30m) > 0)""",
    "job_job_type:automation_job_success_age_seconds:min": (
        "time() - max by (job, job_type) (automation_job_last_success_timestamp_seconds > 0)"
    ),
}

_SPENT = "job_budget:ai_budget_spent_usd:max"


def forecast(utc_offset: float) -> str:
    """What will be spent of a budget when its day or month ends, at a midnight so many hours ahead of UTC.

    At the pace of six hours until midnight. Where what was spent two days ago still stands, the budget is one of a
    month: at the pace of two days until that ends. What was spent may fall a little, when a cost becomes known or the
    instance that was asked last goes, which increase() would take for a new beginning: so it is counted from its least.
    """
    now = f"(time() + {utc_offset} * 3600)"
    rest_of_day = f"({DAY} - {now} % {DAY})"
    rest_of_month = f"({DAY} * scalar(days_in_month(vector{now}) - day_of_month(vector{now})) + {rest_of_day})"
    return f"""\
(
  {_SPENT} + ({_SPENT} - min_over_time({_SPENT}[2d])) / {2 * DAY} * {rest_of_month}
  and min_over_time({_SPENT}[2d]) > 0.9 * ({_SPENT} offset 2d > 0)
)
or
{_SPENT} + ({_SPENT} - min_over_time({_SPENT}[6h])) / {DAY // 4} * {rest_of_day}"""


ai = {
    **{
        f"job_model:ai_cost_usd:increase{window}": total("ai_cost_usd_sum", window, "job, model")
        for window in ("1h", "1d")
    },
    "job_budget:ai_budget_limit_usd:max": "max by (job, budget) (ai_budget_limit_usd)",
    _SPENT: "max by (job, budget) (ai_budget_spent_usd)",
    "job_budget:ai_budget_spent_usd:forecast": forecast(UTC_OFFSET),
}

GROUPS = {"http": http, "slo": slo, "jobs": jobs, "ai": ai}
