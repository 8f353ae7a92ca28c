"""Jobs, their steps, and the services that they call."""

from grafana.boards import board
from grafana.panels import (
    GREEN,
    NUMBER,
    ORANGE,
    PER_MINUTE,
    RED,
    REQUESTS,
    SECONDS,
    SHARE,
    USD,
    distribution,
    graph,
    number,
    rows,
)
from grafana.queries import RANGE, added, highest, increase, mean, per_minute, quantile, rate, ratio
from prometheus import thresholds

SUCCESS, FAILED = 'status="success"', 'status="failed"'
ENDED = 'status!="cancelled"'  # what a person cancelled has neither worked nor failed
NO_JOBS = "No job ended"
ADMIN = "/admin/automation/job/"
RESULTS = "automation_job_results_total"


RUNNING = number(
    "Jobs Running",
    "Jobs that are being worked on now, over all workers.",
    NUMBER,
    highest("active_jobs"),
    "{{job}}",
)
WAITING = number(
    "Jobs Waiting",
    "Jobs of the chosen types that wait for a worker.",
    NUMBER,
    added("automation_jobs_queued", "job_type"),
    "{{job}}",
    steps={0: GREEN, thresholds.QUEUE_LENGTH: RED},
)
SIGN_OF_LIFE = number(
    "Oldest Sign of Life",
    "How long ago the running job that has been silent for longest was heard of. Above the lease, a worker has died "
    "and no other took its job.",
    SECONDS,
    highest("automation_oldest_active_job_age_seconds"),
    "{{job}}",
    steps={0: GREEN, thresholds.HEARTBEAT_SECONDS: RED},
)
FAILURES = number(
    "Jobs That Failed",
    "In the whole range, of the chosen types.",
    NUMBER,
    increase(RESULTS, FAILED),
    steps={0: GREEN, 1: ORANGE},
    decimals=0,
)
SUCCEEDED = number(
    "Jobs That Succeeded",
    "In the whole range, of the chosen types.",
    NUMBER,
    increase(RESULTS, SUCCESS),
    steps={0: GREEN},
    decimals=0,
)
FAILURE_RATIO = number(
    "Failure Ratio",
    "The share of the jobs that failed among those that succeeded or failed in the whole range.",
    SHARE,
    ratio(increase(RESULTS, FAILED), increase(RESULTS, ENDED)),
    empty=NO_JOBS,
    steps={0: GREEN, thresholds.FAILURE_RATIO: RED},
)

OUTCOMES = graph(
    "Automation Jobs (success/failed)",
    "Jobs that ended, per minute, by outcome.",
    PER_MINUTE,
    (per_minute("automation_jobs_total", by="status"), "{{status}}"),
    empty=NO_JOBS,
    stacked=True,
)
FAILURES_BY_TYPE = graph(
    "Failed Jobs by Type",
    "Jobs that failed, per minute.",
    PER_MINUTE,
    (per_minute(RESULTS, FAILED, by="job_type"), "{{job_type}}"),
    empty=NO_JOBS,
    stacked=True,
)
FAILURE_RATIO_BY_TYPE = graph(
    "Failure Ratio by Type",
    "The share of the jobs that failed among those that succeeded or failed within the half hour before. The line is "
    "where AutomationFailureRate fires, from five jobs on.",
    SHARE,
    (
        ratio(
            increase(RESULTS, FAILED, by="job_type", window="30m"),
            increase(RESULTS, ENDED, by="job_type", window="30m"),
        ),
        "{{job_type}}",
    ),
    empty=NO_JOBS,
    limit=thresholds.FAILURE_RATIO,
)
DURATION = graph(
    "Job Duration by Type",
    "From a job's start to its end: half of the jobs take less than p50, one in twenty more than p95.",
    SECONDS,
    (quantile(0.95, "automation_job_duration_seconds", by="job_type"), "{{job_type}} p95"),
    (quantile(0.5, "automation_job_duration_seconds", by="job_type"), "{{job_type}} p50"),
    empty=NO_JOBS,
    step="1m",
    exemplars=True,
)
DURATIONS = distribution(
    "Job Durations",
    "How many jobs took how long.",
    SECONDS,
    increase("automation_job_duration_seconds_bucket", by="le", window="$__rate_interval"),
    empty=NO_JOBS,
)
QUEUE = graph(
    "Jobs Waiting by Type",
    "Jobs that wait for a worker. The line is where AutomationQueueBacklog fires.",
    NUMBER,
    (highest("automation_jobs_queued", "job_type"), "{{job_type}} ({{job}})"),
    limit=thresholds.QUEUE_LENGTH,
)
WAIT = graph(
    "Wait in the Queue by Type (p95)",
    "From a job's creation to its start: one job in twenty waits for longer.",
    SECONDS,
    (quantile(0.95, "automation_job_queue_wait_seconds", by="job_type"), "{{job_type}}"),
    empty="No job started",
    step="1m",
)
ACTIVE = graph(
    "Jobs Running over Time",
    "Jobs that are being worked on, over all workers.",
    NUMBER,
    (highest("active_jobs"), "{{job}}"),
)
_TYPE = "job, job_type"
BY_TYPE = rows(
    "Job Types",
    "What each type did in the whole range, and how long ago one last succeeded.",
    {
        "Succeeded": (NUMBER, f"round({increase(RESULTS, SUCCESS, by=_TYPE)})"),
        "Failed": (NUMBER, f"round({increase(RESULTS, FAILED, by=_TYPE)})"),
        "Failure ratio": (SHARE, ratio(increase(RESULTS, FAILED, by=_TYPE), increase(RESULTS, ENDED, by=_TYPE))),
        "Duration (p95)": (SECONDS, quantile(0.95, "automation_job_duration_seconds", by=_TYPE, window=RANGE)),
        "Last success": (SECONDS, f"time() - {highest('automation_job_last_success_timestamp_seconds', 'job_type')}"),
    },
    empty=NO_JOBS,
    renamed={"job": "Job", "job_type": "Type"},
    link=("The jobs of this type", f"${{site:raw}}{ADMIN}?job_type=${{__data.fields.Type}}"),
)
COST = graph(
    "Cost of Jobs by Outcome",
    "What jobs that ended within the hour before had spent on AI, by outcome: what failures waste.",
    USD,
    (increase("automation_job_cost_usd_sum", by="status", window="1h"), "{{status}}"),
    empty=NO_JOBS,
    stacked=True,
)
COST_OF_ONE = graph(
    "Cost of One Job by Type",
    "What a job spends on AI on average; jobs without a known cost are left out.",
    USD,
    (mean("automation_job_cost_usd", by="job_type", window="1h"), "{{job_type}}"),
    empty=NO_JOBS,
)

