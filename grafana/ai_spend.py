"""What AI is asked, what it costs, and what is left of the budgets."""

from grafana import jobs
from grafana.boards import board
from grafana.panels import (
    GREEN,
    NUMBER,
    ORANGE,
    PER_MINUTE,
    SECONDS,
    SHARE,
    USD,
    distribution,
    graph,
    number,
    rows,
)
from grafana.queries import (
    RANGE,
    highest,
    increase,
    otherwise_none,
    otherwise_zero,
    per_minute,
    quantile,
    ratio,
    risen,
)
from prometheus import thresholds

ADMIN = "/admin/automation/airequest/"
NO_REQUESTS = "No requests to a model"
NO_BUDGET = "No budget is set"
NOT_SUCCESSFUL = 'status!="success"'
BILLED = 'type=~"input|output"'  # the other types are parts of these two

SPEND = number(
    "AI Spend in This Range",
    "What requests to the chosen models cost, as far as their prices are known.",
    USD,
    otherwise_zero(risen("ai_cost_usd_sum")),
)
SPEND_OF_DAY = number(
    "AI Spend of 24 Hours",
    "What requests to the chosen models cost within the last 24 hours.",
    USD,
    otherwise_zero(risen("ai_cost_usd_sum", window="1d")),
)
TOKENS_IN_RANGE = number(
    "Tokens in This Range",
    "Billable tokens, input and output together.",
    NUMBER,
    otherwise_zero(risen("ai_tokens_total")),
)
REQUESTS_IN_RANGE = number(
    "Requests in This Range",
    "To the chosen models, with any outcome.",
    NUMBER,
    otherwise_zero(risen("ai_requests_total")),
    decimals=0,
)
UNPRICED_IN_RANGE = number(
    "Requests without a Price",
    "Their cost is unknown, and in no sum: what is shown as spent is too low by it.",
    NUMBER,
    otherwise_zero(risen("ai_unpriced_requests_total")),
    steps={0: GREEN, 1: ORANGE},
    decimals=0,
)
REJECTED_IN_RANGE = number(
    "Requests over Budget",
    "Refused before they were sent, since they did not fit into a budget.",
    NUMBER,
    otherwise_zero(increase("ai_budget_rejections_total")),
    steps={0: GREEN, 1: ORANGE},
    decimals=0,
)

COST = graph(
    "AI Cost Over Time",
    "What was spent within the hour before, by model. The line is where HighAICost fires.",
    USD,
    (risen("ai_cost_usd_sum", by="model", window="1h"), "{{model}}"),
    empty=NO_REQUESTS,
    limit=thresholds.HOURLY_COST_USD,
    stacked=True,
)
COST_OF_DAY = graph(
    "AI Cost of a Day",
    "What was spent within the 24 hours before, by model.",
    USD,
    (risen("ai_cost_usd_sum", by="model", window="1d"), "{{model}}"),
    empty=NO_REQUESTS,
    stacked=True,
    step="5m",
)
COST_OF_REQUEST = graph(
    "Cost of One Request (p95)",
    "By model: one request in twenty costs more.",
    USD,
    (quantile(0.95, "ai_cost_usd", by="model", window="1h"), "{{model}}"),
    empty=NO_REQUESTS,
)
COSTS = distribution(
    "Costs of Requests",
    "How many requests cost how much.",
    USD,
    increase("ai_cost_usd_bucket", by="le", window="$__rate_interval"),
    empty=NO_REQUESTS,
)

_LIMIT, _SPENT, _RESERVED = (highest(f"ai_budget_{what}_usd", "budget") for what in ("limit", "spent", "reserved"))
BUDGETS = graph(
    "Budgets",
    "Spent since the day or month of the budget began, reserved for requests under way, and the limit.",
    USD,
    (_LIMIT, "{{budget}} limit"),
    (_SPENT, "{{budget}} spent"),
    (_RESERVED, "{{budget}} reserved"),
    empty=NO_BUDGET,
)
BUDGET_SHARE = graph(
    "Share of the Budget",
    "Spent and reserved, as a share of the limit: from 100 % on, requests are refused.",
    SHARE,
    (
        f"({_SPENT} + {_RESERVED}) / ({_LIMIT} > 0)",
        "{{budget}} ({{job}})",
    ),
    empty=NO_BUDGET,
    limit=1,
)
REJECTIONS = graph(
    "Refused for the Budget",
    "Requests that did not fit into a budget, per minute.",
    PER_MINUTE,
    (otherwise_none(per_minute("ai_budget_rejections_total", by="budget"), "budget"), "{{budget}}"),
)

