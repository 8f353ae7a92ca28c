"""Errors and messages that code reports by itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from .sdk import active, harmless

Context = Mapping[str, Any]


def capture_exception(error: BaseException, context: Context | None = None) -> str | None:
    """Send an exception, and return the id of its event; None when Sentry is off, or leaves it out.

    Ids in the context, as ``{"user_id": 1, "job_id": "…", "step": "fetch"}``, become tags and the user; the rest is
    shown with the event. Never raises.
    """
    return _capture(context, lambda sdk: sdk.capture_exception(error))


def capture_message(text: str, level: str = "info", context: Context | None = None) -> str | None:
    """Send a message; ``level`` is debug, info, warning, error or fatal, and the rest as for ``capture_exception``."""
    return _capture(context, lambda sdk: sdk.capture_message(text, level=level))


def last_event_id() -> str | None:
    """The id of what was last sent of this request, job or command."""
    with harmless:
        if sdk := active():
            found: str | None = sdk.last_event_id()
            return found
    return None


def _capture(context: Context | None, send: Callable[[Any], str | None]) -> str | None:
    if (sdk := active()) is None:
        return None
    with harmless, sdk.new_scope() as scope:
        with harmless:  # a context that is none must not cost the error
            _apply(scope, context or {})
        return send(sdk)
    return None


def _apply(scope: Any, context: Context) -> None:
    rest = dict(context)
    if (user_id := rest.pop("user_id", None)) is not None:
        scope.set_user({"id": str(user_id)})
    for name in [name for name in rest if name == "step" or name.endswith("_id")]:
        scope.set_tag(name, str(rest.pop(name)))
    if rest:
        scope.set_context("details", rest)
