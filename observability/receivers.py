"""Domain signals become metrics here."""

from __future__ import annotations

from typing import Any

from django.db import transaction

from .history import keeper
from .metrics import MetricsCollector
from .spend.price import admin_prices


def _given(**values: Any) -> dict[str, Any]:
    """An unknown value is left out: None would be a bad number."""
    return {name: value for name, value in values.items() if value is not None}


def record_job_started(*, job_type: str, queue_wait: float | None = None, **kwargs: object) -> None:
    """``job_started``"""
    keeper.start()
    if queue_wait is not None:
        MetricsCollector.record_queue_wait(job_type, queue_wait)


def record_job_finished(
    *, job_type: str, status: str, duration: float | None = None, cost: object = None, **kwargs: object
) -> None:
    """``job_finished``"""
    MetricsCollector.record_automation_job(job_type, status, **_given(duration=duration, cost=cost))


def record_step_finished(*, step: str, status: str, duration: float | None = None, **kwargs: object) -> None:
    """``step_finished``"""
    MetricsCollector.record_automation_step(step, status, **_given(duration=duration))


def record_ai_request_finished(
    *,
    model: str,
    status: str,
    input_tokens: int | None = None,
    output_tokens: int | None = None,
    cached_input_tokens: int | None = None,
    cache_write_tokens: int | None = None,
    reasoning_tokens: int | None = None,
    cost: object = None,
    duration: float | None = None,
    time_to_first_token: float | None = None,
    **kwargs: object,
) -> None:
    """``ai_request_finished``"""
    usage = _given(
        input_tokens=input_tokens,
        output_tokens=output_tokens,
        cached_input_tokens=cached_input_tokens,
        cache_write_tokens=cache_write_tokens,
        reasoning_tokens=reasoning_tokens,
        cost=cost,
        duration=duration,
        time_to_first_token=time_to_first_token,
    )
    MetricsCollector.record_ai_request(model, status, **usage)


def forget_prices(*, using: str, **kwargs: object) -> None:
    """``post_save`` and ``post_delete`` of ``ModelPrice``: what it was is nothing to go by any more."""
    transaction.on_commit(admin_prices.forget, using=using)
