"""What it costs to read the usage of an answer and to price it, beside the price list's own way.

Both are timed in turn, call by call, once the list is there; a new process loads it in a thread of its own.
"""

from collections.abc import Callable
from statistics import median, quantiles
from time import perf_counter
from typing import Any

from genai_prices import extract_usage

from benchmarks.tables import at_most, table
from observability import spend

CALLS, GOAL = 2000, 500
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


def report() -> list[str]:
    """A Markdown table."""
    how = f"To read the usage of an answer and to price it, in microseconds ({CALLS:,} calls, one by one in turn)."
    times = microseconds()
    return table("A request priced", how, HEADER, (row for model in USAGE for row in rows(model, times)))


def rows(model: str, times: dict[tuple[str, str], list[float]]) -> list[list[str]]:
    """The median and p95 of a model."""
    figures = {"median": median, "p95": p95}
    made = []
    for name, figure in figures.items():
        ours, peer = (figure(times[way, model]) for way in (OURS, LIST))
        goal = at_most(ours, GOAL, " µs") if name == "p95" else ""
        made.append([f"{model}, {name}", f"{ours:.0f}", f"{peer:.0f}", f"{ours / peer:.2f}", goal])
    return made


def p95(times: list[float]) -> float:
    return quantiles(times, n=20)[18]
