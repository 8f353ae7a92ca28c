"""Times and counts every request, under WSGI and ASGI, without a thread hop."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from functools import cache, lru_cache, wraps
from time import monotonic
from typing import Any

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.apps import apps
from django.contrib.admindocs.views import simplify_regex
from django.core.exceptions import ImproperlyConfigured, MiddlewareNotUsed
from django.core.handlers.base import BaseHandler
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase

from . import activity, exemplars, metrics, store, streams
from .conf import get_conf
from .history import keeper
from .labels import CLIENT_CLOSED, UNMATCHED
from .labels import method as method_label

GetResponse = Callable[[HttpRequest], Any]
ESCAPED = re.compile(r"\\(\W)")  # a character that is itself in the path, as the dot in ``\.html``
COUNTED = "_observability_exception"
REQUESTS = "http_requests_total"  # stands for all of a request that could not be recorded
SESSION_KEY = "_auth_user_id"  # django.contrib.auth.SESSION_KEY, without loading an app that may not be installed


class MetricsMiddleware:
    """Put it first, so that the time of all other middleware is counted."""

    sync_capable = async_capable = True

    def __init__(self, get_response: GetResponse) -> None:
        if not get_conf().METRICS_ENABLED:
            raise MiddlewareNotUsed("METRICS_ENABLED is off")
        if not apps.is_installed("observability"):
            raise ImproperlyConfigured("MetricsMiddleware needs its app: add 'observability' to INSTALLED_APPS.")
        self.get_response = get_response
        self.is_async = iscoroutinefunction(get_response)
        if self.is_async:
            markcoroutinefunction(self)
        _watch_exceptions()

    def __call__(self, request: HttpRequest) -> HttpResponseBase | Awaitable[HttpResponseBase]:
        if self.is_async:
            return self.answer_async(request)
        begin, method = monotonic(), request.method
        _raise[method](begin)
        try:
            response: HttpResponseBase = self.get_response(request)
        except BaseException as error:
            Observation(request, method, begin).fail(error)
            raise
        leave(request, method, begin, response)
        return response

    async def answer_async(self, request: HttpRequest) -> HttpResponseBase:
        """The same with an ``await``."""
        begin, method = monotonic(), request.method
        _raise[method](begin)
        try:
            response: HttpResponseBase = await self.get_response(request)
        except BaseException as error:
            Observation(request, method, begin).fail(error)
            raise
        if _was_cancelled():
            Observation(request, method, begin).finish(CLIENT_CLOSED)
        else:
            leave(request, method, begin, response)
        return response


@cache
def _watch_exceptions() -> None:
    """See each exception that leaves a view, also one that another middleware answers.

    A ``process_exception`` of ours would not: Django asks the outermost middleware last, and stops at the first answer.
    """
    ask_middleware = BaseHandler.process_exception_by_middleware

    @wraps(ask_middleware)
    def count_and_ask(self: BaseHandler, exception: Exception, request: HttpRequest) -> HttpResponse:
        if get_conf().METRICS_ENABLED:
            count_exception(request, exception)
        return ask_middleware(self, exception, request)

    BaseHandler.process_exception_by_middleware = count_and_ask  # type: ignore[method-assign]


def _was_cancelled() -> bool:
    """The client went away while a sync view ran in its thread: the view's response comes all the same."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


class _Raisers(dict[str | None, Callable[[float], object]]):
    """What raises the gauge of requests in progress, by method; kept for methods that have a name, which are few."""

    def __missing__(self, method: str | None) -> Callable[[float], object]:
        try:
            rise = store.raiser(_gauge(method))
        except Exception as error:
            metrics.fail("http_requests_in_progress", error)
            return id
        return self.setdefault(method, rise) if method_label(method) == method else rise


_raise = _Raisers()


def _gauge(method: str | None) -> Any:
    return metrics.series(metrics.http_requests_in_progress, method_label(method))._value


def leave(request: HttpRequest, method: str | None, begin: float, response: Any) -> None:
    """Record a complete response; watch one that is still to be sent."""
    size = None
    try:
        if response.streaming:
            _watch(request, response, Observation(request, method, begin))
            return
        size = len(response.content)
    except Exception as error:
        metrics.fail(REQUESTS, error)
    record(request, method, begin, getattr(response, "status_code", 500), size)


def _watch(request: HttpRequest, response: StreamingHttpResponse, observation: Observation) -> None:
    try:
        observation.ids = exemplars.current()  # a server sends a stream outside of the trace that it belongs to
        streams.watch(request, response, observation)
    except Exception as error:
        metrics.fail(REQUESTS, error)
        observation.finish(response.status_code)


