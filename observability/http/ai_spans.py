"""Requests to AI models in Sentry, by the names of https://opentelemetry.io/docs/specs/semconv/gen-ai/."""

from __future__ import annotations

from typing import TYPE_CHECKING

from observability import sentry

if TYPE_CHECKING:
    from .ai import AICall

USAGE = {
    "input_tokens": "gen_ai.usage.input_tokens",
    "cached_input_tokens": "gen_ai.usage.input_tokens.cached",
    "cache_write_tokens": "gen_ai.usage.input_tokens.cache_write",
    "output_tokens": "gen_ai.usage.output_tokens",
    "reasoning_tokens": "gen_ai.usage.output_tokens.reasoning",
}


def show(call: AICall, operation: str) -> None:
    """A span of the request that ends now, and the request beside an error that may follow. Not what was said."""
    usage = {name: number for name in USAGE if (number := getattr(call.usage, name)) is not None}
    about = {
        "gen_ai.operation.name": operation,
        "gen_ai.provider.name": call.provider,
        "gen_ai.request.model": call.model,
        "gen_ai.response.time_to_first_token": call.time_to_first_token,
        "http.response.status_code": call.http_status,
        **{USAGE[name]: number for name, number in usage.items()},
    }
    data = {name: value for name, value in about.items() if value is not None}
    failed = call.status != "success"
    sentry.record_span(f"{operation} {call.model}", f"gen_ai.{operation}", call.duration, data, failed=failed)
    cost = None if call.cost is None else float(call.cost)
    of_it = {"model": call.model, "status": call.status, "request_id": call.request_id, "cost_usd": cost}
    sentry.remember("ai_request", {**of_it, **usage, "duration": call.duration})
