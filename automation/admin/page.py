"""The page of a job: how it stands and why, its course, what it asked of models, and the ids that lead on."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Case, Count, Q, QuerySet, Sum, When
from django.http import HttpRequest
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString

from automation import conf
from automation.admin import base, formats, timeline
from automation.models import AIRequest, AIRequestStatus, Job, JobStatus, Step, StepStatus
from observability.conf import sentry_event_url, sentry_trace_url
from observability.pages.formats import age, identifier

MOST = 100  # steps or AI requests; all are in their list
DAY = 86_400
ACTIVE = [JobStatus.PENDING, JobStatus.RUNNING]
ENDED_BADLY = [JobStatus.FAILED, JobStatus.CANCELLED]
OVER = ~Q(status=AIRequestStatus.RUNNING)
UNPRICED = Q(cost=None) & OVER
FRAGMENTS = ("tools", "verdict", "steps", "requests", "ids")  # of the page: what changes while a job runs


@dataclass(frozen=True)
class Fact:
    label: str
    value: str | SafeString
    note: str | SafeString = ""
    url: str = ""


@dataclass(frozen=True)
class Id:
    """An id of the job as logs, traces and Sentry have it, and a page that it leads to."""

    label: str
    value: str
    url: str = ""
    words: str = ""


@dataclass(frozen=True)
class Rows:
    """Those of a job that a page has room for, of how many."""

    shown: list[Any]
    total: int


@dataclass(frozen=True)
class Request:
    """An AI request, as a row of the page."""

    row: AIRequest
    job: Job

    @property
    def step(self) -> SafeString:
        return identifier(self.row.step)

    @property
    def state(self) -> SafeString:
        return formats.status(self.row.status, self.row.get_status_display())

    @property
    def start(self) -> str:
        return f"+{formats.seconds(max(0, (self.row.created_at - self.job.created_at).total_seconds()))}"

    @property
    def duration(self) -> str:
        return formats.seconds(self.row.duration)

    @property
    def first_token(self) -> str:
        known = self.row.time_to_first_token is not None
        return f"first token {formats.seconds(self.row.time_to_first_token)}" if known else ""

    @property
    def tokens_in(self) -> str | SafeString:
        return self._tokens(self.row.input_tokens, written=self.row.cache_write_tokens)

    @property
    def cached(self) -> str | SafeString:
        return self._tokens(self.row.cached_input_tokens)

    @property
    def tokens_out(self) -> str | SafeString:
        return self._tokens(self.row.output_tokens, reasoning=self.row.reasoning_tokens)

    def _tokens(self, number: int, **of_them: int) -> str | SafeString:
        """None is known to be none only of a request that was answered."""
        is_known = number or self.row.status == AIRequestStatus.SUCCESS
        return formats.parts(number, **of_them) if is_known else formats.NONE

    @property
    def cost(self) -> str | SafeString:
        return formats.price(self.row)


def context(request: HttpRequest, job: Job) -> dict[str, Any]:
    """Return all but payload and result; steps and AI requests are None for who may not see them."""
    now = timezone.now()
    steps = _rows(request, job.steps.defer("output"), StepStatus.SUCCESS, "position")
    asked = _rows(request, job.ai_requests.defer("billed"), AIRequestStatus.SUCCESS, "created_at")
    sums = _sums(job)
    again = Job.objects.filter(retry_of=job).values_list("pk", flat=True).first()
    return {
        "job": job,
        "label": f"{job.job_type} {str(job.pk)[:8]}",
        "is_active": job.status in ACTIVE,
        "at": now.timestamp(),
        "read_at": f"{timezone.localtime(now):%H:%M:%S}",
        "zone": timezone.get_current_timezone_name(),
        "verdict": _verdict(job, timeline.unfinished(steps.shown) if steps else None),
        "since": _since(job, now),
        "silence": _silence(job, now),
        "facts": list(_facts(request, job, sums, now, again)),
        "steps": steps,
        "course": timeline.course(job, steps.shown, now.timestamp()) if steps else None,
        "requests": asked,
        "asked": [Request(row, job) for row in asked.shown] if asked else None,
        "totals": {name: formats.count(sums[name]) for name in ("tokens_in", "cached", "tokens_out")},
        "cost": formats.cost(sums["cost"]),
        "ids": list(_ids(request, job)),
        "again": again,
    }


def data(job: Job) -> dict[str, Any]:
    """Return what the job was given and what came of it, which may be long."""
    job.refresh_from_db(fields=["payload", "result"])
    return {"payload": formats.data(job.payload), "result": formats.data(job.result)}


def _rows(request: HttpRequest, rows: QuerySet[Any], good: str, *order: str) -> Rows | None:
    """Of too many those that did not succeed go before the others, and the newest before older ones."""
    opts = rows.model._meta
    if not request.user.has_perm(f"{opts.app_label}.view_{opts.model_name}"):
        return None
    newest = [f"-{name}" for name in (*order, "pk")]
    found = list(rows.order_by(Case(When(status=good, then=1), default=0), *newest)[: MOST + 1])
    total = len(found) if len(found) <= MOST else rows.order_by().count()
    return Rows(sorted(found[:MOST], key=lambda row: [getattr(row, name) for name in (*order, "pk")]), total)


def _sums(job: Job) -> dict[str, Any]:
    return job.ai_requests.aggregate(
        running=Count("pk", filter=~OVER),
        unpriced=Count("pk", filter=UNPRICED),  # before cost, which is the sum's name from then on
        cost=Sum("cost"),
        tokens_in=Sum("input_tokens", filter=OVER),
        cached=Sum("cached_input_tokens", filter=OVER),
        tokens_out=Sum("output_tokens", filter=OVER),
    )


def _verdict(job: Job, step: Step | None) -> SafeString:
    """Return how the job stands, and where."""
    words: Any = job.get_status_display()
    if step and job.status in ENDED_BADLY:
        words = format_html("{} at {}", words, identifier(step.name))
    elif step and job.status == JobStatus.RUNNING and step.status == StepStatus.RUNNING:
        words = format_html("{} {}", words, identifier(step.name))
    asked = ", asked to end" if job.status in ACTIVE and job.cancel_requested_at else ""
    return formats.status(job.status, format_html("{}{}", words, asked))


def _since(job: Job, now: datetime) -> str:
    """Return how long it has taken so far or altogether, and in which attempt."""
    if job.status in ACTIVE:
        begun = job.started_at or job.created_at
        passed = f"for {age((now - begun).total_seconds())}"
    else:
        passed = f"after {formats.seconds(job.duration)}" if job.duration is not None else ""
    word = "after" if job.status == JobStatus.PENDING else "on"
    is_retried = job.attempts > (job.status != JobStatus.PENDING)
    attempt = f"{word} attempt {job.attempts} of {conf.max_attempts()}" if is_retried else ""
    return ", ".join(filter(None, (passed, attempt)))


def _silence(job: Job, now: datetime) -> str:
    """Return since when nothing was heard of the worker, when that is too long."""
    if job.status != JobStatus.RUNNING or job.heartbeat_at is None or now - job.heartbeat_at < conf.lease():
        return ""
    return age((now - job.heartbeat_at).total_seconds())


def _facts(request: HttpRequest, job: Job, sums: dict[str, Any], now: datetime, again: Any) -> Iterator[Fact]:
    yield Fact("Created", formats.moment(job.created_at), "" if job.started_at else _ago(job.created_at, now))
    yield Fact("Waited in queue", _waited(job))
    yield Fact("Started", formats.moment(job.started_at))
    yield Fact("Finished", formats.moment(job.finished_at), _ago(job.finished_at, now))
    if job.cancel_requested_at:
        yield Fact("Cancel asked for", formats.moment(job.cancel_requested_at))
    yield Fact("AI cost", formats.cost(sums["cost"]), formats.lacking(sums["unpriced"], sums["running"]))
    yield Fact("Tokens", _tokens(sums))
    starter = {"url": url_of(request, "job_changelist", started_by=job.started_by_id)} if job.started_by else {}
    yield Fact("Started by", str(job.started_by or formats.NONE), **starter)
    heard = _ago(job.heartbeat_at, now) if job.status == JobStatus.RUNNING else ""
    yield Fact("Worker", job.worker or formats.NONE, heard and format_html("heard of {}", heard))
    for label, key in (("First tried as", job.retry_of_id), ("Tried again as", again)):
        if key:
            yield Fact(label, str(key)[:8], url=url_of(request, "job_change", key))


def _waited(job: Job) -> str:
    return formats.seconds((job.started_at - job.created_at).total_seconds() if job.started_at else None)


def _ago(moment: datetime | None, now: datetime) -> str:
    passed = (now - moment).total_seconds() if moment else DAY
    return f"{age(passed)} ago" if passed < DAY else ""


def _tokens(sums: dict[str, Any]) -> str:
    if sums["tokens_in"] is None:
        return formats.NONE
    return f"{formats.count(sums['tokens_in'])} in, {formats.count(sums['tokens_out'])} out"


def _ids(request: HttpRequest, job: Job) -> Iterator[Id]:
    yield Id("job_id", str(job.pk))
    if job.request_id:
        same = url_of(request, "job_changelist", q=job.request_id)
        yield Id("request_id", job.request_id, same, "Jobs of this request")
    if job.trace_id:
        yield Id("trace_id", job.trace_id, sentry_trace_url(job.trace_id), "Open in Sentry")
    if job.sentry_event_id:
        yield Id("Sentry event", job.sentry_event_id, sentry_event_url(job.sentry_event_id), "Open in Sentry")
    if job.idempotency_key:
        yield Id("Idempotency-Key", job.idempotency_key)


def url_of(request: HttpRequest, page: str, *arguments: object, **query: object) -> str:
    """Return the address on the admin site of this request; empty where the site has none."""
    return base.url_of(getattr(request, "current_app", None), page, *arguments, **query)
