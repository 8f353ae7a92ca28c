"""Who may read the endpoints: all while DEBUG is on or by setting, else a token, a network, a permitted staff user."""

from __future__ import annotations

import hmac
import os
from functools import partial
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from threading import Lock
from time import perf_counter
from typing import TYPE_CHECKING

from django.conf import settings
from django.http import HttpRequest
from django.utils.functional import SimpleLazyObject

from .conf import get_conf, token
from .logs import warn
from .probes import Probe

if TYPE_CHECKING:
    from django.contrib.sessions.backends.base import SessionBase

PERMISSION = "observability.view_metric"
SCHEME = b"bearer "


def may_read(request: HttpRequest) -> bool:
    """Whether this request may see metrics. Asks the session, and so perhaps the database, last."""
    return may_read_without_session(request) or _is_permitted_staff(request)


def may_read_without_session(request: HttpRequest) -> bool:
    """The same for a request that must not touch the database."""
    return settings.DEBUG or get_conf().METRICS_PUBLIC or _has_token(request) or _is_in_network(request)


def may_read_in_time(request: HttpRequest, seconds: float) -> bool:
    """The same, with a hard deadline for a session store or database that never answers: then False.

    One session is asked for at a time, so that callers who come again and again pile up no threads; a caller without
    one waits for nobody.
    """
    if may_read_without_session(request):
        return True
    session = getattr(request, "session", None)
    if session is None:
        return _is_permitted_staff(request)
    return bool(session.session_key) and _is_staff_of(session, perf_counter() + seconds)


def _is_staff_of(session: SessionBase, deadline: float) -> bool:
    if not _asking.acquire(timeout=max(0.0, deadline - perf_counter())):
        return False
    probe = Probe(lambda: _is_permitted_staff(_look_at(session)), lambda: deadline - perf_counter())
    answer = probe.start()
    answer.add_done_callback(lambda _: _asking.release())
    try:
        return bool(answer.result(max(0.0, deadline - perf_counter())).value)
    except TimeoutError:
        return False


_asking = Lock()


def _after_fork_in_child() -> None:
    global _asking
    _asking = Lock()


os.register_at_fork(after_in_child=_after_fork_in_child)


def _look_at(session: SessionBase) -> HttpRequest:
    """A request of the same session, for another thread, and without a trace: reading a session may end or renew it."""
    request = HttpRequest()
    kind = type(session)
    without = dict.fromkeys(("cycle_key", "flush", "save"), _do_nothing)
    # the class's name is part of what a session is signed with
    request.session = type(kind.__name__, (kind,), without | {"__qualname__": kind.__qualname__})(session.session_key)
    request.user = SimpleLazyObject(partial(_user_of, request))  # type: ignore[assignment]
    return request


def _user_of(request: HttpRequest) -> object:
    from django.contrib.auth import get_user  # an app that may not be installed

    return get_user(request)


def _do_nothing(*args: object, **kwargs: object) -> None:
    """In place of what would change a session."""


def _has_token(request: HttpRequest) -> bool:
    """Compared as bytes, in constant time; an empty configured token matches nothing."""
    wanted = token()
    # Servers hand header bytes over as Latin-1; what is not Latin-1 came from no server.
    given = request.META.get("HTTP_AUTHORIZATION", "").encode("latin-1", "backslashreplace")
    if not wanted or not given.lower().startswith(SCHEME):
        return False
    return hmac.compare_digest(given[len(SCHEME) :].strip(), wanted)


def _is_in_network(request: HttpRequest) -> bool:
    networks = get_conf().METRICS_NETWORKS
    address = client_address(request) if networks else None
    return address is not None and any(_contains(network, address) for network in networks)


def _contains(network: str, address: IPv4Address | IPv6Address) -> bool:
    try:
        return address in ip_network(network, strict=False)
    except ValueError:
        return False  # a check reports it


def client_address(request: HttpRequest) -> IPv4Address | IPv6Address | None:
    """The peer's address; behind N trusted proxies, the Nth of X-Forwarded-For from the right. None when unknown."""
    proxies = get_conf().TRUSTED_PROXIES
    chain = [request.META.get("REMOTE_ADDR", "")]
    if proxies:
        chain = request.META.get("HTTP_X_FORWARDED_FOR", "").split(",")
    try:
        address = ip_address(chain[-max(proxies, 1)].strip())
    except (ValueError, IndexError):
        return None
    return getattr(address, "ipv4_mapped", None) or address


def _is_permitted_staff(request: HttpRequest) -> bool:
    """A session that cannot be read opens nothing."""
    try:
        user = getattr(request, "user", None)
        return bool(user and user.is_active and user.is_staff and user.has_perm(PERMISSION))
    except Exception as error:
        warn("access", "The session of a reader cannot be read: %r", error)
        return False
