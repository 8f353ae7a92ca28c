"""The HTTP API: start a job, list jobs, look at one."""

import hmac
from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from functools import wraps
from typing import Annotated, Any
from uuid import UUID

from django.conf import settings
from django.contrib.auth.base_user import AbstractBaseUser
from django.core.exceptions import RequestDataTooBig
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from ninja import Body, Field, NinjaAPI, Schema
from ninja.errors import AuthenticationError, AuthorizationError, HttpError
from ninja.pagination import LimitOffsetPagination, paginate
from ninja.responses import Status
from ninja.security.base import AuthBase
from ninja.utils import check_csrf

from automation import jobs
from automation.conf import api_token, site_check_hosts
from automation.errors import InvalidPayload, UnknownJobType
from automation.models import AIRequestStatus, Job, JobStatus, StepStatus


class Token(AuthBase):
    """The bearer token of the settings; an empty one there matches nothing."""

    openapi_type = "http"
    openapi_scheme = "bearer"

    def __call__(self, request: HttpRequest) -> bool:
        scheme, _, given = request.META.get("HTTP_AUTHORIZATION", "").partition(" ")
        # headers arrive decoded as latin-1, settings from the environment with surrogates for odd bytes
        expected = api_token().encode("utf-8", "surrogateescape")
        same = hmac.compare_digest(given.encode("latin-1", "backslashreplace"), expected)
        return scheme.lower() == "bearer" and bool(expected) and same


class SignedIn(AuthBase):
    """A signed-in session; unsafe methods also need Django's CSRF token."""

    openapi_type = "apiKey"
    openapi_in = "cookie"
    openapi_name = settings.SESSION_COOKIE_NAME
    csrf = True  # has the docs page send the CSRF token

    def __call__(self, request: HttpRequest) -> AbstractBaseUser | None:
        # who is nobody hears 401 first: ninja's own session class would say 403 to an anonymous POST
        if not request.user.is_authenticated:
            return None
        if check_csrf(request):
            raise AuthorizationError(message="CSRF token missing or wrong: send it as X-CSRFToken.")
        return request.user


TOKEN, SIGNED_IN = Token(), SignedIn()


def _docs_for_users(view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
    """Show the documentation to those who may use the API, and to all while DEBUG is on."""

    @wraps(view)
    def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if settings.DEBUG or TOKEN(request) or request.user.is_authenticated:
            return view(request, *args, **kwargs)
        return api.on_exception(request, AuthenticationError())

    return guarded


api = NinjaAPI(
    title="Automation",
    version="1",
    description="Start jobs and follow them. Sign in, or send the token as `Authorization: Bearer …`.",
    urls_namespace="automation",
    auth=[TOKEN, SIGNED_IN],
    docs_decorator=_docs_for_users,
)


class Error(Schema):
    """What is wrong, in a sentence."""

    detail: str


class FieldError(Schema):
    """What is wrong with one field; `loc` is the way to it."""

    type: str
    loc: list[str | int]
    msg: str
    ctx: dict[str, Any] = Field({}, description="Limits that were not kept.")


class FieldErrors(Schema):
    detail: list[FieldError]


class StepOut(Schema):
    position: int
    name: str
    detail: str
    status: StepStatus
    started_at: datetime
    finished_at: datetime | None
    duration: float | None = Field(description="Seconds.")
    error: str


class AIRequestOut(Schema):
    model: str
    status: AIRequestStatus
    input_tokens: int
    output_tokens: int
    cost: Decimal | None = Field(description="USD; null: the price is unknown.")
    duration: float | None = Field(description="Seconds.")
    created_at: datetime


class JobOut(Schema):
    id: UUID
    job_type: str
    status: JobStatus
    payload: dict[str, Any]
    result: Any = Field(description="What the job type returns; null until it succeeds.")
    error: str = Field(description="Why it failed; empty otherwise.")
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    duration: float | None = Field(description="Seconds.")
    started_by: str | None = Field(description="Id of the user; null: by token or command.")

    @staticmethod
    def resolve_started_by(job: Job) -> str | None:
        return None if job.started_by_id is None else str(job.started_by_id)


class JobDetail(JobOut):
    steps: list[StepOut]
    ai_requests: list[AIRequestOut]


class Pages(LimitOffsetPagination):
    """Limits that every database can count to."""

    class Input(Schema):
        limit: int = Field(50, ge=1, le=200)
        offset: int = Field(0, ge=0, le=2**31 - 1)


@api.exception_handler(AuthenticationError)
def _unauthorized(request: HttpRequest, exc: AuthenticationError) -> HttpResponse:
    response = api.create_response(request, {"detail": "Sign in, or send a valid bearer token."}, status=401)
    response["WWW-Authenticate"] = "Bearer"
    return response


@api.exception_handler(UnknownJobType)
def _unknown_job_type(request: HttpRequest, exc: UnknownJobType) -> HttpResponse:
    return api.create_response(request, {"detail": str(exc)}, status=404)


@api.exception_handler(InvalidPayload)
def _invalid_payload(request: HttpRequest, exc: InvalidPayload) -> HttpResponse:
    errors = [{**error, "loc": ["body", "payload", *error["loc"]]} for error in exc.errors]
    return api.create_response(request, {"detail": errors}, status=422)


@api.exception_handler(RequestDataTooBig)
def _too_large(request: HttpRequest, exc: RequestDataTooBig) -> HttpResponse:
    return api.create_response(request, {"detail": "The request body is too large."}, status=413)


EXAMPLE_HOST = next(iter(site_check_hosts()), "localhost:8000")
STARTED = {202: JobOut, 400: Error, 401: Error, 403: Error, 404: Error, 413: Error, 422: FieldErrors}
# what is no UUID matches no address, so the site's own page answers
NO_SUCH_PAGE = {"responses": {404: {"content": {"text/html": {"schema": {"type": "string"}}}}}}


@api.post("start", response=STARTED, url_name="start", summary="Start a job")
def start(
    request: HttpRequest,
    job_type: Annotated[str, Body(max_length=100, examples=["site_check"])],
    payload: Annotated[dict[str, Any], Body(examples=[{"base_url": f"http://{EXAMPLE_HOST}", "paths": ["/"]}])],
) -> Status[Job]:
    """Queue a job for the workers; follow it by its id. What the payload holds depends on the job type."""
    caller = getattr(request, "auth", None)  # the user, or True for the token
    user = caller if isinstance(caller, AbstractBaseUser) else None
    return Status(202, jobs.create_job(job_type, payload, started_by=user))


@api.get("jobs", response={200: list[JobOut], 401: Error, 422: FieldErrors}, url_name="jobs", summary="List jobs")
@paginate(Pages)
def list_jobs(request: HttpRequest) -> QuerySet[Job]:
    """All jobs, the newest first."""
    return Job.objects.order_by("-created_at", "-id")


@api.get(
    "jobs/{uuid:job_id}",
    response={200: JobDetail, 401: Error, 404: Error},
    url_name="job",
    summary="Look at a job",
    openapi_extra=NO_SUCH_PAGE,
)
def show_job(request: HttpRequest, job_id: UUID) -> Job:
    """One job with its steps and its AI requests."""
    job = Job.objects.prefetch_related("steps", "ai_requests").filter(pk=job_id).first()
    if job is None:
        raise HttpError(404, f"There is no job {job_id}.")
    return job
