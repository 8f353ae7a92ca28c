"""The page "Automation › AI spend": what was spent, on what, and where the budgets stand."""

from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import path
from django.views.decorators.http import require_safe

from automation import budgets
from automation.admin.base import ReadOnly
from automation.admin.spend import budget_rows, page
from automation.admin.spend.reading import Reading
from automation.models import Spend
from observability.pages import sections


@admin.register(Spend)
class SpendAdmin(ReadOnly, admin.ModelAdmin):
    """No rows to look at one by one: its list is the page."""

    def get_urls(self) -> list[Any]:
        kept = [url for url in super().get_urls() if str(getattr(url, "name", "")).endswith("_changelist")]
        view = require_safe(self.admin_site.admin_view(self.csv_view))
        return [*kept, path("csv/", view, name="automation_spend_csv")]

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        """The page; `?range=` chooses the days."""
        self._check(request)
        about = {"title": "AI spend", "opts": Spend._meta}
        context = self.admin_site.each_context(request) | about | page.context(request) | (extra_context or {})
        return TemplateResponse(request, "admin/automation/spend/change_list.html", context)

    def csv_view(self, request: HttpRequest) -> HttpResponse:
        """What the page sums, for spreadsheets."""
        self._check(request)
        name, text = page.as_csv(request)
        disposition = {"Content-Disposition": f'attachment; filename="{name}"'}
        return HttpResponse(text, content_type="text/csv; charset=utf-8", headers=disposition)

    def _check(self, request: HttpRequest) -> None:
        request.current_app = self.admin_site.name
        if not self.has_view_permission(request):
            raise PermissionDenied


def url_of_spend(request: HttpRequest, _: str) -> str:
    return Reading(request).url("automation", "spend_changelist")


def budget_of_today(request: HttpRequest) -> sections.Budget | None:
    if not request.user.has_perm("automation.view_spend"):
        return None
    period = budget_rows.of_today(budgets.periods_now())
    if period is None:
        return None
    forecast = budgets.forecast(period)
    ahead = None if forecast is None else float(forecast)
    return sections.Budget(float(period.budget.limit), float(period.reserved), ahead)


sections.link("spend", url_of_spend)
sections.set_budget(budget_of_today)