def record(request: HttpRequest, method: str | None, begin: float, status: int, size: int | None) -> Recorder | None:
    """A request that ended, with the bytes of its body where they are known; None: it could not be recorded."""
    recorder = None
    try:
        now = monotonic()
        match = request.resolver_match
        route = match.route if match else None
        recorder = _recorders.get((method, route, status)) or recorder_for(method, route, status)
        if size and method == "HEAD":
            size = 0  # a server sends no body in answer to HEAD, whatever the view gave
        recorder.count_and_observe(now - begin, size, now)
        if ids := exemplars.current():
            recorder.duration.exemplify(now - begin, ids)
        if (length := request.META.get("CONTENT_LENGTH")) and length != "0" and length.isdecimal():
            metrics.observe(metrics.http_request_size_bytes, int(length[:18]), *recorder.labels[:2])
        if (session := getattr(request, "session", None)) is not None:
            _see_user(session)
    except Exception as error:
        metrics.fail(REQUESTS, error)
        if recorder is None:
            _lower(method)
    return recorder


def _lower(method: str | None) -> None:
    """A request that could not be recorded is in progress no more, all the same."""
    with suppress(Exception):
        store.lower(_gauge(method))


class Observation:
    """A request that ends in an unusual way, or later; recorded once, whichever way that is."""

    __slots__ = ("begin", "done", "first_byte", "ids", "method", "request")

    def __init__(self, request: HttpRequest, method: str | None, begin: float) -> None:
        self.request, self.method, self.begin = request, method, begin
        self.ids: dict[str, str] = {}
        self.done = False
        self.first_byte: float | None = None

    def fail(self, error: BaseException) -> None:
        """No response: the client went away, or the server is stopping."""
        cancelled = isinstance(error, asyncio.CancelledError)
        if not cancelled:
            count_exception(self.request, error)
        self.finish(CLIENT_CLOSED if cancelled else 500)

    def first_part(self) -> None:
        """A stream is about to send its first bytes."""
        if self.first_byte is None:
            self.first_byte = monotonic() - self.begin

    def broken(self, error: BaseException) -> None:
        """A stream raised."""
        count_exception(self.request, error)

    def finish(self, status: int, size: int | None = None) -> None:
        """Record, unless that was done before."""
        if self.done:
            return
        self.done = True
        with exemplars.exemplar(**self.ids):
            recorder = record(self.request, self.method, self.begin, status, size)
            if recorder and self.first_byte is not None:
                recorder.first_byte(self.first_byte)


class Recorder:
    """The series of one method, route and status, looked up once."""

    __slots__ = ("count_and_observe", "duration", "labels")

    def __init__(self, *labels: Any) -> None:
        self.labels = labels
        count = metrics.series(metrics.http_requests_total, *labels)._value
        self.duration = store.Buckets(metrics.series(metrics.http_request_duration_seconds, *labels[:2]))
        response_size = store.Buckets(metrics.series(metrics.http_response_size_bytes, *labels[:2]))
        self.count_and_observe = store.together(_gauge(labels[0]), count, self.duration, response_size)

    def first_byte(self, seconds: float) -> None:
        """The time to the first byte of a stream."""
        metrics.observe(metrics.http_stream_first_byte_seconds, seconds, *self.labels[:2])


_recorders: dict[tuple[str | None, str | None, int], Recorder] = {}


def recorder_for(method: str | None, route: str | None, status: int) -> Recorder:
    """A recorder, kept unless its series are past their cap: then each request counts as refused."""
    recorder = Recorder(method_label(method), endpoint(route), status)
    keeper.start()
    has_room = all(metrics.find(metric, *values) is not None for metric, *values in _series_of(recorder))
    if has_room and method == recorder.labels[0]:
        _recorders[method, route, status] = recorder
    return recorder


def _series_of(recorder: Recorder) -> Iterator[tuple[Any, ...]]:
    yield metrics.http_requests_total, *recorder.labels
    yield metrics.http_request_duration_seconds, *recorder.labels[:2]
    yield metrics.http_response_size_bytes, *recorder.labels[:2]


@lru_cache(maxsize=4096)
def endpoint(route: str | None) -> str:
    """A route template with a leading slash; regular expressions are simplified to the names of their groups."""
    if route is None:
        return UNMATCHED
    if any(mark in route for mark in "^(\\"):
        route = ESCAPED.sub(r"\1", simplify_regex(route))
    route = route.replace("<uuidstr:", "<uuid:")  # django-ninja's own word for what the project wrote as uuid
    return route if route.startswith("/") else f"/{route}"


def count_exception(request: HttpRequest, error: BaseException) -> None:
    """An exception that left the view, by class name; once, though Django may hand it to us twice."""
    try:
        if request.__dict__.get(COUNTED) == id(error):
            return
        request.__dict__[COUNTED] = id(error)  # the exception itself would keep its frames alive
        match = request.resolver_match
        route = endpoint(match.route if match else None)
        metrics.count(metrics.http_exceptions_total, route, type(error).__name__)
    except Exception as own:
        metrics.fail(REQUESTS, own)


def _see_user(session: object) -> None:
    """Tell of a signed-in user, where the request itself found out who that is: asking would cost a query."""
    loaded = getattr(session, "_session_cache", None)  # what the view loaded; a failed load is not tried again
    if loaded and (user_id := loaded.get(SESSION_KEY)) is not None:
        activity.seen(user_id)
