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
from benchmarks.tables import at_most, table
from observability import spend

CALLS, GOAL = 2000, 500
REQUESTS = 500
OURS, LIST = "this app", "genai-prices"
HEADER = ["µs", OURS, LIST, "ratio", "goal"]
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
    priced = (
        f"To read the usage of an answer and to price it, in microseconds ({CALLS:,} calls, one by one in turn). Under "
        "a budget a request is priced twice: before it is made, for what it may cost at most, and afterwards."
    )
    recording = (
        "A row of `AIRequest` before a request would be sent, and its end with all prices, in milliseconds on "
        f"PostgreSQL without fsync ({REQUESTS} requests, in turn). Each budget that it comes under adds what it may "
        "cost, under its lock, and what it has cost."
    )
    times = microseconds()
    by_budgets = [[number, f"{median(found):.1f}", f"{p95(found):.1f}"] for number, found in recorded().items()]
    return [
        *table("A request priced", priced, HEADER, (row for model in USAGE for row in rows(model, times))),
        *table("A request recorded", recording, ["budgets", "median", "p95"], by_budgets),
    ]


def rows(model: str, times: dict[tuple[str, str], list[float]]) -> list[list[str]]:
    """The median and p95 of a model."""
    figures = {"median": median, "p95": p95}
    made = []
    for name, figure in figures.items():
        ours, peer = (figure(times[way, model]) for way in (OURS, LIST))
        goal = at_most(ours, GOAL, " µs") if name == "p95" else ""
        made.append([f"{model}, {name}", f"{ours:.0f}", f"{peer:.0f}", f"{ours / peer:.2f}", goal])
    return made
