"""Every request is counted once, by its route, when its response is complete."""

import asyncio
import gc
import gzip
import time
from contextlib import suppress
from wsgiref.util import FileWrapper

import pytest
import time_machine
from asgiref.sync import SyncToAsync
from django.http import HttpResponse, StreamingHttpResponse
from django.middleware.gzip import GZipMiddleware
from django.test import AsyncClient, AsyncRequestFactory, Client, RequestFactory

from observability.middleware import MetricsMiddleware
from observability.testing import assert_increases, metric_value
from tests.observability.urls import file, stream

pytestmark = [pytest.mark.urls("tests.observability.urls")]

CASES = [
    ("/ok", "/ok", 200),
    ("/ok?status=302", "/ok", 302),
    ("/ok?status=503", "/ok", 503),
    ("/stream", "/stream", 200),
    ("/file", "/file", 200),
    ("/missing", "/missing", 404),
    ("/forbidden", "/forbidden", 403),
    ("/nowhere/at/all", "unmatched", 404),
    ("/jobs/7f0c1bde-5d0e-4bb4-9f6d-1f3c0f7a2c11", "/jobs/<uuid:job_id>", 200),
    ("/archive/2026/11/", "/archive/<year>/<var>/", 200),
    ("/shop/7/items/12/edit/", "/shop/<int:shop>/items/<item>/", 200),
    ("/shop/7/report.v2.html", "/shop/<int:shop>/report.v<version>.html", 200),
    ("/shop/7/some-name", "/shop/<int:shop>/<slug:name>", 200),
    ("/api/automation/jobs", "/api/automation/jobs", 401),
    ("/api/automation/jobs/7f0c1bde-5d0e-4bb4-9f6d-1f3c0f7a2c11", "/api/automation/jobs/<uuid:job_id>", 401),
]


@pytest.fixture
def client():
    return Client(raise_request_exception=False)


def get(client, path):
    """The whole response, as a server would send it: the client closes a stream at its end."""
    response = client.get(path)
    return b"".join(response.streaming_content) if response.streaming else response.content


def streamed(path):
    """A response of the stream view that the caller has to close, as a server does."""
    return MetricsMiddleware(stream)(RequestFactory().get(path))


def close(response):
    """What the server does last. Its signal would close the test's own database connection."""
    for closer in response._resource_closers:
        closer()


@pytest.mark.parametrize(("path", "endpoint", "status"), CASES)
def test_each_request_is_counted_once_by_route_and_status(client, path, endpoint, status):
    with (
        assert_increases("http_requests_total", method="GET", endpoint=endpoint, status=status),
        assert_increases("http_request_duration_seconds_count", method="GET", endpoint=endpoint),
        assert_increases("http_request_duration_seconds_count"),
        assert_increases("http_requests_total"),
        assert_increases("http_requests_in_progress", by=0),
    ):
        get(client, path)


async def get_async(path):
    response = await AsyncClient().get(path)
    assert response.status_code == 200


@pytest.mark.parametrize("path", ["/ok", "/async/ok"])
def test_the_same_views_are_counted_once_under_asgi(path):
    with assert_increases("http_requests_total"), assert_increases("http_requests_total", endpoint=path, status=200):
        asyncio.run(get_async(path))


def test_an_exception_of_the_view_is_one_request_with_status_500_and_one_exception(client):
    with (
        assert_increases("http_requests_total", endpoint="/fail", status=500),
        assert_increases("http_exceptions_total", endpoint="/fail", exception="RuntimeError"),
        assert_increases("http_request_duration_seconds_count", endpoint="/fail"),
    ):
        client.get("/fail")


class AnswersExceptions:
    """What an API's own error format is made by."""

    def __init__(self, get_response):
        self.get_response = get_response

    def __call__(self, request):
        return self.get_response(request)

    def process_exception(self, request, exception):
        return HttpResponse("sorry", status=400)


