"""A host project's code, for `mypy --strict` against the installed wheel; it is never run."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, assert_type

import httpx2
import pydantic
from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, URLResolver, include, path
from prometheus_client import Gauge

from automation.engine import Run
from automation.errors import Failure
from automation.jobs import cancel_job, create_job, retry_job
from automation.models import Job
from automation.registry import Pipeline
from observability import correlation, signals, sources, views
from observability.exemplars import current, exemplar
from observability.http import instrument
from observability.logs import logging_config
from observability.metrics import MetricsCollector, expect_labels
from observability.middleware import MetricsMiddleware
from observability.pages import sections
from observability.pages.sections import Cell, Column, Table
from observability.request_ids import RequestIDMiddleware
from observability.sentry import capture_exception, capture_message
from observability.testing import assert_increases, metric_value
from observability.tracking import announce, track_ai_requests, track_jobs, track_steps, transition, transition_all

LOGGING: Mapping[str, Any] = logging_config()
urlpatterns: list[URLPattern | URLResolver] = [
    path("api/", include("observability.urls")),
    path("health", views.health),
]
queued = Gauge("reports_queued", "Reports that wait.", ["kind"], multiprocess_mode="mostrecent", registry=None)
sources.register(sources.DATABASE, queued, lambda: {("yearly",): 1})


def view(request: HttpRequest) -> HttpResponse:
    with exemplar(job_id="4711"), correlation.bound(tenant="blue"):
        MetricsCollector.record_automation_job("nightly", "success", duration=12.5, cost=Decimal("0.04"))
        assert_type(current(), dict[str, str])
    capture_message("Done.")
    return HttpResponse(MetricsCollector.get_metrics())


middleware = RequestIDMiddleware(MetricsMiddleware(view))


def track(user: User) -> None:
    track_jobs(User, job_type="username", status="first_name", cost=lambda user: Decimal(user.pk))
    track_steps(User, step="username", status="first_name", duration=None)
    track_ai_requests(User, name="username", status="first_name", input_tokens=None, output_tokens=None, cost=None)
    expect_labels(job_type=["nightly"])
    assert_type(transition(user, "success", come_from="running"), bool)
    assert_type(transition_all(User.objects.filter(pk=1), "failed"), int)
    announce(user)


def test_jobs() -> None:
    with assert_increases("automation_jobs_total", by=2, status="success"):
        signals.job_finished.send_robust(None, instance=None, job_type="nightly", status="success")
    assert_type(metric_value("automation_jobs_total", status="success"), float)


class Payload(pydantic.BaseModel):
    topic: str


newsletter = Pipeline("newsletter", payload=Payload)


@newsletter.step(retries=3)
async def write(run: Run) -> str:
    await run.acheckpoint()
    if not run.payload.topic:
        raise Failure("There is nothing to write about.")
    with instrument(httpx2.Client()) as client:
        assert_type(client, httpx2.Client)
    return f"News about {run.payload.topic}"


def start() -> Job:
    job = create_job("newsletter", {"topic": "Django"}, idempotency_key="one")
    assert_type(job, Job)
    try:
        cancel_job(job)
    except ValueError as error:
        capture_exception(error)
    return retry_job(job)


def waiting(request: HttpRequest) -> Table | None:
    return Table("waiting", "Reports that wait", [Column("Kind")], [(Cell("yearly"),)])


sections.add_table("waiting", waiting)
