"""The metrics of AI requests as one value that tests can compare."""

from contextlib import contextmanager

import pytest

from observability.testing import metric_value

SUMS = {
    "requests": "ai_requests_total",
    "tokens": "ai_tokens_total",
    "usd": "ai_cost_usd_sum",
    "priced": "ai_cost_usd_count",
    "unpriced": "ai_unpriced_requests_total",
    "timed": "ai_request_duration_seconds_count",
    "first_tokens": "ai_time_to_first_token_seconds_count",
}
TYPES = ("input", "output", "cached_input", "cache_write", "reasoning")
STATUSES = ("success", "error", "timeout", "rate_limited")


def now(**labels):
    """Every sum, by its short name; statuses and types of tokens by theirs."""
    return (
        {short: metric_value(name, **labels) for short, name in SUMS.items()}
        | {kind: metric_value("ai_token_usage_total", type=kind, **labels) for kind in TYPES}
        | {status: metric_value("ai_requests_total", status=status, **labels) for status in STATUSES}
    )


@contextmanager
def grow_as(expected, **labels):
    """Fail unless the sums grow within the block by what a function says after it; what that does not name stays."""
    before = now(**labels)
    yield
    grown = {short: value - before[short] for short, value in now(**labels).items()}
    assert grown == pytest.approx(dict.fromkeys(grown, 0) | expected(), abs=1e-9)


def grow(model=None, **expected):
    """Fail unless the sums, of a model or of all, grow by exactly this within the block."""
    return grow_as(lambda: expected, **({"model": model} if model else {}))


def usage_of(entry):
    """What the sandbox's log says of a request, as sums that it should have made grow."""
    return {
        "input": entry["input_tokens"],
        "output": entry["output_tokens"],
        "tokens": entry["input_tokens"] + entry["output_tokens"],
        "cached_input": entry["cached_tokens"],
        "cache_write": entry["cache_write_tokens"],
        "reasoning": entry["reasoning_tokens"],
    }