@pytest.mark.parametrize(("path", "send"), [("/fail", Client), ("/async/fail", AsyncClient)])
def test_an_exception_that_another_middleware_answers_is_counted_once(settings, path, send):
    settings.MIDDLEWARE = [*settings.MIDDLEWARE, f"{__name__}.AnswersExceptions"]
    with (
        assert_increases("http_exceptions_total"),
        assert_increases("http_exceptions_total", endpoint=path, exception="RuntimeError"),
        assert_increases("http_requests_total", endpoint=path, status=400),
    ):
        response = send().get(path)
        assert (asyncio.run(response) if send is AsyncClient else response).content == b"sorry"


def test_an_exception_that_leaves_the_middleware_is_counted_once_and_raised():
    def broken(request):
        raise OSError("not ours")

    with (
        assert_increases("http_requests_total", endpoint="unmatched", status=500),
        assert_increases("http_exceptions_total", endpoint="unmatched", exception="OSError"),
        assert_increases("http_requests_in_progress", by=0),
        pytest.raises(OSError, match="not ours"),
    ):
        MetricsMiddleware(broken)(RequestFactory().get("/"))


def test_an_exception_that_django_passes_on_is_counted_once(settings):
    settings.DEBUG_PROPAGATE_EXCEPTIONS = True
    with (
        assert_increases("http_exceptions_total", endpoint="/fail", exception="RuntimeError"),
        assert_increases("http_requests_total", endpoint="/fail", status=500),
        pytest.raises(RuntimeError),
    ):
        Client().get("/fail")


def test_a_stream_is_timed_to_its_last_byte_and_counted_when_it_ends(client):
    response = client.get("/stream?parts=5&pause=0.02")
    before = metric_value("http_request_duration_seconds_sum", endpoint="/stream")
    with (
        assert_increases("http_requests_total", endpoint="/stream", status=200),
        assert_increases("http_stream_first_byte_seconds_count", endpoint="/stream"),
        assert_increases("http_response_size_bytes_sum", by=50, endpoint="/stream"),
    ):
        assert len(b"".join(response.streaming_content)) == 50
    assert metric_value("http_request_duration_seconds_sum", endpoint="/stream") - before >= 0.1


def test_a_stream_that_breaks_is_one_request_and_one_exception(client):
    response = client.get("/stream?fail=1")
    with (
        assert_increases("http_requests_total", endpoint="/stream", status=200),
        assert_increases("http_exceptions_total", endpoint="/stream", exception="RuntimeError"),
        assert_increases("http_requests_in_progress", by=-1),
        pytest.raises(RuntimeError),
    ):
        list(response.streaming_content)


@pytest.mark.parametrize("parts_read", [0, 1])
def test_a_stream_that_nobody_reads_to_its_end_counts_as_499(parts_read):
    response = streamed("/stream")
    content = iter(response.streaming_content)
    for _ in range(parts_read):
        next(content)
    with (
        assert_increases("http_requests_total", endpoint="unmatched", status=499),
        assert_increases("http_requests_total"),
        assert_increases("http_requests_in_progress", by=-1),
    ):
        close(response)


def sent_by_the_server():
    """A response whose file the server sends by itself, as gunicorn does with sendfile()."""
    return MetricsMiddleware(file)(RequestFactory().get("/file", **{"wsgi.file_wrapper": FileWrapper}))


def test_a_file_keeps_the_way_by_which_a_server_sends_it_fast():
    response = sent_by_the_server()
    assert response.file_to_stream is not None
    with (
        assert_increases("http_requests_total", endpoint="unmatched", status=200),
        assert_increases("http_response_size_bytes_sum", by=int(response.headers["Content-Length"])),
    ):
        close(response)


def test_a_file_that_the_server_gave_up_counts_as_499_with_the_bytes_that_were_read():
    response = sent_by_the_server()
    response.file_to_stream.read(100)
    with (
        assert_increases("http_requests_total", endpoint="unmatched", status=499),
        assert_increases("http_response_size_bytes_sum", by=100),
        suppress(BrokenPipeError),
    ):
        try:
            raise BrokenPipeError
        finally:
            close(response)


def test_a_synchronous_stream_stays_one_under_asgi():
    async def read():
        response = await AsyncClient().get("/stream")
        return b"".join(response.streaming_content)

    with (
        assert_increases("http_requests_total", endpoint="/stream", status=200),
        assert_increases("http_requests_total"),
    ):
        assert asyncio.run(read()) == b"0123456789" * 3


