"""The ids that hold here: of the request, the job and its step, and of Sentry's trace; one key for all that tells."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from sys import modules

SENTRY = "sentry_sdk"

# Of the blocks around. The mapping is never changed, but replaced.
ids: ContextVar[Mapping[str, str]] = ContextVar("observability_ids", default={})  # noqa: B039


@contextmanager
def bound(**more: object) -> Iterator[None]:
    """These ids hold within the block beside those around, as ``with bound(job_id=job.pk, step="fetch"):``.

    They go along into async code, and into threads that Django starts for it. What is None or empty is left out, and
    so is a name that is not made of ASCII letters, digits and underscores.
    """
    valid = {name: str(value) for name, value in more.items() if value not in (None, "") and _is_name(name)}
    token = ids.set({**ids.get(), **valid})
    try:
        yield
    finally:
        ids.reset(token)


def _is_name(text: str) -> bool:
    return text.isascii() and text.isidentifier()


def current() -> dict[str, str]:
    """The ids of the blocks around, and as ``trace_id`` the trace that Sentry is in here, where it is in use."""
    found = dict(ids.get())
    if trace := sentry_trace():
        found.setdefault("trace_id", trace.partition("-")[0])
    return found


def sentry_trace() -> str | None:
    """Sentry's trace, span, and 1 where it is sampled, joined by ``-``; events carry it also without a sample."""
    if (sdk := modules.get(SENTRY)) is None:
        return None
    with suppress(Exception):  # being imported in this moment, or very old
        if sdk.get_client().is_active():
            traceparent: str | None = sdk.get_traceparent()
            return traceparent
    return None
