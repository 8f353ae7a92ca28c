"""Jobs: found by what is known of them, followed on a page of their own, ended and tried again."""

import re
from typing import Any, cast
from urllib.parse import urlencode
from uuid import UUID

from django.contrib import admin, messages
from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.auth.base_user import AbstractBaseUser
from django.core.exceptions import PermissionDenied
from django.db.models import Count, OuterRef, Q, QuerySet, Subquery, Sum
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import path, reverse
from django.utils.decorators import method_decorator
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.views.decorators.http import require_POST

from automation import jobs, registry
from automation.admin import formats
from automation.admin.base import Columns, History, ValueFilter
from automation.admin.rows import AIRequestInline, StepInline
from automation.errors import Failure
from automation.models import AIRequest, AIRequestStatus, Job, JobStatus
from automation.users import user_key
from observability.conf import sentry_event_url, sentry_trace_url

ACTIVE = [JobStatus.PENDING, JobStatus.RUNNING]
ENDED_BADLY = [JobStatus.FAILED, JobStatus.CANCELLED]
AT_ONCE = 500  # jobs that an action takes
ID_BEGINS = re.compile(r"[0-9a-f]{4,32}")


Summed = Any  # a Job with what `with_sums` adds


class TypeFilter(ValueFilter):
    title = "job type"
    parameter_name = "job_type"

    def values(self, rows: QuerySet[Any]) -> list[str]:
        return registry.names()


