"""What the API answers."""

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, Literal
from uuid import UUID

from ninja import Field, Schema
from pydantic import ConfigDict, PlainSerializer

from automation.conf import site_check_hosts
from automation.models import AIRequestStatus, Job, JobStatus, PriceSource, StepStatus
from observability.conf import sentry_event_url

EXAMPLE_HOST = next(iter(site_check_hosts()), "localhost:8000")
USD = Annotated[Decimal, PlainSerializer(lambda usd: f"{usd:f}", return_type=str)]  # never as 1E-7


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


class StartIn(Schema):
    """What to start."""

    model_config = ConfigDict(extra="forbid")

    job_type: str = Field(max_length=100, examples=["site_check"])
    payload: dict[str, Any] = Field(examples=[{"base_url": f"http://{EXAMPLE_HOST}", "paths": ["/"]}])


class JobType(Schema):
    name: str
    payload: dict[str, Any] = Field(description="The JSON schema of the payload to send.")
    steps: list[str] = Field(description="In their order.")


class StepOut(Schema):
    position: int
    name: str
    detail: str
    status: StepStatus
    attempts: int = Field(description="How often it was tried.")
    started_at: datetime
    finished_at: datetime | None
    duration: float | None = Field(description="Seconds.")
    error: str
    output: Any = Field(description="What it returned.")


class AIRequestOut(Schema):
    step: str
    provider: str
    model: str
    status: AIRequestStatus
    error: str = Field(description="Why it failed; empty otherwise.")
    input_tokens: int = Field(description="All that is billed, as are the output tokens.")
    output_tokens: int
    cached_input_tokens: int = Field(description="Among the input tokens.")
    cache_write_tokens: int = Field(description="Among the input tokens.")
    reasoning_tokens: int = Field(description="Among the output tokens.")
    cost: USD | None = Field(description="USD; null: unknown.")
    price_source: PriceSource | Literal[""] = Field(
        description="Where the cost is from, or why it is unknown; empty: the request runs."
    )
    price_version: str = Field(description="Of the price list, or the day from which the price holds.")
    duration: float | None = Field(description="Seconds.")
    time_to_first_token: float | None = Field(description="Seconds; of a stream.")
    request_id: str = Field(description="The provider's.")
    created_at: datetime


class JobOut(Schema):
    id: UUID
    job_type: str
    status: JobStatus
    payload: dict[str, Any]
    error: str = Field(description="Why it failed; empty otherwise.")
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    duration: float | None = Field(description="Seconds.")
    attempts: int = Field(description="How many workers have taken it.")
    cancel_requested_at: datetime | None
    started_by: str | None = Field(description="Id of the user; null: by token or command.")
    request_id: str = Field(description="Of the request that started it; empty: by command.")
    trace_id: str = Field(description="Of Sentry; empty: it is not in use.")
    sentry_event_id: str = Field(description="Of the error in Sentry; empty: it got none.")
    sentry_event_url: str = Field(description="Where that is; empty: SENTRY_EVENT_URL is not set.")
    retry_of: UUID | None = Field(description="The job before, which this one tries again.")

    @staticmethod
    def resolve_started_by(job: Job) -> str | None:
        return None if job.started_by_id is None else str(job.started_by_id)

    @staticmethod
    def resolve_sentry_event_url(job: Job) -> str:
        return sentry_event_url(job.sentry_event_id)

    @staticmethod
    def resolve_retry_of(job: Job) -> UUID | None:
        return job.retry_of_id


class JobPage(Schema):
    items: list[JobOut]
    next: str | None = Field(description="The address of the next page; null: this is the last one.")


class JobDetail(JobOut):
    result: Any = Field(description="What the job type returns; null until it succeeds.")
    cost: USD | None = Field(description="USD for all AI requests; null: none, or a price is unknown.")
    steps: list[StepOut]
    ai_requests: list[AIRequestOut]

    @staticmethod
    def resolve_cost(job: Job) -> Decimal | None:
        return job.ai_cost()
