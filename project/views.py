"""The page at ``/``: what there is to see, and where."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

ADDRESSES = [
    ("Watch", "/admin/observability/metric/", "Metrics", "the numbers as they are now, in the admin"),
    ("Watch", "/admin/automation/job/", "Jobs", "every job with its steps, in the admin"),
    ("Read", "/api/metrics", "/api/metrics", "Prometheus text, OpenMetrics when asked for"),
    ("Read", "/api/metrics/json", "/api/metrics/json", "the same numbers as JSON"),
    ("Read", "/api/metrics/health", "/api/metrics/health", "health; add ?live for the process alone"),
    ("Read", "/api/health", "/api/health", "the same, for load balancers"),
    ("Use", "/api/automation/docs", "Automation API", "start jobs and read them, with OpenAPI"),
    ("Use", "/admin/", "Admin", "users, jobs and metrics"),
]


@require_safe
def index(request: HttpRequest) -> HttpResponse:
    """List the addresses of the site."""
    return render(request, "project/index.html", {"addresses": ADDRESSES})