class StarterFilter(admin.SimpleListFilter):
    """You, or nobody; who else started a job is a link in the list."""

    title = "started by"
    parameter_name = "started_by"

    def lookups(self, request: HttpRequest, model_admin: admin.ModelAdmin) -> list[tuple[str, str]]:
        return [(str(request.user.pk), "You"), ("none", "Nobody (token or command)")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        value = self.value()
        if value is None:
            return queryset
        try:
            return queryset.filter(started_by=None if value == "none" else user_key(value))
        except ValueError:
            raise IncorrectLookupParameters from None


def with_sums(rows: QuerySet[Job]) -> QuerySet[Job]:
    """Add what the AI requests of each job cost and used, how many still run, and how many have no price."""

    def of_requests(aggregate: Any) -> Subquery:
        requests = AIRequest.objects.filter(job=OuterRef("pk")).order_by().values("job")
        return Subquery(requests.annotate(sum=aggregate).values("sum"))

    return rows.annotate(
        cost=of_requests(Sum("cost")),
        running=of_requests(Count("pk", filter=Q(status=AIRequestStatus.RUNNING))),
        unpriced=of_requests(Count("pk", filter=Q(cost=None) & ~Q(status=AIRequestStatus.RUNNING))),
        tokens_in=of_requests(Sum("input_tokens")),
        tokens_out=of_requests(Sum("output_tokens")),
    )


class JobColumns(Columns):
    """How a job is shown, in the list and on its page."""

    @admin.display(description="job")
    def label(self, job: Job) -> SafeString:
        """The beginning of the id, by which it is found as well, and what kind it is of."""
        return format_html('{} <span class="quiet">{}</span>', str(job.id)[:8], job.job_type)

    @admin.display(description="status")
    def state(self, job: Job) -> SafeString:
        asked = job.status in ACTIVE and job.cancel_requested_at
        return formats.status(job.status, f"{job.get_status_display()}{', asked to end' if asked else ''}")

    @admin.display(description="cancel asked for")
    def cancel_asked_for(self, job: Job) -> str | SafeString:
        return formats.moment(job.cancel_requested_at)

    @admin.display(description="heartbeat")
    def heartbeat(self, job: Job) -> str | SafeString:
        return formats.moment(job.heartbeat_at)

    @admin.display(description="waited in queue")
    def waited(self, job: Job) -> str:
        return formats.seconds((job.started_at - job.created_at).total_seconds() if job.started_at else None)

    @admin.display(description="AI cost")
    def ai_cost(self, job: Summed) -> SafeString:
        """With how many requests it lacks."""
        unpriced = formats.warning(f"{job.unpriced} unpriced") if job.unpriced else ""
        running = format_html('<span class="quiet">{} running</span>', job.running) if job.running else ""
        return format_html("{} {} {}", formats.usd(job.cost), unpriced, running)

    @admin.display(description="tokens")
    def tokens(self, job: Summed) -> str:
        if job.tokens_in is None:
            return formats.NONE
        return f"{formats.count(job.tokens_in)} in, {formats.count(job.tokens_out)} out"

    @admin.display(description="started by")
    def starter(self, job: Job) -> str | SafeString:
        return _link(job.started_by, started_by=job.started_by_id) if job.started_by else formats.NONE

    @admin.display(description="request id")
    def of_request(self, job: Job) -> str | SafeString:
        """A link to all that this request started."""
        return _link(job.request_id, q=job.request_id) if job.request_id else formats.NONE

    @admin.display(description="Sentry trace")
    def trace(self, job: Job) -> str | SafeString:
        return _in_sentry(sentry_trace_url(job.trace_id), job.trace_id)

    @admin.display(description="Sentry event")
    def event(self, job: Job) -> str | SafeString:
        return _in_sentry(sentry_event_url(job.sentry_event_id), job.sentry_event_id)

    @admin.display(description="first tried as")
    def before(self, job: Job) -> str | SafeString:
        return _page_link(job.retry_of_id)

    @admin.display(description="tried again as")
    def after(self, job: Job) -> str | SafeString:
        return _page_link(Job.objects.filter(retry_of=job).values_list("pk", flat=True).first())

    @admin.display(description="payload")
    def payload_shown(self, job: Job) -> str | SafeString:
        return formats.data(job.payload)

    @admin.display(description="result")
    def result_shown(self, job: Job) -> str | SafeString:
        return formats.data(job.result)


def _link(label: object, **query: object) -> SafeString:
    return format_html('<a href="{}?{}">{}</a>', reverse("admin:automation_job_changelist"), urlencode(query), label)


def _in_sentry(address: str, key: str) -> str | SafeString:
    return format_html('<a href="{}">{}</a>', address, key) if address else key or formats.NONE


def _page_link(key: UUID | None) -> str | SafeString:
    if key is None:
        return formats.NONE
    return format_html('<a href="{}">{}</a>', reverse("admin:automation_job_change", args=[key]), key)


@admin.register(Job)
class JobAdmin(JobColumns, History):
    list_display = ["label", "state_in_short", "ai_cost", "took", "created", "starter"]
    list_filter = ["status", TypeFilter, StarterFilter, "created_at"]
    list_select_related = ["started_by"]
    search_fields = ["request_id"]
    search_help_text = "The beginning of a job's id, or the id of the request that started it."
    actions = ["cancel_selected", "retry_selected"]
    inlines = [StepInline, AIRequestInline]
    fieldsets = [
        (None, {"fields": [("job_type", "state"), "problem", ("took", "ai_cost", "tokens")]}),
        (
            "Course",
            {
                "fields": [
                    ("created", "started", "finished"),
                    ("waited", "cancel_asked_for"),
                    ("attempts", "worker", "heartbeat"),
                ]
            },
        ),
        (
            "Where it came from",
            {
                "fields": [
                    ("starter", "of_request"),
                    ("trace", "event"),
                    ("id", "idempotency_key"),
                    ("before", "after"),
                ]
            },
        ),
        ("Payload and result", {"fields": ["payload_shown", "result_shown"]}),
    ]
    readonly_fields = [
        "state",
        "problem",
        "took",
        "ai_cost",
        "tokens",
        "created",
        "started",
        "finished",
        "waited",
        "cancel_asked_for",
        "heartbeat",
        "starter",
        "of_request",
        "trace",
        "event",
        "before",
        "after",
        "payload_shown",
        "result_shown",
    ]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Job]:
        return with_sums(super().get_queryset(request)).defer("payload", "result")

    def get_search_results(self, request: HttpRequest, queryset: QuerySet, search_term: str) -> tuple[QuerySet, bool]:
        """Only what an index finds: a contained text would be looked for in every row."""
        term = search_term.strip()
        if not term:
            return queryset, False
        found = Q(request_id=term)
        if ID_BEGINS.fullmatch(begin := term.replace("-", "").lower()):
            found |= Q(pk__range=(UUID(begin.ljust(32, "0")), UUID(begin.ljust(32, "f"))))
        return queryset.filter(found), False

    # Cancelling and trying again, for those who may change jobs

    def has_run_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("automation.change_job")

    def get_urls(self) -> list[Any]:
        own = [
            path(f"<uuid:job_id>/{verb}/", self.admin_site.admin_view(view), name=f"automation_job_{verb}")
            for verb, view in (("cancel", self.cancel), ("retry", self.retry))
        ]
        return own + super().get_urls()

    def render_change_form(self, request: HttpRequest, context: Any, *args: Any, **kwargs: Any) -> HttpResponse:
        verbs = self._verbs(context["original"]) if self.has_run_permission(request) else []
        return super().render_change_form(request, context | {"verbs": verbs}, *args, **kwargs)

    def _verbs(self, job: Job) -> list[tuple[str, str]]:
        """Return what there is to press."""
        if job.status in ACTIVE:
            return [] if job.cancel_requested_at else [("cancel", "Cancel")]
        again = job.status in ENDED_BADLY and not Job.objects.filter(retry_of=job).exists()
        return [("retry", "Try again")] if again else []

    @method_decorator(require_POST)
    def cancel(self, request: HttpRequest, job_id: UUID) -> HttpResponse:
        job = self._find(request, job_id)
        if self._cancel(request, job):
            self.message_user(request, "The job is cancelled, or will be at its next checkpoint.", messages.SUCCESS)
        else:
            self.message_user(request, "The job has ended already.", messages.WARNING)
        return redirect("admin:automation_job_change", job_id)

    @method_decorator(require_POST)
    def retry(self, request: HttpRequest, job_id: UUID) -> HttpResponse:
        job = self._find(request, job_id)
        try:
            again = self._retry(request, job)
        except Failure as exc:
            self.message_user(request, f"Not tried again. {exc}", messages.ERROR)
            return redirect("admin:automation_job_change", job_id)
        self.message_user(request, "This job tries it again.", messages.SUCCESS)
        return redirect("admin:automation_job_change", again.pk)

    @admin.action(description="Cancel selected jobs", permissions=["run"])
    def cancel_selected(self, request: HttpRequest, queryset: QuerySet[Job]) -> None:
        if chosen := self._chosen(request, queryset):
            done = sum(self._cancel(request, job) for job in chosen)
            self._tell(request, f"{done} of {len(chosen)} jobs cancelled, or to be at their next checkpoint.", done)

    @admin.action(description="Try selected jobs again", permissions=["run"])
    def retry_selected(self, request: HttpRequest, queryset: QuerySet[Job]) -> None:
        chosen, refused = self._chosen(request, queryset), []
        for job in chosen:
            try:
                self._retry(request, job)
            except Failure as exc:
                refused.append(str(exc))
        if chosen:
            done = len(chosen) - len(refused)
            reasons = list(dict.fromkeys(refused))[:3]
            self._tell(request, " ".join([f"{done} of {len(chosen)} jobs are tried again.", *reasons]), done)

    def _tell(self, request: HttpRequest, text: str, done: int) -> None:
        self.message_user(request, text, messages.SUCCESS if done else messages.WARNING)

    def _find(self, request: HttpRequest, job_id: UUID) -> Job:
        if not self.has_run_permission(request):
            raise PermissionDenied
        job = self.get_object(request, str(job_id))
        if job is None:
            raise Http404
        return job

    def _chosen(self, request: HttpRequest, queryset: QuerySet[Job]) -> list[Job]:
        chosen = list(queryset[: AT_ONCE + 1])
        if len(chosen) > AT_ONCE:
            self.message_user(request, f"Nothing was done: select at most {AT_ONCE} jobs at once.", messages.ERROR)
            return []
        return chosen

    def _cancel(self, request: HttpRequest, job: Job) -> bool:
        asked = jobs.cancel_job(job)
        if asked:
            self.log_change(request, job, "Asked for its end.")
        return asked

    def _retry(self, request: HttpRequest, job: Job) -> Job:
        user = cast(AbstractBaseUser, request.user)  # the admin lets nobody else in
        again = jobs.retry_job(job, started_by=user)
        self.log_change(request, job, f"Tried again as {again.pk}.")
        return again