OUTCOMES = graph(
    "AI Requests",
    "Requests per minute, by outcome.",
    PER_MINUTE,
    (per_minute("ai_requests_total", by="status"), "{{status}}"),
    empty=NO_REQUESTS,
    stacked=True,
)
FAILURES = graph(
    "AI Failure Ratio",
    "The share of the requests to a model that did not succeed, within the half hour before.",
    SHARE,
    (
        ratio(
            risen("ai_requests_total", NOT_SUCCESSFUL, by="model", window="30m"),
            risen("ai_requests_total", by="model", window="30m"),
        ),
        "{{model}}",
    ),
    empty=NO_REQUESTS,
)
UNPRICED = graph(
    "Requests without a Price by Model",
    "Requests per minute whose cost is unknown.",
    PER_MINUTE,
    (otherwise_none(per_minute("ai_unpriced_requests_total", by="model"), "model"), "{{model}}"),
)
DURATION = graph(
    "AI Request Duration (p95)",
    "By model, up to the last token: one request in twenty takes longer.",
    SECONDS,
    (quantile(0.95, "ai_request_duration_seconds", by="model"), "{{model}}"),
    empty=NO_REQUESTS,
    step="1m",
    exemplars=True,
)
FIRST_TOKEN = graph(
    "Time to First Token (p95)",
    "Of streamed completions, by model.",
    SECONDS,
    (quantile(0.95, "ai_time_to_first_token_seconds", by="model"), "{{model}}"),
    empty="No streamed completion",
    step="1m",
)

TOKEN_RATE = graph(
    "Tokens per Minute by Model",
    "Billable tokens, input and output together.",
    NUMBER,
    (per_minute("ai_tokens_total", by="model"), "{{model}}"),
    empty=NO_REQUESTS,
    stacked=True,
)
BILLED_TOKENS = graph(
    "Input and Output Tokens per Minute",
    "Together they are all that is billed.",
    NUMBER,
    (per_minute("ai_token_usage_total", BILLED, by="type"), "{{type}}"),
    empty=NO_REQUESTS,
    stacked=True,
)


def _part(kind: str, of_what: str) -> str:
    part, whole = (increase("ai_token_usage_total", f'type="{name}"', window="1h") for name in (kind, of_what))
    return ratio(part, whole)


PARTS = graph(
    "Parts of Input and Output",
    "Which share of the input was read from the model's cache or written to it, and which share of the output was "
    "reasoning, within the hour before.",
    SHARE,
    (_part("cached_input", "input"), "input from the cache"),
    (_part("cache_write", "input"), "input to the cache"),
    (_part("reasoning", "output"), "output that was reasoning"),
    empty=NO_REQUESTS,
)
BY_MODEL = rows(
    "Models",
    "What each model did and cost in the whole range.",
    {
        "Requests": (NUMBER, f"round({risen('ai_requests_total', by='model')})"),
        "Failure ratio": (
            SHARE,
            ratio(risen("ai_requests_total", NOT_SUCCESSFUL, by="model"), risen("ai_requests_total", by="model")),
        ),
        "Tokens": (NUMBER, risen("ai_tokens_total", by="model")),
        "Cost": (USD, risen("ai_cost_usd_sum", by="model")),
        "Duration (p95)": (SECONDS, quantile(0.95, "ai_request_duration_seconds", by="model", window=RANGE)),
    },
    empty=NO_REQUESTS,
    renamed={"model": "Model"},
    link=("The requests to this model", f"${{site:raw}}{ADMIN}?model=${{__data.fields.Model}}"),
)

BOARD = board(
    "ai-spend",
    "AI spend",
    "What requests to models cost, what is left of the budgets, and how fast and how well models answer.",
    admin={"AI requests": ADMIN},
    since="now-24h",
    lines={
        "At a glance": [
            [SPEND, SPEND_OF_DAY, TOKENS_IN_RANGE, REQUESTS_IN_RANGE, UNPRICED_IN_RANGE, REJECTED_IN_RANGE],
            [BY_MODEL],
        ],
        "Cost": [[COST, COST_OF_DAY], [COST_OF_REQUEST, COSTS], [jobs.COST, jobs.COST_OF_ONE]],
        "Budgets": [[BUDGETS, BUDGET_SHARE, REJECTIONS]],
        "Requests": [[OUTCOMES, FAILURES, UNPRICED], [DURATION, FIRST_TOKEN]],
        "Tokens": [[TOKEN_RATE, BILLED_TOKENS, PARTS]],
    },
)
