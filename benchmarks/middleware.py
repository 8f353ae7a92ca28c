"""What a middleware adds to a request, sync and async, interleaved in one run.

Each round times the same view under every middleware in turn, and takes away what the view costs without any in that
very round: a machine that slows down slows all of them. The figures are medians over the rounds, in microseconds.
"""

import asyncio
import gc
from collections.abc import Callable, Iterable
from statistics import median
from time import perf_counter

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.core.handlers.base import BaseHandler
from django.http import HttpRequest, HttpResponse
from django.test import RequestFactory, override_settings
from django.urls import path
from prometheus_client import Counter, Histogram

REQUESTS, ROUNDS, WARM_UP = 200, 60, 5

naive_requests = Counter("naive_requests_total", "For comparison.", ["method", "endpoint", "status"])
naive_seconds = Histogram("naive_request_seconds", "For comparison.", ["method", "endpoint"])
naive_bytes = Histogram("naive_response_bytes", "For comparison.", ["method", "endpoint"])


def view(request: HttpRequest, number: int) -> HttpResponse:
    return HttpResponse(b"done")


async def async_view(request: HttpRequest, number: int) -> HttpResponse:
    return HttpResponse(b"done")


urlpatterns = [path("sync/<int:number>", view), path("async/<int:number>", async_view)]


class Empty:
    """The least that a middleware costs."""

    sync_capable = async_capable = True

    def __init__(self, get_response: Callable) -> None:
        self.get_response = get_response
        self.is_async = iscoroutinefunction(get_response)
        if self.is_async:
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest):
        return self.answer_async(request) if self.is_async else self.get_response(request)

    async def answer_async(self, request: HttpRequest) -> HttpResponse:
        return await self.get_response(request)


class Naive(Empty):
    """What one writes first: the same three series by ``.labels()`` at each request."""

    def __call__(self, request: HttpRequest):
        if self.is_async:
            return self.answer_async(request)
        begin = perf_counter()
        return self.record(request, self.get_response(request), begin)

    async def answer_async(self, request: HttpRequest) -> HttpResponse:
        begin = perf_counter()
        return self.record(request, await self.get_response(request), begin)

    def record(self, request: HttpRequest, response: HttpResponse, begin: float) -> HttpResponse:
        method, endpoint = request.method, request.resolver_match.route
        naive_requests.labels(method, endpoint, response.status_code).inc()
        naive_seconds.labels(method, endpoint).observe(perf_counter() - begin)
        naive_bytes.labels(method, endpoint).observe(len(response.content))
        return response


OURS, IDS, PEER = "this app", "this app, request ids", "django-prometheus"
EMPTY, GOAL = "empty", 2  # µs that request ids may take beside a middleware that does nothing
STACKS = {
    "none": [],
    EMPTY: ["benchmarks.middleware.Empty"],
    "naive, three .labels()": ["benchmarks.middleware.Naive"],
    OURS: ["observability.middleware.MetricsMiddleware"],
    IDS: ["observability.request_ids.RequestIDMiddleware"],
    PEER: [
        "django_prometheus.middleware.PrometheusBeforeMiddleware",
        "django_prometheus.middleware.PrometheusAfterMiddleware",
    ],
}


def handler(middleware: list[str], is_async: bool) -> BaseHandler:
    with override_settings(MIDDLEWARE=middleware):
        made = BaseHandler()
        made.load_middleware(is_async=is_async)
        return made


def time_sync(made: BaseHandler, requests: Iterable[HttpRequest]) -> float:
    begin = perf_counter()
    for request in requests:
        made.get_response(request)
    return (perf_counter() - begin) / REQUESTS


async def time_async(made: BaseHandler, requests: Iterable[HttpRequest]) -> float:
    begin = perf_counter()
    for request in requests:
        await made.get_response_async(request)
    return (perf_counter() - begin) / REQUESTS


def fresh(kind: str) -> list[HttpRequest]:
    factory = RequestFactory()
    return [factory.get(f"/{kind}/{number}") for number in range(REQUESTS)]


def run_sync() -> dict[str, list[float]]:
    """Seconds a request, by stack and round."""
    made = {name: handler(stack, is_async=False) for name, stack in STACKS.items()}
    return _rounds(made, lambda one: time_sync(one, fresh("sync")))


def run_async() -> dict[str, list[float]]:
    """Seconds a request, by stack and round, all on one event loop."""
    made = {name: handler(stack, is_async=True) for name, stack in STACKS.items()}
    with asyncio.Runner() as runner:
        return _rounds(made, lambda one: runner.run(time_async(one, fresh("async"))))


def _rounds(made: dict[str, BaseHandler], measure: Callable[[BaseHandler], float]) -> dict[str, list[float]]:
    times: dict[str, list[float]] = {name: [] for name in made}
    order = list(made)
    for _ in range(WARM_UP + ROUNDS):
        order.append(order.pop(0))  # none always comes after the same one
        for name in order:
            gc.collect()  # or it would fall to one of them, round for round
            times[name].append(measure(made[name]))
    return {name: values[WARM_UP:] for name, values in times.items()}


def added(times: dict[str, list[float]], name: str, to: str = "none") -> float:
    """Microseconds that a stack adds to a request with another one: the median of the differences within a round."""
    return median((one - other) * 1e6 for one, other in zip(times[name], times[to], strict=True))


def report() -> list[str]:
    """A Markdown table for each kind of view."""
    lines = []
    for kind, run in (("sync", run_sync), ("async", run_async)):
        times = run()
        figures = {name: added(times, name) for name in times if name != "none"}
        lines += [
            f"Added to a request, {kind} view, store on ({ROUNDS} rounds of {REQUESTS} requests, medians)",
            "",
            "| middleware | µs | ratio to django-prometheus |",
            "| --- | ---: | ---: |",
            *(f"| {name} | {value:.1f} | {value / figures[PEER]:.3f} |" for name, value in figures.items()),
            "",
            f"The request id itself, beside the empty middleware: {added(times, IDS, EMPTY):.1f} µs (goal: ≤ {GOAL}).",
            "",
        ]
    return lines