STEPS = graph(
    "Steps by Outcome",
    "Steps that ended, per minute, over all job types.",
    PER_MINUTE,
    (per_minute("automation_job_steps_total", by="status"), "{{status}}"),
    empty="No step ended",
    stacked=True,
)
FAILED_STEPS = graph(
    "Failed Steps",
    "Which steps fail, per minute; one that is tried again counts once, by how it ended.",
    PER_MINUTE,
    (per_minute("automation_job_steps_total", FAILED, by="step"), "{{step}}"),
    empty="No step ended",
    stacked=True,
)
STEP_DURATION = graph(
    "Step Duration (p95)",
    "From a step's start to its end: one in twenty takes longer.",
    SECONDS,
    (quantile(0.95, "automation_step_duration_seconds", by="step"), "{{step}}"),
    empty="No step ended",
    step="1m",
)

NOTION = graph(
    "Notion Requests",
    "Requests per second, by outcome.",
    REQUESTS,
    (rate("notion_requests_total", by="status"), "{{status}}"),
    empty="No requests to Notion",
    stacked=True,
)
NOTION_DURATION = graph(
    "Notion Request Duration (p95)",
    "One request in twenty takes longer.",
    SECONDS,
    (quantile(0.95, "notion_request_duration_seconds", by="operation"), "{{operation}}"),
    empty="No requests to Notion",
    step="1m",
)
VERCEL = graph(
    "Vercel Deployments",
    "Deployments that ended, per minute, by outcome.",
    PER_MINUTE,
    (per_minute("vercel_deployments_total", by="status"), "{{status}}"),
    empty="No deployments",
    stacked=True,
)
VERCEL_DURATION = graph(
    "Vercel Deployment Duration",
    "From a deployment's creation until it was ready or failed.",
    SECONDS,
    (quantile(0.95, "vercel_deployment_duration_seconds"), "p95"),
    (quantile(0.5, "vercel_deployment_duration_seconds"), "p50"),
    empty="No deployments",
    step="1m",
)

BOARD = board(
    "automation-jobs",
    "Automation jobs",
    "Which jobs and steps fail and how long they take, what waits, and the services that they call.",
    admin={"Jobs": ADMIN, "Failed jobs": f"{ADMIN}?status__exact=failed"},
    lines={
        "Now": [[RUNNING, WAITING, SIGN_OF_LIFE, SUCCEEDED, FAILURES, FAILURE_RATIO], [BY_TYPE]],
        "Outcomes": [[OUTCOMES, FAILURES_BY_TYPE, FAILURE_RATIO_BY_TYPE]],
        "Durations": [[DURATION, DURATIONS]],
        "Queue": [[QUEUE, WAIT, ACTIVE]],
        "Steps": [[STEPS, FAILED_STEPS, STEP_DURATION]],
        "Services": [[NOTION, NOTION_DURATION], [VERCEL, VERCEL_DURATION]],
        "What it costs": [[COST, COST_OF_ONE]],
    },
)
