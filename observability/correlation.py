"""The ids that hold here: of the request, the job and its step, and of Sentry's trace; one key for all that tells."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from contextvars import ContextVar, Token
from sys import modules

SENTRY = "sentry_sdk"

_ids: ContextVar[Mapping[str, str]] = ContextVar("observability_ids", default={})  # noqa: B039  # never changed


@contextmanager
def bound(**ids: object) -> Iterator[None]:
    """These ids hold within the block beside those around, as ``with bound(job_id=job.pk, step="fetch"):``.

    They go along into async code, and into threads that Django starts for it. What is None or empty is left out, and
    so is a name that is not made of ASCII letters, digits and underscores.
    """
    token = bind({name: str(value) for name, value in ids.items() if value not in (None, "") and _is_name(name)})
    try:
        yield
    finally:
        unbind(token)


def _is_name(text: str) -> bool:
    return text.isascii() and text.isidentifier()


def bind(ids: Mapping[str, str]) -> Token[Mapping[str, str]]:
    """``bound`` where each microsecond counts: from here to the ``unbind`` of what it returns."""
    return _ids.set({**_ids.get(), **ids})


def unbind(token: Token[Mapping[str, str]]) -> None:
    """As before the ``bind``, in the same context as that."""
    _ids.reset(token)


def around() -> Mapping[str, str]:
    """The ids of the blocks around, without Sentry's."""
    return _ids.get()


def current() -> dict[str, str]:
    """The ids of the blocks around, and as ``trace_id`` the trace that Sentry is in here, where it is in use."""
    ids = dict(_ids.get())
    if trace := sentry_trace():
        ids.setdefault("trace_id", trace.partition("-")[0])
    return ids


def sentry_trace() -> str | None:
    """Sentry's trace, span, and 1 where it is sampled, joined by ``-``; also without a sample an event carries it."""
    if (sdk := modules.get(SENTRY)) is None:
        return None
    with suppress(Exception):  # being imported in this moment, or very old
        if sdk.get_client().is_active():
            traceparent: str | None = sdk.get_traceparent()
            return traceparent
    return None