async def awaited():
    for _ in range(100):
        yield b"0123456789"


def awaited_stream(request):
    """A stream of the kind that a WSGI server cannot send."""
    return StreamingHttpResponse(awaited())


async def sent_under_asgi(response):
    return b"".join([part async for part in response])


@pytest.mark.filterwarnings("ignore:StreamingHttpResponse must consume")
@pytest.mark.parametrize(
    ("view", "factory", "send"),
    [
        (stream, RequestFactory, b"".join),
        (awaited_stream, RequestFactory, b"".join),
        (stream, AsyncRequestFactory, lambda response: asyncio.run(sent_under_asgi(response))),
        (awaited_stream, AsyncRequestFactory, lambda response: asyncio.run(sent_under_asgi(response))),
    ],
)
def test_what_a_middleware_outside_of_ours_makes_of_a_stream_is_what_is_sent(view, factory, send):
    request = factory().get("/stream?parts=100", headers={"Accept-Encoding": "gzip"})
    with assert_increases("http_requests_total"), assert_increases("http_requests_total", status=200):
        response = GZipMiddleware(MetricsMiddleware(view))(request)
        assert gzip.decompress(send(response)) == b"0123456789" * 100


async def failing():
    raise LookupError("before the first byte")
    yield


@pytest.mark.filterwarnings("ignore:StreamingHttpResponse must consume")
@pytest.mark.parametrize("content", [failing, lambda: (1 / 0 for _ in range(3))], ids=["async", "sync"])
def test_a_stream_that_raises_before_its_first_byte_is_a_500_under_wsgi(content):
    response = MetricsMiddleware(lambda request: StreamingHttpResponse(content()))(RequestFactory().get("/"))
    with (
        assert_increases("http_requests_total", endpoint="unmatched", status=500),
        assert_increases("http_requests_total"),
        assert_increases("http_exceptions_total"),
        pytest.raises((LookupError, ZeroDivisionError)),
    ):
        list(response)


def test_a_response_that_nobody_sends_or_closes_is_not_in_progress_for_ever():
    with assert_increases("http_requests_in_progress", by=0), assert_increases("http_requests_total", status=499):
        MetricsMiddleware(stream)(RequestFactory().get("/"))
        gc.collect()


def test_an_empty_part_is_not_the_first_byte():
    response = MetricsMiddleware(lambda request: StreamingHttpResponse(late()))(RequestFactory().get("/"))
    before = metric_value("http_stream_first_byte_seconds_sum")
    assert b"".join(response) == b"x"
    assert metric_value("http_stream_first_byte_seconds_sum") - before >= 0.05


def late():
    yield b""
    time.sleep(0.05)
    yield b"x"


def test_sizes_are_those_of_the_bodies(client):
    with (
        assert_increases("http_request_size_bytes_sum", by=9, method="POST", endpoint="/ok"),
        assert_increases("http_request_size_bytes_count", method="POST", endpoint="/ok"),
        assert_increases("http_response_size_bytes_sum", by=1234, method="POST", endpoint="/ok"),
    ):
        client.post("/ok?size=1234", data=b"123456789", content_type="text/plain")


def test_a_request_without_a_body_has_no_request_size_and_head_sends_no_bytes(client):
    with (
        assert_increases("http_request_size_bytes_count", by=0),
        assert_increases("http_response_size_bytes_sum", by=0, method="HEAD"),
        assert_increases("http_response_size_bytes_count", by=2, method="HEAD"),
    ):
        client.head("/ok?size=500")
        close(client.head("/stream"))


def test_a_clock_that_is_set_back_an_hour_gives_no_negative_duration():
    with time_machine.travel("2026-11-23 12:00", tick=True) as clock:

        def view(request):
            clock.shift(-3600)
            time.sleep(0.01)
            return HttpResponse("done")

        before = metric_value("http_request_duration_seconds_sum", endpoint="unmatched")
        with assert_increases("http_request_duration_seconds_count", endpoint="unmatched"):
            MetricsMiddleware(view)(RequestFactory().get("/"))
    assert 0.01 <= metric_value("http_request_duration_seconds_sum", endpoint="unmatched") - before < 5


