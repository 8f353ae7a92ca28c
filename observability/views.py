"""The endpoints: metrics as text, OpenMetrics and JSON, and health."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import TypeVar

from django.db import connections, transaction
from django.http import HttpRequest, HttpResponse, HttpResponseNotFound, HttpResponseServerError, JsonResponse
from django.template import TemplateDoesNotExist, loader
from django.views import defaults
from django.views.decorators.cache import cache_control
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.gzip import gzip_page
from django.views.decorators.http import require_safe
from django.views.decorators.vary import vary_on_headers

from . import access, exposition, sentry
from . import health as checks
from .conf import get_conf
from .sharing import Busy, scrapes

OPENMETRICS_VERSIONS = ("1.0.0", "0.0.1")

View = Callable[[HttpRequest], HttpResponse]
T = TypeVar("T")


def endpoint(view: View) -> View:
    """What all endpoints share: GET and HEAD only, never stored, and no transaction, which would need the database."""

    @csrf_exempt  # other methods are refused as such
    @cache_control(no_store=True)
    @require_safe
    @wraps(view)
    def safe(request: HttpRequest) -> HttpResponse:
        response = view(request)
        if request.method == "HEAD":  # gunicorn logs a warning for a body that it has to drop
            response.headers["Content-Length"] = str(len(response.content))
            response.content = b""
        return response

    for alias in connections:
        safe = transaction.non_atomic_requests(using=alias)(safe)
    return safe


def closed_to_strangers(view: View) -> View:
    """404 while metrics are off, 401 for callers without access."""

    @wraps(view)
    def guarded(request: HttpRequest) -> HttpResponse:
        if not get_conf().METRICS_ENABLED:
            return HttpResponseNotFound("Metrics are off.\n", content_type="text/plain; charset=utf-8")
        if not access.may_read(request):
            return _unauthorized()
        return view(request)

    return guarded


def _unauthorized() -> HttpResponse:
    message = "A bearer token, an allowed address or a permitted staff account is needed.\n"
    headers = {"WWW-Authenticate": "Bearer"}
    return HttpResponse(message, status=401, headers=headers, content_type="text/plain; charset=utf-8")


def shared(view: View) -> View:
    """503 while as many scrapes as may be are under way."""

    @wraps(view)
    def limited(request: HttpRequest) -> HttpResponse:
        try:
            return view(request)
        except Busy:
            message, headers = "Two scrapes are under way.\n", {"Retry-After": "1"}
            return HttpResponse(message, status=503, headers=headers, content_type="text/plain; charset=utf-8")

    return limited


@endpoint
@closed_to_strangers
@gzip_page
@vary_on_headers("Accept")
@shared
def metrics(request: HttpRequest) -> HttpResponse:
    """Prometheus text, or OpenMetrics when ``Accept`` prefers it; ``?name[]=`` selects."""
    if _prefers_openmetrics(request):
        return HttpResponse(_scrape(request, exposition.to_openmetrics), content_type=exposition.OPENMETRICS)
    return HttpResponse(_scrape(request, exposition.to_text), content_type=exposition.TEXT)


def _scrape(request: HttpRequest, write: Callable[[exposition.Snapshot], T]) -> T:
    names = tuple(request.GET.getlist("name[]"))
    return scrapes.share((write, names), lambda: write(exposition.snapshot(names)))


def _prefers_openmetrics(request: HttpRequest) -> bool:
    """Whether OpenMetrics comes before anything that plain text satisfies."""
    for accepted in request.accepted_types:  # the most wanted first
        if accepted.main_type == "application" and accepted.sub_type == "openmetrics-text":
            if accepted.params.get("version", "1.0.0") in OPENMETRICS_VERSIONS:
                return True
        elif accepted.match("text/plain"):
            return False
    return False


@endpoint
@closed_to_strangers
@gzip_page
@shared
def metrics_json(request: HttpRequest) -> HttpResponse:
    """The same numbers as strict JSON."""
    return JsonResponse(_scrape(request, exposition.to_dict), json_dumps_params={"allow_nan": False})


@endpoint
def health(request: HttpRequest) -> HttpResponse:
    """200 or 503. ``?live`` asks nothing but this process; callers with access see each check."""
    enabled: dict[str, object] = {"metrics_enabled": get_conf().METRICS_ENABLED}
    if "live" in request.GET:
        return JsonResponse({"status": "healthy"} | enabled)
    report = checks.examine()
    answer: dict[str, object] = {"status": "healthy" if report.healthy else "unhealthy"} | enabled
    if access.may_read_in_time(request, report.seconds_left):
        answer["checks"] = report.details()
    return JsonResponse(answer, status=200 if report.healthy else 503)


def server_error(request: HttpRequest, template_name: str = "500.html") -> HttpResponse:
    """For ``handler500``: the project's template with ``request_id`` and ``event_id``, the error's id in Sentry.

    Nothing else is in its context: what failed may be what fills it.
    """
    ids = {"request_id": getattr(request, "request_id", ""), "event_id": sentry.last_event_id() or ""}
    try:
        return HttpResponseServerError(loader.get_template(template_name).render(ids))
    except TemplateDoesNotExist:
        return defaults.server_error(request, template_name)
