"""The page "Observability › Metrics", with history and every series; and prices of AI models of one's own."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.template.response import TemplateResponse
from django.urls import path
from django.views.decorators.http import require_safe

from .models import Metric, ModelPrice
from .pages import formats, metrics
from .sharing import Busy, scrapes

if TYPE_CHECKING:
    Base = admin.ModelAdmin[Metric]
    PriceBase = admin.ModelAdmin[ModelPrice]
else:
    Base = PriceBase = admin.ModelAdmin  # generic for the type checker only


@admin.register(Metric)
class MetricAdmin(Base):
    """No rows to edit: its list is the page."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Metric | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Metric | None = None) -> bool:
        return False

    def get_urls(self) -> list[Any]:
        kept = [url for url in super().get_urls() if str(getattr(url, "name", "")).endswith("_changelist")]
        view = require_safe(self.admin_site.admin_view(self.data_view))
        return [*kept, path("data/", view, name="observability_metric_data")]

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        """The page; ``?range=`` chooses the time, ``?q=`` filters the series, ``?rows=`` shows more of them."""
        self._check(request)
        context = self._site_context(request) | metrics.context(request, metrics.take()) | (extra_context or {})
        return TemplateResponse(request, "admin/observability/metric/change_list.html", context)

    def data_view(self, request: HttpRequest) -> HttpResponse:
        """The same as JSON, for the script that keeps an open page up to date."""
        self._check(request)
        request.current_app = self.admin_site.name
        try:
            reading = scrapes.share("page", metrics.take)
        except Busy:
            return HttpResponse(status=503, headers={"Retry-After": "1"})
        return JsonResponse(metrics.data(request, reading))

    def _check(self, request: HttpRequest) -> None:
        if not self.has_view_permission(request):
            raise PermissionDenied

    def _site_context(self, request: HttpRequest) -> dict[str, Any]:
        request.current_app = self.admin_site.name
        return self.admin_site.each_context(request) | {"title": "Metrics", "opts": Metric._meta}


def _in_usd(name: str) -> Callable[[ModelPrice], str]:
    """A column of prices."""

    @admin.display(description=name.replace("_", " "), ordering=name)
    def column(row: ModelPrice) -> str:
        return formats.usd_exactly(getattr(row, name))

    return column


@admin.register(ModelPrice)
class ModelPriceAdmin(PriceBase):
    """Prices of one's own, in USD per million tokens. Requests that were recorded keep theirs."""

    list_display = [
        *("model", "provider", "since"),
        *map(_in_usd, ("input", "output", "cached_input", "cache_write")),
    ]
    search_fields = ["model", "provider"]
    fieldsets = [
        (None, {"fields": [("model", "provider"), "since"]}),
        (
            "USD per million tokens",
            {
                "fields": [
                    ("input", "output"),
                    ("cached_input", "cache_write", "cache_write_1h"),
                    ("reasoning", "audio_input", "audio_output"),
                ],
                "description": "They hold for requests from that day on, within a minute. What was recorded keeps "
                "its price.",
            },
        ),
    ]
