"""What an observation is an example of: the ids of the trace and the job in which it is made."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from sys import modules

SENTRY = "sentry_sdk"
MAX_LENGTH = 128  # characters of names and values together, by OpenMetrics 1.0

_ids: ContextVar[Mapping[str, str]] = ContextVar("observability_exemplar", default={})  # noqa: B039  # never changed


@contextmanager
def exemplar(**ids: object) -> Iterator[None]:
    """Observations within the block carry these ids, as ``with exemplar(job_id=job.pk):``.

    At most 128 characters in all, names included: OpenMetrics allows no more, and no names but of ASCII letters,
    digits and underscores, so that others are left out. A histogram of the host's own takes them as
    ``observe(value, exemplar=current())``.
    """
    token = _ids.set({**_ids.get(), **{name: str(ids[name]) for name in filter(_is_name, ids)}})
    try:
        yield
    finally:
        _ids.reset(token)


def _is_name(text: str) -> bool:
    return text.isascii() and text.isidentifier()


def current() -> dict[str, str]:
    """The ids that hold here: those of the blocks around, and the trace of Sentry where it is in use."""
    around = _ids.get()
    if not around and SENTRY not in modules:
        return {}
    ids = dict(around)
    if trace_id := _sentry_trace():
        ids.setdefault("trace_id", trace_id)
    return ids if sum(map(len, (*ids, *ids.values()))) <= MAX_LENGTH else {}


def _sentry_trace() -> str | None:
    """The trace that Sentry records here; one that it does not sample is nowhere to be found."""
    current_scope = getattr(modules.get(SENTRY), "get_current_scope", None)
    if current_scope is None:
        return None
    scope = current_scope()
    span = scope.span or getattr(scope, "streamed_span", None)  # the latter where Sentry gets single spans
    return str(span.trace_id) if span is not None and span.sampled else None
