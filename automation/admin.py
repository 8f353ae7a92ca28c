"""Jobs, steps and AI requests to look at; they are written by the engine only."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest

from automation.models import AIRequest, Job, Step


class ReadOnly:
    """No adding, changing or deleting; viewing needs the model's view permission."""

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class StepInline(ReadOnly, admin.TabularInline):
    model = Step
    fields = ["position", "name", "detail", "status", "started_at", "duration", "error"]


@admin.register(Job)
class JobAdmin(ReadOnly, admin.ModelAdmin):
    list_display = ["job_type", "short_id", "status", "created_at", "duration", "started_by"]
    list_filter = ["status", "job_type"]
    list_select_related = ["started_by"]
    date_hierarchy = "created_at"
    search_fields = ["^id", "error"]
    inlines = [StepInline]

    @admin.display(description="id", ordering="id")
    def short_id(self, job: Job) -> str:
        """The beginning, by which it is found as well."""
        return str(job.id)[:8]


@admin.register(AIRequest)
class AIRequestAdmin(ReadOnly, admin.ModelAdmin):
    list_display = ["model", "status", "input_tokens", "output_tokens", "cost", "created_at"]
    list_filter = ["status", "model"]
    date_hierarchy = "created_at"
