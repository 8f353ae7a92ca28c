"""Views that misbehave in the ways that real ones do, beside the site's own addresses."""

import asyncio
import tempfile
import threading
import time

from django.core.exceptions import PermissionDenied
from django.http import FileResponse, Http404, HttpResponse, JsonResponse, StreamingHttpResponse
from django.urls import include, path, re_path
from django.views.decorators.csrf import csrf_exempt

from observability.metrics import MetricsCollector
from observability.sentry import capture_message
from project.urls import handler500  # noqa: F401
from project.urls import urlpatterns as site_urls


@csrf_exempt
def ok(request, **kwargs):
    return HttpResponse(b"x" * int(request.GET.get("size", 2)), status=int(request.GET.get("status", 200)))


def fail(request):
    raise RuntimeError("the view's own fault")


def report(request):
    """Twenty messages for Sentry, of which most wait to be sent when this answers."""
    return HttpResponse(str(sum(capture_message(f"message {number}") is not None for number in range(20))))


def fail_for_user(request):
    raise RuntimeError(f"for {request.user.pk}")


def missing(request):
    raise Http404


def forbidden(request):
    raise PermissionDenied


def slow(request):
    time.sleep(float(request.GET.get("seconds", 0.1)))
    return HttpResponse("done")


def shape(request):
    """How many parts, the seconds between two of them, and one part."""
    size = int(request.GET.get("size", 10))
    return int(request.GET.get("parts", 3)), float(request.GET.get("pause", 0)), (b"0123456789" * (size // 10))


def stream(request):
    parts, pause, part = shape(request)

    def content():
        for _ in range(parts):
            time.sleep(pause)
            yield part
        if "fail" in request.GET:
            raise RuntimeError("in the middle of a stream")

    return StreamingHttpResponse(content())


def file(request):
    """A file on the disk, as long as asked for: a hole takes no room."""
    opened = tempfile.TemporaryFile()  # noqa: SIM115
    opened.truncate(int(request.GET.get("size", 1000)))
    return FileResponse(opened)  # the response closes it


async def async_ok(request):
    return JsonResponse({"thread": threading.get_ident(), "main": threading.main_thread().ident})


async def async_slow(request):
    await asyncio.sleep(float(request.GET.get("seconds", 0.1)))
    return HttpResponse("done")


async def async_fail(request):
    raise RuntimeError("the view's own fault")


async def async_stream(request):
    parts, pause, part = shape(request)

    async def content():
        for _ in range(parts):
            yield part
            await asyncio.sleep(pause)

    return StreamingHttpResponse(content())


def record(request):
    """Record one AI request of each of some models, which makes about 3 kB of new series a model."""
    for number in range(int(request.GET.get("models", 1))):
        MetricsCollector.record_ai_request(f"model-{number}", "success", tokens=1, cost=0.5)
    return HttpResponse("recorded")


def who(request):
    return HttpResponse(str(request.user.pk))


nested = [
    re_path(r"^items/(?P<item>[0-9]+)/(?:edit/)?$", ok),
    re_path(r"^report\.v(?P<version>\d)\.html$", ok),
    path("<slug:name>", ok),
]

urlpatterns = [
    path("ok", ok),
    path("jobs/<uuid:job_id>", ok),
    re_path(r"^archive/(?P<year>[0-9]{4})/(\d+)/$", ok),
    path("shop/<int:shop>/", include(nested)),
    path("fail", fail),
    path("report", report),
    path("fail-for-user", fail_for_user),
    path("missing", missing),
    path("forbidden", forbidden),
    path("slow", slow),
    path("stream", stream),
    path("file", file),
    path("async/ok", async_ok),
    path("async/slow", async_slow),
    path("async/fail", async_fail),
    path("async/stream", async_stream),
    path("record", record),
    path("who", who),
    *site_urls,
]
