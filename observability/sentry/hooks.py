"""What the SDK asks before it sends something: all that leaves the process passes through here."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator, Mapping
from functools import cache, partial, wraps
from typing import Any, ParamSpec, TypeVar, cast

from django.http import HttpRequest

from observability import access, correlation, known
from observability.conf import get_conf
from observability.logs.filters import IDS
from observability.scrubbing import FILTERED, Scrubber

from .sdk import active, harmless

P = ParamSpec("P")
T = TypeVar("T")
Event = dict[str, Any]
# Arguments of a message are sent within it, where what is before them tells whether they are secrets, and not apart.
ARGUMENT = "sentry.message.parameter"
# Django's answer to a server that asks for the protocol "lifespan": uvicorn, who goes on without.
NO_LIFESPAN = "Django can only handle ASGI/HTTP connections, not lifespan."
SESSION_KEY = "_auth_user_id"  # django.contrib.auth.SESSION_KEY, without loading an app that may not be installed


@cache
def _scrubber() -> Scrubber:
    return Scrubber(known.secrets(), addresses=get_conf().SENTRY_USER_IP)


def clean(value: Any) -> Any:
    """A copy without secrets."""
    return _scrubber()(value)


def clean_file(content: bytes) -> bytes:
    """What is attached to an event: its text without secrets, or nothing of it if it is no text."""
    try:
        text = content.decode()
    except UnicodeDecodeError:
        text = FILTERED
    return _scrubber().clean(text).encode()


def or_nothing(function: Callable[P, T]) -> Callable[P, T | None]:
    """What cannot be made safe is not sent, but counted: the function then returns None."""

    @wraps(function)
    def careful(*args: P.args, **kwargs: P.kwargs) -> T | None:
        try:
            return function(*args, **kwargs)
        except Exception as error:
            from observability.metrics import drop  # which needs the settings, and this module is imported by them

            drop("observability.sentry", "scrubber", type(error).__name__)  # its text may quote the secret
            return None

    return careful


def trim(event: Event) -> Event:
    """Without what is not sent of a user, and arguments of a log record, which are within its message."""
    event = _with_allowed_user(event)
    if log := event.get("logentry"):
        event["logentry"] = {name: part for name, part in log.items() if name != "params"}
    if extra := event.get("extra"):
        event["extra"] = _that_hold(extra)
    return event


def _that_hold(data: Mapping[str, Any]) -> Event:
    """What a log record carries, without the ids that are on it as None, so that a format may name them."""
    return {name: value for name, value in data.items() if value is not None or name not in IDS}


@or_nothing
def before_send(event: Event, hint: Any = None) -> Event:
    """An error, message, transaction or check-in as it may leave; for a client of the host's own."""
    return cast(Event, clean(trim(event)))


@or_nothing
def before_transport(event: Event, hint: Any = None) -> Event | None:
    """The same for our client, whose transport cleans what it sends, and who leaves out what is no error."""
    return None if _declines_lifespan(hint or {}) else trim(event)


def _declines_lifespan(hint: Mapping[str, Any]) -> bool:
    _, error, _ = hint.get("exc_info") or (None, None, None)
    return isinstance(error, ValueError) and str(error) == NO_LIFESPAN


@or_nothing
def before_breadcrumb(crumb: Event, hint: Any = None) -> Event:
    """What is kept of a log record or call, in case that an error follows."""
    return crumb | {"data": _that_hold(crumb["data"])} if crumb.get("data") else crumb


@or_nothing
def before_send_log(log: Event, hint: Any = None) -> Event:
    """A log line or metric, with the ids that hold."""
    given = {name: value for name, value in log.get("attributes", {}).items() if not name.startswith(ARGUMENT)}
    return log | {"attributes": {**correlation.ids.get(), **_that_hold(given)}}


def _with_allowed_user(event: Event) -> Event:
    """The id alone unless the settings allow more, whoever gave it."""
    conf = get_conf()
    allowed = {"id": True, "email": conf.SENTRY_USER_EMAIL, "ip_address": conf.SENTRY_USER_IP}
    user = {name: value for name, value in (event.get("user") or {}).items() if allowed.get(name)}
    rest = {name: part for name, part in event.items() if name != "user"}
    return rest | {"user": user} if user else rest


def add_ids(event: Any, hint: Any) -> Any:
    """The ids that hold, as tags; those that the event has go before them."""
    with harmless:
        event["tags"] = {**_ids(), **(event.get("tags") or {})}
    return event


def _ids() -> dict[str, str]:
    return {name: value for name, value in correlation.ids.get().items() if name != "trace_id"}


def enter(request: HttpRequest, request_id: str) -> None:
    """Have all that is sent of this request carry its id, and that of its user once that is known."""
    with harmless:
        if sdk := active():
            scope = sdk.get_isolation_scope()  # of this request; the transaction is sent when its middleware is done
            scope.set_tag("request_id", request_id)
            scope.add_event_processor(partial(_add_user, weakref.ref(request)))


def _add_user(reference: Callable[[], HttpRequest | None], event: Event, hint: Any) -> Event:
    with harmless:
        if request := reference():
            found = {name: value for name, value in _about_user(request) if value}
            if user := {**found, **(event.get("user") or {})}:
                event["user"] = user
    return event


def _about_user(request: HttpRequest) -> Iterator[tuple[str, str]]:
    """Of the user that the request itself has loaded: to ask for one would cost a query, or fail."""
    known = request.__dict__
    user = known.get("_cached_user") or known.get("_acached_user")
    session = getattr(known.get("session"), "_session_cache", None) or {}
    yield "id", str(getattr(user, "pk", None) or session.get(SESSION_KEY) or "")
    yield "email", str(getattr(user, "email", ""))
    if get_conf().SENTRY_USER_IP:
        yield "ip_address", str(access.client_address(request) or "")
