"""What the page of the metrics shows of jobs: where their types lead, and those that failed last."""

from collections.abc import Iterable
from contextlib import suppress
from time import time
from urllib.parse import urlencode
from uuid import UUID

from django.http import HttpRequest
from django.urls import NoReverseMatch, reverse
from django.utils.html import format_html

from automation.admin import formats
from automation.admin.jobs import Summed, with_sums
from automation.models import Job, JobStatus, Step, StepStatus
from observability.pages import sections
from observability.pages.formats import ago, identifier
from observability.pages.sections import Cell, Column, Table

SHOWN = 5
LOOKED_AT = 20  # of the newest; what is older and was slower to fail is in the list
COLUMNS = (
    Column("Ended"),
    Column("Job"),
    Column("Failed at"),
    Column("Error"),
    Column("Attempt", "number"),
    Column("AI cost", "number"),
)


def _url(request: HttpRequest, page: str, *arguments: object, **query: str) -> str:
    """The address on the admin site of this request, empty for who may not see jobs, or where the site has none."""
    if not request.user.has_perm("automation.view_job"):
        return ""
    with suppress(NoReverseMatch):
        site = getattr(request, "current_app", None)
        address = reverse(f"admin:automation_job_{page}", args=arguments, current_app=site)
        return f"{address}?{urlencode(query)}" if query else address
    return ""


def url_of_type(request: HttpRequest, job_type: str) -> str:
    return _url(request, "changelist", job_type=job_type)


def url_of_failed(request: HttpRequest, _: str) -> str:
    return _url(request, "changelist", status__exact=JobStatus.FAILED)


def latest_failed(request: HttpRequest) -> Table | None:
    """Return the jobs that failed last, for who may see jobs."""
    if not request.user.has_perm("automation.view_job"):
        return None
    newest = with_sums(Job.objects.filter(status=JobStatus.FAILED)).defer("payload", "result")[:LOOKED_AT]
    jobs = sorted(newest, key=lambda job: job.finished_at or job.created_at, reverse=True)[:SHOWN]
    steps = _failed_steps(job.pk for job in jobs)
    rows = [_row(request, job, steps.get(job.pk, formats.NONE)) for job in jobs]
    return Table("failed-jobs", "Latest failed jobs", COLUMNS, rows, "No job has failed.", wide=True)


def _failed_steps(jobs: Iterable[UUID]) -> dict[UUID, str]:
    found = Step.objects.filter(job__in=list(jobs), status=StepStatus.FAILED).order_by("job", "position")
    return dict(found.values_list("job", "name"))


def _row(request: HttpRequest, job: Summed, step: str) -> tuple[Cell, ...]:
    return (
        Cell(ago(job.finished_at or job.created_at, time())),
        Cell(format_html("{} {}", identifier(job.job_type), str(job.pk)[:8]), url=_url(request, "change", job.pk)),
        Cell(identifier(step)),
        Cell(job.error[:200]),
        Cell(formats.count(job.attempts)),
        Cell(formats.cost(job.cost)),
    )


sections.link("job_type", url_of_type)
sections.link("jobs", url_of_failed)
sections.add_table("failed jobs", latest_failed)
