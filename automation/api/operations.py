"""What the API can be asked for."""

import re
from typing import Annotated, Any
from uuid import UUID

from django.db.models import Prefetch
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from ninja import Field, Header, Query
from ninja.errors import HttpError
from ninja.responses import Status
from pydantic import AfterValidator

from automation import jobs, registry
from automation.api.auth import caller
from automation.api.core import api
from automation.api.listing import JobFilter, Page, read_page
from automation.api.schemas import Error, FieldErrors, JobDetail, JobOut, JobPage, JobType, StartIn
from automation.models import AIRequest, Job, Step

# A string of RFC 8941, as the draft of the header has it, or what many clients send: the key without quotes.
KEY = r'^("([ !#-\[\]-~]|\\["\\]){1,255}"|[!#-+\--:<-\[\]-~]{1,255})$'
WHERE_NEEDED = "where there are spaces, commas or semicolons among them"


def _key(text: str) -> str:
    """Return the key without its quotes."""
    if not re.fullmatch(KEY, text):
        raise ValueError(f"Give 1 to 255 printable characters of ASCII, in double quotes {WHERE_NEEDED}.")
    return re.sub(r"\\(.)", r"\1", text[1:-1]) if text.startswith('"') else text


Key = Annotated[str, Field(json_schema_extra={"pattern": KEY}), AfterValidator(_key)]

STARTED = {202: JobOut, 400: Error, 401: Error, 403: Error, 404: Error, 413: Error, 422: FieldErrors}
FOUND = {401: Error, 403: Error, 404: Error}
CHANGED = {202: JobOut, 409: Error, **FOUND}


@api.post("start", response=STARTED, url_name="start", summary="Start a job")
def start(
    request: HttpRequest,
    response: HttpResponse,
    asked: StartIn,
    key: Annotated[Key | None, Header(alias="Idempotency-Key", description="As a UUID.")] = None,
) -> Status[Job]:
    """Queue a job for the workers; follow it by its id, or by the header Location.

    What the payload holds depends on the job type. The same `Idempotency-Key` gives the same job again, whoever sends
    it and whenever; with another job type or payload it is 422.
    """
    return _accepted(
        response,
        jobs.create_job(
            asked.job_type,
            asked.payload,
            started_by=caller(request),
            idempotency_key=key,
        ),
    )


@api.get(
    "jobs", response={200: JobPage, 401: Error, 403: Error, 422: FieldErrors}, url_name="jobs", summary="List jobs"
)
def list_jobs(request: HttpRequest, filters: Query[JobFilter], page: Query[Page]) -> dict[str, Any]:
    """Jobs, the newest first, without their results."""
    return read_page(request, filters, page)


@api.get(
    "jobs/{uuid:job_id}",
    response={200: JobDetail, **FOUND},
    url_name="job",
    summary="Look at a job",
)
def show_job(request: HttpRequest, job_id: UUID) -> Job:
    """One job with its result, its steps and its AI requests, in the order of their time."""
    steps = Prefetch("steps", Step.objects.order_by("position"))
    ai_requests = Prefetch("ai_requests", AIRequest.objects.order_by("created_at", "id"))
    return _find(job_id, steps, ai_requests)


@api.post(
    "jobs/{uuid:job_id}/cancel",
    response=CHANGED,
    url_name="cancel",
    summary="Cancel a job",
)
def cancel(request: HttpRequest, response: HttpResponse, job_id: UUID) -> Status[Job]:
    """End a pending job at once, and a running one at its next checkpoint. 409: it has ended already."""
    job = _find(job_id)
    cancelled = jobs.cancel_job(job)
    job.refresh_from_db()
    if not cancelled:
        raise HttpError(409, f"The job has ended already: {job.status}.")
    return _accepted(response, job)


@api.post(
    "jobs/{uuid:job_id}/retry",
    response={**CHANGED, 422: FieldErrors},
    url_name="retry",
    summary="Try a job again",
)
def retry(request: HttpRequest, response: HttpResponse, job_id: UUID) -> Status[Job]:
    """Queue a new job with the type and payload of one that failed or was cancelled; the answer is the new one.

    Asked for again, it is the same new job. 409: the job has not ended, or has succeeded. 422: the payload is no longer
    one that the job type takes.
    """
    job = _find(job_id)
    return _accepted(response, jobs.retry_job(job, started_by=caller(request)))


@api.get(
    "job-types", response={200: list[JobType], 401: Error, 403: Error}, url_name="job-types", summary="List job types"
)
def list_job_types(request: HttpRequest) -> list[dict[str, Any]]:
    """What can be started, and with which payload."""
    pipelines = map(registry.get, registry.names())
    return [{"name": p.name, "payload": p.payload.model_json_schema(), "steps": list(p.steps)} for p in pipelines]


def _find(job_id: UUID, *with_these: Prefetch) -> Job:
    job = Job.objects.prefetch_related(*with_these).filter(pk=job_id).first()
    if job is None:
        raise HttpError(404, f"There is no job {job_id}.")
    return job


def _accepted(response: HttpResponse, job: Job) -> Status[Job]:
    response["Location"] = reverse("automation:job", args=[job.pk])
    return Status(202, job)
