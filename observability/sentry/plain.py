"""Lets what is plain already go past the SDK's serializer, which takes longer than all else that an error costs."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sentry_sdk import get_client
from sentry_sdk.utils import format_timestamp

from .sdk import harmless
from .transport import CleanTransport

PLAIN = {str, int, bool, type(None)}  # not float: JSON has no infinity


class Plain(dict[str, Any]):
    """Holds nothing but what JSON has; the SDK takes what it gives for itself as it is."""

    def __sentry_repr__(self) -> dict[str, Any]:
        return dict(self)


def hasten(event: Any, hint: Any) -> Any:
    """Mark the frames of stack traces, and the breadcrumbs, which are most of what an event holds.

    Not for a client that the host has made since: it may have something to change in them.
    """
    with harmless:
        if not isinstance(get_client().transport, CleanTransport):
            return event
        for kind in ("exception", "threads"):
            for value in (event.get(kind) or {}).get("values") or ():
                if stack := value.get("stacktrace"):
                    stack["frames"] = [*map(_marked, stack.get("frames") or ())]
        if crumbs := event.get("breadcrumbs"):
            crumbs["values"] = [*map(_marked, crumbs.get("values") or ())]
    return event


def _marked(part: Any) -> Any:
    """A copy, which nobody changes while it waits to be sent; or the part itself, if the SDK has to look at it."""
    try:
        return Plain(_copy(part))
    except TypeError:
        return part


def _copy(value: Any) -> Any:
    kind = type(value)
    if kind in PLAIN:
        return value
    if kind is dict:
        return {name: _copy(inner) for name, inner in value.items()}
    if kind is list:
        return [*map(_copy, value)]
    if kind is datetime:
        return format_timestamp(value)
    raise TypeError
