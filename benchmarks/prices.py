"""What it costs to read the usage of an answer and to price it, beside the price list's own way; and under budgets.

Both are timed in turn, call by call, once the list is there; a new process loads it in a thread of its own. A request
under a budget is priced before it is made as well, for what it may cost, and that is reserved on a PostgreSQL as the
tests start it.
"""

import os
from collections.abc import Callable
from statistics import median, quantiles
from time import perf_counter
from typing import Any

from genai_prices import extract_usage

from benchmarks.jobs import backlog
from observability import spend

CALLS, GOAL = 2000, 500
REQUESTS = 500
OURS, LIST = "this app", "genai-prices"
USAGE = {
    "gpt-5.5": {
        "prompt_tokens": 3000,
        "completion_tokens": 900,
        "prompt_tokens_details": {"cached_tokens": 2048},
        "completion_tokens_details": {"reasoning_tokens": 300},
    },
    "claude-sonnet-5": {
        "input_tokens": 900,
        "output_tokens": 700,
        "cache_read_input_tokens": 2000,
        "cache_creation_input_tokens": 100,
    },
}
PROVIDERS = {"gpt-5.5": ("openai", "chat"), "claude-sonnet-5": ("anthropic", "default")}


def ours(model: str) -> object:
    provider = PROVIDERS[model][0]
    return spend.price(spend.read_usage(provider, USAGE[model], provider), model, provider)


def its_own(model: str) -> object:
    provider, flavor = PROVIDERS[model]
    body: dict[str, Any] = {"model": model, "usage": USAGE[model]}
    return extract_usage(body, provider_id=provider, api_flavor=flavor).calc_price()


def microseconds() -> dict[tuple[str, str], list[float]]:
    ways: dict[str, Callable[[str], object]] = {OURS: ours, LIST: its_own}
    found: dict[tuple[str, str], list[float]] = {(way, model): [] for way in ways for model in USAGE}
    for _ in range(CALLS):
        for (way, model), times in found.items():
            start = perf_counter()
            ways[way](model)
            times.append((perf_counter() - start) * 1e6)
    return found


def recorded() -> dict[str, list[float]]:
    """Milliseconds by the number of budgets."""
    os.environ |= {"DJANGO_SETTINGS_MODULE": "benchmarks.site_settings", "SECRET_KEY": "only for benchmarks"}
    from tests import servers, site

    servers.start_servers()
    with site.AT_END, site.run_site({"OPENAI_API_KEY": "none"}, workers=1, redis=False) as running:
        found: dict[str, list[float]] = backlog(running, "record", REQUESTS)
    return found


def p95(times: list[float]) -> float:
    return quantiles(times, n=20)[18]


def report() -> list[str]:
    """Two Markdown tables."""
    goals = {OURS: f"≤ {GOAL}", LIST: ""}
    return [
        f"A request priced ({CALLS} calls, µs)",
        "",
        "| by | model | median | p95 | goal for p95 |",
        "| --- | --- | ---: | ---: | ---: |",
        *(
            f"| {way} | {model} | {median(times):.0f} | {p95(times):.0f} | {goals[way]} |"
            for (way, model), times in microseconds().items()
        ),
        "",
        f"A request recorded on PostgreSQL, its begin and its end ({REQUESTS} requests, ms)",
        "",
        "| budgets | median | p95 |",
        "| ---: | ---: | ---: |",
        *(f"| {number} | {median(times):.1f} | {p95(times):.1f} |" for number, times in recorded().items()),
        "",
    ]