@pytest.mark.parametrize(("step", "counted"), [("middleware.endpoint", 0), ("exemplars.current", 1)])
def test_a_fault_of_ours_leaves_the_response_unchanged_and_is_counted(client, monkeypatch, step, counted):
    def broken(*args):
        raise ZeroDivisionError("a fault of ours")

    monkeypatch.setattr("observability.middleware._recorders", {})
    monkeypatch.setattr(f"observability.{step}", broken)
    with (
        assert_increases("observability_dropped_total", metric="http_requests_total", reason="error"),
        assert_increases("http_requests_total", by=counted),
        assert_increases("http_requests_in_progress", by=0),
    ):
        response = client.get("/ok?size=7")
    assert (response.status_code, response.content) == (200, b"xxxxxxx")


def test_a_middleware_within_that_gives_no_response_leaves_nothing_in_progress():
    with assert_increases("http_requests_total", status=500), assert_increases("http_requests_in_progress", by=0):
        assert MetricsMiddleware(lambda request: None)(RequestFactory().get("/")) is None


def test_the_middleware_takes_itself_out_when_metrics_are_off(client, settings):
    settings.OBSERVABILITY = {"METRICS_ENABLED": False}
    with assert_increases("http_requests_total", by=0):
        assert Client().get("/ok").status_code == 200
        assert Client().get("/api/metrics").status_code == 404


def test_an_async_request_makes_no_more_thread_hops_with_the_middleware_than_without(settings, monkeypatch):
    hops = []
    call = SyncToAsync.__call__

    async def counted(self, *args, **kwargs):
        hops.append(self)
        return await call(self, *args, **kwargs)

    monkeypatch.setattr(SyncToAsync, "__call__", counted)

    def count(middleware):
        settings.MIDDLEWARE = middleware
        hops.clear()
        asyncio.run(get_async("/async/ok"))
        return len(hops)

    assert count(["observability.middleware.MetricsMiddleware"]) == count([])


def test_ten_thousand_invented_methods_give_ten_values_and_hardly_any_memory(own_process):
    code = """
import random, string, tracemalloc
from django.test import RequestFactory
from django.core.handlers.wsgi import WSGIHandler
from observability.testing import metric_value
from observability import exposition
handler, factory = WSGIHandler(), RequestFactory()
def send(method): handler.get_response(factory.generic(method, "/ok"))
for method in ("GET", "BREW"): send(method)
tracemalloc.start()
for number in range(10_000): send("".join(random.choices(string.ascii_uppercase, k=8)) + str(number))
grown = tracemalloc.get_traced_memory()[0]
[family] = exposition.snapshot(["http_requests_total"])
print(json.dumps([sorted({sample.labels["method"] for sample in family.samples}), grown,
                  metric_value("http_requests_total", method="OTHER")]))
"""
    methods, grown, others = own_process(code, ALLOWED_HOSTS="testserver")
    assert methods == ["GET", "OTHER"]
    assert grown < 5_000_000
    assert others == 10_001


def test_ten_thousand_invented_paths_and_headers_give_fewer_than_a_hundred_series(own_process):
    code = """
import random, uuid
from django.test import RequestFactory
from django.core.handlers.wsgi import WSGIHandler
from observability import exposition
handler, factory = WSGIHandler(), RequestFactory()
def size(): return sum(1 for _ in exposition.to_rows(exposition.snapshot()))
paths = [lambda: f"/{uuid.uuid4()}", lambda: f"/jobs/{uuid.uuid4()}", lambda: f"/shop/{random.randrange(10**9)}/x",
         lambda: f"/archive/{random.randrange(1000, 9999)}/{random.randrange(99)}/",
         lambda: "/%00%ff%0a" + str(random.random())]
before = size()
for number in range(10_000):
    headers = {"Host": "127.0.0.1", "User-Agent": str(random.random()), f"X-{number}": str(number)}
    handler.get_response(factory.get(random.choice(paths)(), headers=headers))
print(json.dumps(size() - before))
"""
    assert own_process(code, ALLOWED_HOSTS="127.0.0.1") < 100
