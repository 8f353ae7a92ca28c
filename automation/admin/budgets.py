"""Budgets: made and changed here, and where each of them stands in its day or month."""

from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString

from automation import budgets, registry
from automation.models import Budget
from observability.pages import formats


@admin.register(Budget)
class BudgetAdmin(admin.ModelAdmin):
    list_display = ["name", "concerns", "limit_of", "spent", "reserved", "forecast"]
    list_select_related = ["user"]
    search_fields = ["name"]
    autocomplete_fields = ["user"]
    fieldsets = [
        (None, {"fields": ["name", ("limit", "period")]}),
        ("Which requests", {"fields": ["job_type", "model", "user"]}),
        ("Otherwise", {"fields": ["warn_at", "allow_unpriced"]}),
    ]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Budget]:
        return budgets.with_recent(super().get_queryset(request))

    def save_model(self, request: HttpRequest, obj: Budget, form: Any, change: bool) -> None:
        super().save_model(request, obj, form, change)
        if obj.job_type and obj.job_type not in registry.names():
            messages.warning(request, f"No job type is named {obj.job_type}, so that nothing comes under this budget.")

    @admin.display(description="of requests of")
    def concerns(self, budget: Budget) -> str:
        """Return whose requests they are, in words."""
        named = [budget.job_type, budget.model, str(budget.user or "")]
        return ", ".join(filter(None, named)) or "all"

    @admin.display(description="limit", ordering="limit")
    def limit_of(self, budget: Budget) -> SafeString:
        return format_html('<bdi dir="ltr">{} a {}</bdi>', formats.usd_exactly(budget.limit), budget.period)

    @admin.display(description="spent")
    def spent(self, budget: Budget) -> str:
        return formats.usd(budgets.period_now(budget).spent)

    @admin.display(description="reserved")
    def reserved(self, budget: Budget) -> str:
        return formats.usd(budgets.period_now(budget).reserved)

    @admin.display(description="forecast")
    def forecast(self, budget: Budget) -> str:
        """Return what will be spent at its end if it goes on like that."""
        return formats.usd(budgets.forecast(budgets.period_now(budget)))
