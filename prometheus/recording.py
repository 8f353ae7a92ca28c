"""The recording rules: what alerts and dashboards ask for again and again, by group and name."""

from prometheus.expressions import ERRORS, REQUESTS, REST_OF_DAY, REST_OF_MONTH, percentile, total

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

ai = {
    **{
        f"job_model:ai_cost_usd:increase{window}": total("ai_cost_usd_sum", window, "job, model")
        for window in ("1h", "1d")
    },
    "job_budget:ai_budget_limit_usd:max": "max by (job, budget) (ai_budget_limit_usd)",
    _SPENT: "max by (job, budget) (ai_budget_spent_usd)",
    # At the pace of six hours until midnight (UTC). Where what was spent two days ago still stands, the budget is one
    # of a month: at the pace of two days until the month ends.
    "job_budget:ai_budget_spent_usd:forecast": f"""\
(
  {_SPENT} + increase({_SPENT}[2d]) / {2 * DAY} * {REST_OF_MONTH}
  and ({_SPENT} offset 2d > 0)
  unless (resets({_SPENT}[2d]) > 0)
)
or
{_SPENT} + (increase({_SPENT}[6h]) < {_SPENT} or {_SPENT}) / {DAY // 4} * {REST_OF_DAY}""",
}

GROUPS = {"http": http, "slo": slo, "jobs": jobs, "ai": ai}
