"""Every request has an id: in the response, and wherever something is told while it is handled."""

import asyncio
import re
import tempfile

import pytest
from asgiref.sync import async_to_sync, sync_to_async
from django.http import FileResponse, JsonResponse, StreamingHttpResponse
from django.test import AsyncClient, Client, RequestFactory
from django.urls import path

from observability.correlation import current
from observability.request_ids import RequestIDMiddleware

pytestmark = [
    pytest.mark.urls(__name__),
    pytest.mark.filterwarnings("ignore:StreamingHttpResponse must consume:Warning"),  # of the other kind of server
]

MADE = re.compile(r"[0-9a-f]{32}")
ODD = ["", "two words", "a\tb", "a\r\nSet-Cookie: b=c", "\x1b[31m", "<script>", 'a"b', "ü", "\ud800", "x" * 129]
SYNC, ASYNC = ["/shown", "/raises", "/streamed"], ["/async/shown", "/async/raises", "/async/streamed"]


def shown(request):
    return JsonResponse({"attribute": request.request_id, "bound": current(), "below": async_to_sync(ask)()})


async def ask():
    return [current(), await sync_to_async(current)()]


async def async_shown(request):
    await asyncio.sleep(float(request.GET.get("seconds", 0)))
    return JsonResponse({"attribute": request.request_id, "bound": current(), "below": await ask()})


def raises(request):
    raise RuntimeError("the view's own fault")


async def async_raises(request):
    raise RuntimeError("the view's own fault")


def parts():
    for _ in range(3):
        yield current()["request_id"] + " "


def streamed(request):
    return StreamingHttpResponse(parts())


async def async_streamed(request):
    async def content():
        for _ in range(3):
            await asyncio.sleep(0)
            yield current()["request_id"] + " "

    return StreamingHttpResponse(content())


urlpatterns = [
    path("shown", shown),
    path("async/shown", async_shown),
    path("raises", raises),
    path("async/raises", async_raises),
    path("streamed", streamed),
    path("async/streamed", async_streamed),
]


def get(path, **headers):
    return Client(raise_request_exception=False).get(path, headers=headers)


async def get_async(path, **headers):
    response = await AsyncClient(raise_request_exception=False).get(path, headers=headers)
    if response.streaming:
        response.text_sent = b"".join([part async for part in response]).decode()
    return response


def under_both(path, **headers):
    """The answers of the same view under WSGI and ASGI."""
    return [get(path, **headers), async_to_sync(get_async)(path, **headers)]


@pytest.mark.parametrize("path", ["/shown", "/async/shown"])
def test_the_id_of_the_client_holds_in_the_view_and_below_it_and_is_sent_back(path):
    for response in under_both(path, X_Request_ID="proxy-7:b3f1/d2+c0=@~"):
        holds = {"request_id": "proxy-7:b3f1/d2+c0=@~"}
        assert response["X-Request-ID"] == "proxy-7:b3f1/d2+c0=@~"
        assert response.json() == {"attribute": "proxy-7:b3f1/d2+c0=@~", "bound": holds, "below": [holds, holds]}


def test_without_one_each_request_gets_an_id_of_its_own():
    ids = {get("/shown")["X-Request-ID"] for _ in range(100)}
    assert len(ids) == 100
    assert all(map(MADE.fullmatch, ids))


@pytest.mark.parametrize("odd", ODD)
def test_what_could_forge_a_line_or_fill_a_log_is_replaced(odd):
    request = RequestFactory().get("/shown", HTTP_X_REQUEST_ID=odd)
    response = RequestIDMiddleware(shown)(request)
    assert MADE.fullmatch(response["X-Request-ID"])


@pytest.mark.parametrize("path", [*SYNC, *ASYNC, "/nowhere"])
def test_every_answer_has_its_id_and_after_it_there_is_none(path):
    for response in under_both(path, X_Request_ID="b3f1"):
        assert response["X-Request-ID"] == "b3f1"
    assert current() == {}


def test_a_stream_is_made_with_the_id_and_the_server_sends_it_without():
    response = get("/streamed", X_Request_ID="b3f1")
    for part in response.streaming_content:
        assert (part, current()) == (b"b3f1 ", {})


@pytest.mark.parametrize("path", ["/streamed", "/async/streamed"])
def test_a_stream_of_either_kind_is_made_with_the_id_on_either_server(path):
    by_wsgi = get(path, X_Request_ID="b3f1")
    assert b"".join(by_wsgi).decode() == "b3f1 " * 3
    assert async_to_sync(get_async)(path, X_Request_ID="b3f1").text_sent == "b3f1 " * 3


def test_a_file_is_left_to_the_server():
    with tempfile.TemporaryFile() as opened:
        response = RequestIDMiddleware(lambda request: FileResponse(opened))(RequestFactory().get("/"))
        assert response.file_to_stream is opened
        assert MADE.fullmatch(response["X-Request-ID"])


def test_fifty_requests_at_once_do_not_mix_their_ids():
    async def all_of_them():
        calls = (get_async("/async/shown?seconds=0.01", X_Request_ID=f"r{number}") for number in range(50))
        return [response.json()["below"] for response in await asyncio.gather(*calls)]

    assert asyncio.run(all_of_them()) == [[{"request_id": f"r{number}"}] * 2 for number in range(50)]


MAKE = """
from django.test import RequestFactory
from observability.request_ids import identify
made = lambda: identify(RequestFactory().get("/"))
"""


def test_a_process_does_not_make_the_ids_of_the_one_that_it_was_forked_from(own_process):
    code = """
import os
read, write = os.pipe()
if not os.fork():
    os.write(write, made().encode())
    os._exit(0)
print(json.dumps([os.read(read, 100).decode(), made()]))
"""
    childs, own = own_process(MAKE + code)
    assert childs != own


def test_a_host_that_seeds_its_random_numbers_does_not_get_the_same_ids_again(own_process):
    code = MAKE + "import random; random.seed(1); print(json.dumps(made()))"
    assert own_process(code) != own_process(code)
