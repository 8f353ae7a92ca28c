"""The time that things take: transactions, their spans, and check-ins of what is done again and again."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from datetime import UTC, datetime, timedelta
from time import monotonic
from typing import Any

from .sdk import active, harmless

MINUTE = 60.0  # seconds, the shortest interval that Sentry knows
FAILED = "internal_error"
TRACE_ID = re.compile(r"[\da-f]{32}")

_checked_in: dict[str, float] = {}


@contextmanager
def isolated() -> Iterator[None]:
    """Nothing that is sent within the block has to do with what ran before in this thread, nor that with it."""
    with ExitStack() as stack:
        with harmless:
            if sdk := active():
                scope = stack.enter_context(sdk.isolation_scope())
                scope.clear()  # of user, tags and breadcrumbs
                sdk.get_current_scope().clear()
        yield


@contextmanager
def transaction(name: str, op: str, trace_id: str = "", **tags: object) -> Iterator[None]:
    """A unit of work of its own, as a job, isolated and with tags; it goes on in the trace of this id, if it is one."""
    with isolated(), ExitStack() as stack:
        with harmless:
            if sdk := active():
                sdk.get_isolation_scope().set_tags(tags)
                trace = {"trace_id": trace_id} if TRACE_ID.fullmatch(trace_id) else {}
                stack.enter_context(sdk.start_transaction(name=name, op=op, source="task", **trace))
        yield


@contextmanager
def span(name: str, op: str) -> Iterator[None]:
    """A part of the transaction around, if there is one."""
    with ExitStack() as stack:
        with harmless:
            if (sdk := active()) and sdk.get_current_span():
                stack.enter_context(sdk.start_span(name=name, op=op))
        yield


def record_span(name: str, op: str, seconds: float, data: Mapping[str, Any], *, failed: bool = False) -> None:
    """A part that ends now, and was told of by nobody before."""
    with harmless:
        if (sdk := active()) and sdk.get_current_span():
            begun = sdk.start_span(name=name, op=op, start_timestamp=datetime.now(UTC) - timedelta(seconds=seconds))
            begun.update_data(data)
            if failed:
                begun.set_status(FAILED)
            begun.finish()


def remember(name: str, about: Mapping[str, Any]) -> None:
    """Show this with whatever is sent of this request or job from now on, in the place of what had that name."""
    with harmless:
        if sdk := active():
            sdk.get_isolation_scope().set_context(name, dict(about))


def mark_failed() -> None:
    """The transaction around has failed, though no exception leaves it."""
    with harmless:
        if (sdk := active()) and (current := sdk.get_current_span()):
            (current.containing_transaction or current).set_status(FAILED)


@contextmanager
def check_in(slug: str, seconds: float) -> Iterator[None]:
    """Tell Sentry's monitor of this name that what is done every so many seconds begins and ends, once a minute."""
    with ExitStack() as stack:
        with harmless:
            stack.enter_context(_monitor(slug, seconds))
        yield


def _monitor(slug: str, seconds: float) -> AbstractContextManager[None]:
    sdk, now = active(), monotonic()
    if sdk is None or now - _checked_in.get(slug, -math.inf) < MINUTE:
        return nullcontext()
    _checked_in[slug] = now
    minutes = math.ceil(max(seconds, MINUTE) / MINUTE)
    schedule = {"type": "interval", "value": minutes, "unit": "minute"}
    monitor: AbstractContextManager[None] = sdk.monitor(slug, {"schedule": schedule, "checkin_margin": minutes + 1})
    return monitor
