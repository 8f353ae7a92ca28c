"""What a middleware adds to a request, sync and async.

Each round times the same view under every middleware in turn, and takes away what the view costs without any in that
very round. The figures are medians over the rounds, in microseconds.
"""

import asyncio
from collections.abc import Callable, Iterable
from functools import partial
from statistics import median
from time import perf_counter

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.core.handlers.base import BaseHandler
from django.http import HttpRequest, HttpResponse
from django.test import AsyncRequestFactory, RequestFactory, override_settings
from django.urls import path
from opentelemetry.instrumentation.django import DjangoInstrumentor
from prometheus_client import CollectorRegistry, Counter, Histogram

from benchmarks.peers import provider
from benchmarks.rounds import in_turn
from benchmarks.tables import at_most, table

REQUESTS, ROUNDS = 200, 60

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


OURS, IDS = "this app", "this app, request ids"
NONE, EMPTY, NAIVE, PEER, OTEL = "none", "empty", "naive", "django-prometheus", "OpenTelemetry"
STACKS = {
    NONE: [],
    EMPTY: ["benchmarks.middleware.Empty"],
    NAIVE: ["benchmarks.middleware.Naive"],
    OURS: ["observability.middleware.MetricsMiddleware"],
    IDS: ["observability.request_ids.RequestIDMiddleware"],
    PEER: [
        "django_prometheus.middleware.PrometheusBeforeMiddleware",
        "django_prometheus.middleware.PrometheusAfterMiddleware",
    ],
    OTEL: ["opentelemetry.instrumentation.django.middleware.otel_middleware._DjangoMiddleware"],
}
HEADER = ["µs", OURS, EMPTY, NAIVE, PEER, OTEL, "ratio", "goal"]
# By the kind of view: µs that the middleware may add, of what django-prometheus adds, and µs of a request id.
GOALS = {"sync": (4, 0.06, 2), "async": (5, 0.01, 2)}


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


def run_sync() -> dict[str, list[float]]:
    """Seconds a request, by stack and round."""
    factory = RequestFactory()

    def measure(made: BaseHandler) -> float:
        return time_sync(made, [factory.get(f"/sync/{number}") for number in range(REQUESTS)])

    return in_turn({name: partial(measure, handler(stack, is_async=False)) for name, stack in STACKS.items()}, ROUNDS)


def run_async() -> dict[str, list[float]]:
    """Seconds a request, by stack and round, all on one event loop."""
    factory = AsyncRequestFactory()
    with asyncio.Runner() as runner:

        def measure(made: BaseHandler) -> float:
            requests = [factory.get(f"/async/{number}") for number in range(REQUESTS)]
            return runner.run(time_async(made, requests))

        return in_turn(
            {name: partial(measure, handler(stack, is_async=True)) for name, stack in STACKS.items()}, ROUNDS
        )


def added(times: dict[str, list[float]], name: str, to: str = NONE) -> float:
    """Microseconds that a stack adds to a request with another one: the median of the differences within a round."""
    return median((one - other) * 1e6 for one, other in zip(times[name], times[to], strict=True))


def rows(kind: str, times: dict[str, list[float]]) -> list[list[str]]:
    """What the middleware adds to a request, and what its id adds to one with a middleware that does nothing."""
    ours, peer, ids = added(times, OURS), added(times, PEER), added(times, IDS, EMPTY)
    most, share, most_for_id = GOALS[kind]
    peers = [f"{added(times, name):.1f}" for name in (EMPTY, NAIVE, PEER, OTEL)]
    goal = f"{at_most(ours, most, ' µs')}, {at_most(ours / peer, share)}"
    return [
        [f"{kind} view", f"{ours:.1f}", *peers, f"{ours / peer:.3f} of {PEER}", goal],
        [f"{kind} view, the request id", f"{ids:.1f}", "", "", "", "", "", at_most(ids, most_for_id, " µs")],
    ]


def report() -> list[str]:
    """A Markdown table."""
    DjangoInstrumentor().instrument(meter_provider=provider(CollectorRegistry()))
    how = (
        f"Microseconds ({ROUNDS} rounds of {REQUESTS} requests, medians of the differences to the same view without a "
        "middleware). The store is on, also for django-prometheus and the naive one, which calls `.labels()` for the "
        "same three series. OpenTelemetry's records metrics only, in one process's memory, and no spans. A request id "
        "is measured beside the empty one."
    )
    found = {"sync": run_sync(), "async": run_async()}
    return table("Added to a request", how, HEADER, (row for kind, times in found.items() for row in rows(kind, times)))
