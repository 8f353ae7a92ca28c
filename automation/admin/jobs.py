"""Jobs: found by what is known of them, followed on a page of their own, ended and tried again."""

import re
from collections.abc import Callable
from typing import Any, cast
from uuid import UUID

from django.contrib import admin, messages
from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.admin.utils import unquote
from django.contrib.admin.views.main import ChangeList
from django.contrib.auth.base_user import AbstractBaseUser
from django.core.exceptions import PermissionDenied
from django.db.models import Count, OuterRef, Q, QuerySet, Subquery, Sum
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect
from django.template.loader import render_to_string
from django.template.response import TemplateResponse
from django.urls import path
from django.utils.decorators import method_decorator
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.views.decorators.http import require_POST, require_safe

from automation import jobs, registry
from automation.admin import formats, page
from automation.admin.base import Columns, History, ValueFilter, url_of
from automation.admin.page import ACTIVE, ENDED_BADLY, OVER, UNPRICED
from automation.errors import Failure
from automation.models import AIRequest, Job
from automation.users import user_key

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
    """Add what the AI requests of each job cost, how many still run, and how many have no price."""

    def of_requests(aggregate: Any) -> Subquery:
        requests = AIRequest.objects.filter(job=OuterRef("pk")).order_by().values("job")
        return Subquery(requests.annotate(sum=aggregate).values("sum"))

    return rows.annotate(
        cost=of_requests(Sum("cost")),
        running=of_requests(Count("pk", filter=~OVER)),
        unpriced=of_requests(Count("pk", filter=UNPRICED)),
    )


class JobList(ChangeList):
    def get_queryset(self, *args: Any, **kwargs: Any) -> QuerySet[Job]:
        return with_sums(super().get_queryset(*args, **kwargs))


class JobColumns(Columns):
    """How a job is shown in the list."""

    @admin.display(description="job")
    def label(self, job: Job) -> SafeString:
        """The beginning of the id, by which it is found as well, and what kind it is of."""
        return format_html('{} <span class="quiet">{}</span>', str(job.id)[:8], job.job_type)

    @admin.display(description="status")
    def state(self, job: Job) -> SafeString:
        asked = job.status in ACTIVE and job.cancel_requested_at
        return formats.status(job.status, f"{job.get_status_display()}{', asked to end' if asked else ''}")

    @admin.display(description="AI cost")
    def ai_cost(self, job: Summed) -> SafeString:
        """With how many requests it lacks."""
        return format_html("{} {}", formats.cost(job.cost), formats.lacking(job.unpriced, job.running))

    @admin.display(description="started by")
    def starter(self, job: Job) -> str | SafeString:
        if not job.started_by:
            return formats.NONE
        url = url_of(self.admin_site.name, "job_changelist", started_by=job.started_by_id)
        return format_html('<a href="{}">{}</a>', url, job.started_by)


@admin.register(Job)
class JobAdmin(JobColumns, History):
    list_display = ["label", "state_in_short", "ai_cost", "took", "created", "starter"]
    list_filter = ["status", TypeFilter, StarterFilter, "created_at"]
    search_fields = ["request_id"]
    search_help_text = "The beginning of a job's id, or the id of the request that started it."
    actions = ["cancel_selected", "retry_selected"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Job]:
        return super().get_queryset(request).select_related("started_by").defer("payload", "result")

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return JobList

    def get_search_results(self, request: HttpRequest, queryset: QuerySet, search_term: str) -> tuple[QuerySet, bool]:
        """Only what an index finds: a contained text would be looked for in every row."""
        term = search_term.strip()
        if not term:
            return queryset, False
        found = Q(request_id=term)
        if ID_BEGINS.fullmatch(begin := term.replace("-", "").lower()):
            found |= Q(pk__range=(UUID(begin.ljust(32, "0")), UUID(begin.ljust(32, "f"))))
        return queryset.filter(found), False

    # The page of a job

    def get_urls(self) -> list[Any]:
        views = {"data": self.data_view, "cancel": self.cancel, "retry": self.retry}
        own = [
            path(f"<uuid:job_id>/{name}/", self.admin_site.admin_view(view), name=f"automation_job_{name}")
            for name, view in views.items()
        ]
        return own + super().get_urls()

    @method_decorator(require_safe)
    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        """The page, to look at."""
        job = self._find(request, unquote(object_id), self.has_view_permission)
        context = self.admin_site.each_context(request) | self._context(request, job) | page.data(job)
        return TemplateResponse(request, "admin/automation/job/change_form.html", context | (extra_context or {}))

    @method_decorator(require_safe)
    def data_view(self, request: HttpRequest, job_id: UUID) -> HttpResponse:
        """What changes on the page while the job runs."""
        job = self._find(request, str(job_id), self.has_view_permission)
        context = self._context(request, job)
        names = list(page.FRAGMENTS)
        if not context["is_active"]:
            names, context = [*names, "data"], context | page.data(job)
        fragments = {name: render_to_string(f"admin/automation/job/{name}.html", context, request) for name in names}
        return JsonResponse({"at": context["at"], "ended": not context["is_active"], "fragments": fragments})

    def _find(self, request: HttpRequest, job_id: str, may: Callable[[HttpRequest], bool]) -> Job:
        if not may(request):
            raise PermissionDenied
        job: Job | None = self.get_object(request, job_id)
        if job is None:
            raise Http404
        return job

    def _context(self, request: HttpRequest, job: Job) -> dict[str, Any]:
        request.current_app = self.admin_site.name
        context = page.context(request, job) | {"title": "View job", "opts": self.opts}
        return context | {"verbs": self._verbs(job, context["again"]) if self.has_run_permission(request) else []}

    # Cancelling and trying again, for those who may change jobs

    def has_run_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("automation.change_job")

    def _verbs(self, job: Job, again: UUID | None) -> list[tuple[str, str]]:
        """Return what there is to press."""
        if job.status in ACTIVE:
            return [] if job.cancel_requested_at else [("cancel", "Cancel")]
        return [("retry", "Try again")] if job.status in ENDED_BADLY and again is None else []

    @method_decorator(require_POST)
    def cancel(self, request: HttpRequest, job_id: UUID) -> HttpResponse:
        job = self._find(request, str(job_id), self.has_run_permission)
        if self._cancel(request, job):
            self.message_user(request, "The job is cancelled, or will be at its next checkpoint.", messages.SUCCESS)
        else:
            self.message_user(request, "The job has ended already.", messages.WARNING)
        return self._show(job_id)

    @method_decorator(require_POST)
    def retry(self, request: HttpRequest, job_id: UUID) -> HttpResponse:
        job = self._find(request, str(job_id), self.has_run_permission)
        try:
            again = self._retry(request, job)
        except Failure as exc:
            self.message_user(request, f"Not tried again. {exc}", messages.ERROR)
            return self._show(job_id)
        self.message_user(request, "This job tries it again.", messages.SUCCESS)
        return self._show(again.pk)

    def _show(self, job_id: UUID) -> HttpResponse:
        return redirect(url_of(self.admin_site.name, "job_change", job_id))

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
