"""The dashboard to begin with: requests, jobs and spend on one page."""

from grafana import ai_spend, exporter, jobs
from grafana.boards import FIRING, board
from grafana.panels import (
    BYTES,
    GREEN,
    NUMBER,
    PER_MINUTE,
    RED,
    REQUESTS,
    SECONDS,
    SHARE,
    distribution,
    graph,
    number,
    rows,
)
from grafana.queries import (
    RANGE,
    highest,
    increase,
    of,
    otherwise_none,
    otherwise_zero,
    per_minute,
    quantile,
    rate,
    ratio,
)
from prometheus import thresholds
from prometheus.expressions import NO_SCRAPES

NO_REQUESTS = "No requests"
ERRORS = 'status=~"5.."'

ALERTS = number(
    "Alerts Firing",
    "Of the chosen jobs, by the rules of prometheus/alerts.yml.",
    NUMBER,
    otherwise_zero(f"count({FIRING})"),
    steps={0: GREEN, 1: RED},
)
ALERTS_OVER_TIME = graph(
    "Alerts",
    "1 while an alert fires.",
    NUMBER,
    (otherwise_none(FIRING, "alertname"), "{{alertname}}"),
)

REQUEST_RATE = graph(
    "HTTP Request Rate",
    "Requests answered per second, by route.",
    REQUESTS,
    (rate("http_requests_total", by="endpoint"), "{{endpoint}}"),
    empty=NO_REQUESTS,
    stacked=True,
)
DURATION = graph(
    "HTTP Request Duration (p95, p99)",
    "From entry into the middleware to the last byte, over the chosen routes. The line is where SlowRequests fires for "
    "the p95 of one of them.",
    SECONDS,
    (quantile(0.95, "http_request_duration_seconds"), "p95"),
    (quantile(0.99, "http_request_duration_seconds"), "p99"),
    empty=NO_REQUESTS,
    limit=thresholds.SLOW_SECONDS,
    exemplars=True,
)
ERROR_RATE = graph(
    "API Error Rate",
    "The share of the requests, Prometheus's own left out, that the server (5xx) and the client (4xx) got wrong. The "
    "line is where HighErrorRate fires for 5xx.",
    SHARE,
    (ratio(rate("http_requests_total", ERRORS, NO_SCRAPES), rate("http_requests_total", NO_SCRAPES)), "5xx"),
    (ratio(rate("http_requests_total", 'status=~"4.."', NO_SCRAPES), rate("http_requests_total", NO_SCRAPES)), "4xx"),
    empty=NO_REQUESTS,
    limit=thresholds.ERROR_RATIO,
)
USERS = graph(
    "Active Users",
    "Signed-in users seen lately, over all processes and hosts.",
    NUMBER,
    (highest("active_users"), "{{job}}"),
)
CONNECTIONS = graph(
    "Database Connections",
    "Connections open now, as PostgreSQL counts them. The line is where DatabaseConnectionsHigh fires.",
    NUMBER,
    (highest("database_connections"), "{{job}}"),
    limit=thresholds.CONNECTIONS,
)
IN_PROGRESS = graph(
    "HTTP Requests in Progress",
    "Requests being handled, by method.",
    NUMBER,
    (f"sum by (method) ({of('http_requests_in_progress')})", "{{method}}"),
    stacked=True,
)

ROUTES = rows(
    "Routes",
    "What each route did in the whole range.",
    {
        "Requests": (NUMBER, f"round({increase('http_requests_total', by='endpoint')})"),
        "Error ratio": (
            SHARE,
            ratio(
                increase("http_requests_total", ERRORS, by="endpoint"), increase("http_requests_total", by="endpoint")
            ),
        ),
        "p50": (SECONDS, quantile(0.5, "http_request_duration_seconds", by="endpoint", window=RANGE)),
        "p95": (SECONDS, quantile(0.95, "http_request_duration_seconds", by="endpoint", window=RANGE)),
    },
    empty=NO_REQUESTS,
    renamed={"endpoint": "Route"},
)
STATUSES = graph(
    "Responses by Status",
    "Requests per second; 499 is a client that went away.",
    REQUESTS,
    (rate("http_requests_total", by="status"), "{{status}}"),
    empty=NO_REQUESTS,
    stacked=True,
)
DURATIONS = distribution(
    "Request Durations",
    "How many requests took how long.",
    SECONDS,
    increase("http_request_duration_seconds_bucket", by="le", window="$__rate_interval"),
    empty=NO_REQUESTS,
)
EXCEPTIONS = graph(
    "Exceptions",
    "Exceptions that left a view, per minute.",
    PER_MINUTE,
    (otherwise_none(per_minute("http_exceptions_total", by="exception"), "exception"), "{{exception}}"),
)
SLOWEST = graph(
    "Duration by Route (p95)",
    "One request in twenty takes longer.",
    SECONDS,
    (quantile(0.95, "http_request_duration_seconds", by="endpoint"), "{{endpoint}}"),
    empty=NO_REQUESTS,
)
FIRST_BYTE = graph(
    "First Byte of Streams (p95)",
    "From entry into the middleware to the first byte of a streaming response; 0 for none where no view ever streamed.",
    SECONDS,
    (otherwise_none(quantile(0.95, "http_stream_first_byte_seconds", by="endpoint"), "endpoint"), "{{endpoint}}"),
    empty="No streaming responses",
)
SIZES = graph(
    "Body Sizes (p95)",
    "Of responses as sent, and of requests that have a body.",
    BYTES,
    (quantile(0.95, "http_response_size_bytes"), "responses"),
    (quantile(0.95, "http_request_size_bytes"), "requests"),
    empty=NO_REQUESTS,
)

BOARD = board(
    "coding-agent",
    "Coding agent",
    "Whether the site is up and fast, which jobs fail, and what the AI costs.",
    admin={"Metrics": exporter.ADMIN, "Jobs": jobs.ADMIN},
    lines={
        "Now": [
            [ALERTS, exporter.INSTANCES_UP, jobs.RUNNING, jobs.WAITING, jobs.FAILURES, ai_spend.SPEND_OF_DAY],
        ],
        "Overview": [
            [REQUEST_RATE, DURATION, ERROR_RATE],
            [jobs.OUTCOMES, jobs.DURATION, ai_spend.COST],
            [USERS, CONNECTIONS, IN_PROGRESS],
        ],
        "Requests": [
            [ROUTES, STATUSES],
            [SLOWEST, DURATIONS],
            [FIRST_BYTE, SIZES, EXCEPTIONS],
        ],
        "Jobs": [
            [jobs.QUEUE, jobs.WAIT, jobs.FAILURE_RATIO_BY_TYPE],
            [jobs.FAILED_STEPS, jobs.NOTION, jobs.VERCEL],
        ],
        "AI": [[ai_spend.OUTCOMES, ai_spend.DURATION, ai_spend.BILLED_TOKENS]],
        "What changed": [[ALERTS_OVER_TIME, exporter.VERSIONS_OVER_TIME]],
        "Exporter": [[exporter.SOURCES, exporter.SCRAPES, exporter.REFUSED]],
    },
)
