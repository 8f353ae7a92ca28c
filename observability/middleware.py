"""Times and counts every request, under WSGI and ASGI, without a thread hop."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from functools import cache, lru_cache, wraps
from time import perf_counter
from typing import Any, cast

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.apps import apps
from django.contrib.admindocs.views import simplify_regex
from django.core.exceptions import ImproperlyConfigured, MiddlewareNotUsed
from django.core.handlers.base import BaseHandler
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase

from . import activity, exemplars, metrics, store, streams
from .conf import get_conf
from .labels import CLIENT_CLOSED, UNMATCHED
from .labels import method as method_label

GetResponse = Callable[[HttpRequest], Any]
ESCAPED = re.compile(r"\\(\W)")  # a character that is itself in the path, as the dot in ``\.html``
COUNTED = "_observability_exception"
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
        observation = Observation(request)
        try:
            response: HttpResponseBase = self.get_response(request)
        except BaseException as error:
            observation.fail(error)
            raise
        observation.answer(response)
        return response

    async def answer_async(self, request: HttpRequest) -> HttpResponseBase:
        """The same with an ``await``."""
        observation = Observation(request)
        try:
            response: HttpResponseBase = await self.get_response(request)
        except BaseException as error:
            observation.fail(error)
            raise
        if _was_cancelled():
            observation.finish(CLIENT_CLOSED)
        else:
            observation.answer(response)
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


class Observation:
    """One request, from its entry to its last byte; recorded once, whichever way it ends."""

    __slots__ = ("done", "first_byte", "method", "request", "start")

    def __init__(self, request: HttpRequest) -> None:
        self.start = perf_counter()
        self.request = request
        self.method = method_label(request.method)
        self.done = False
        self.first_byte: float | None = None
        in_progress(self.method, 1)

    def answer(self, response: HttpResponseBase) -> None:
        """Record a complete response; watch one that is still to be sent."""
        try:
            if response.streaming:
                streams.watch(self.request, cast(StreamingHttpResponse, response), self)
            else:
                self._finish(response.status_code, len(cast(HttpResponse, response).content))
            _see_user(self.request)
        except Exception as error:
            _report(error)
            self.finish(response.status_code)

    def fail(self, error: BaseException) -> None:
        """No response: the client went away, or the server is stopping."""
        cancelled = isinstance(error, asyncio.CancelledError)
        if not cancelled:
            count_exception(self.request, error)
        self.finish(CLIENT_CLOSED if cancelled else 500)

    def finish(self, status: int, size: int | None = None) -> None:
        """Record, unless that was done before."""
        try:
            self._finish(status, size)
        except Exception as error:
            _report(error)

    def _finish(self, status: int, size: int | None) -> None:
        if self.done:
            return
        self.done = True
        in_progress(self.method, -1)
        seconds = perf_counter() - self.start
        request = self.request
        match = request.resolver_match
        recorder = recorder_for(self.method, match.route if match else None, status)
        if self.first_byte is not None:
            recorder.first_byte(self.first_byte)
        if size and self.method == "HEAD":
            size = 0  # a server sends no body in answer to HEAD, whatever the view gave
        recorder.record(seconds, size, request.META.get("CONTENT_LENGTH"))

    def first_part(self) -> None:
        """A stream is about to send its first bytes."""
        if self.first_byte is None:
            self.first_byte = perf_counter() - self.start

    def broken(self, error: BaseException) -> None:
        """A stream raised."""
        count_exception(self.request, error)


class Recorder:
    """The series of one method, route and status, looked up once."""

    __slots__ = ("count", "duration", "labels", "together")

    def __init__(self, *labels: Any) -> None:
        self.labels = labels
        self.count = metrics.series(metrics.http_requests_total, *labels)._value
        self.duration = store.Buckets(metrics.series(metrics.http_request_duration_seconds, *labels[:2]))
        response_size = store.Buckets(metrics.series(metrics.http_response_size_bytes, *labels[:2]))
        self.together = store.together(self.count, self.duration, response_size)

    def record(self, seconds: float, size: int | None, content_length: str | None) -> None:
        """One request; sizes are in bytes, ``content_length`` is the header as it came."""
        if size is not None:
            self.together(seconds, size)
        else:
            self.count.inc(1)
            self.duration.observe(seconds)
        if ids := exemplars.current():
            self.duration.exemplify(seconds, ids)
        if content_length and content_length != "0" and content_length.isdecimal():
            metrics.observe(metrics.http_request_size_bytes, int(content_length[:18]), *self.labels[:2])

    def first_byte(self, seconds: float) -> None:
        """The time to the first byte of a stream."""
        metrics.observe(metrics.http_stream_first_byte_seconds, seconds, *self.labels[:2])


_recorders: dict[tuple[str, str | None, int], Recorder] = {}


def recorder_for(method: str, route: str | None, status: int) -> Recorder:
    """The recorder, kept unless its series are past their cap: then each request counts as refused."""
    key = method, route, status
    recorder = _recorders.get(key)
    if recorder is None:
        recorder = Recorder(method, endpoint(route), status)
        if all(metrics.find(metric, *values) is not None for metric, *values in _series_of(recorder)):
            _recorders[key] = recorder
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


@lru_cache(maxsize=16)  # methods are ten at the most
def _in_progress_gauge(method: str) -> Any:
    return metrics.series(metrics.http_requests_in_progress, method)._value


def in_progress(method: str, change: int) -> None:
    """Requests being handled now."""
    try:
        gauge = _in_progress_gauge(method)
        if (
            change > 0 or gauge.get() > 0
        ):  # what began while the store was full was not counted, and its end is not either
            gauge.inc(change)
    except Exception as error:
        _report(error)


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
        _report(own)


def _see_user(request: HttpRequest) -> None:
    """Tell of a signed-in user, where the request itself found out who that is: asking would cost a query."""
    session = getattr(request, "session", None)
    loaded = getattr(session, "_session_cache", None)  # what the view loaded; a failed load is not tried again
    if loaded and (user_id := loaded.get(SESSION_KEY)) is not None:
        activity.seen(user_id)


def _report(error: Exception) -> None:
    """A fault of ours: the host's response goes out unchanged."""
    with suppress(Exception):
        metrics.drop("http_requests_total", "error", error=error)
