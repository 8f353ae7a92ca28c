"""The page "Observability › Metrics": the gauges now, and every series; and prices of AI models of one's own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from prometheus_client.metrics import MetricWrapperBase

from . import exposition, metrics, sources
from .conf import get_conf, prometheus_url
from .models import Metric, ModelPrice

ROWS = 100  # shown at once, unless all are asked for


@dataclass(frozen=True)
class Tile:
    """One gauge, large; ``value`` is an en dash while nobody knows it."""

    title: str
    value: str
    note: str
    up: bool | None  # None: not read from a service


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
        return [url for url in super().get_urls() if str(getattr(url, "name", "")).endswith("_changelist")]

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        """The page; ``?q=`` filters the series by name or label, ``?all=1`` shows all of them."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        context = self.admin_site.each_context(request) | _context(request) | (extra_context or {})
        return TemplateResponse(request, "admin/observability/metric/change_list.html", context)


def _context(request: HttpRequest) -> dict[str, Any]:
    answers = sources.ask()
    families = exposition.snapshot(answers=answers)
    query = request.GET.get("q", "").strip()
    rows = list(exposition.to_rows(families))
    found = [row for row in rows if query.lower() in f"{row.name}{{{row.labels}}}".lower()]
    return {
        "title": "Metrics",
        "opts": Metric._meta,
        "tiles": [_tile(title, metric, families, answers) for title, metric in GAUGES.items()],
        "enabled": get_conf().METRICS_ENABLED,
        "prometheus_url": prometheus_url(),
        "query": query,
        "total": len(rows),
        "found": len(found),
        "rows": found if "all" in request.GET else found[:ROWS],
    }


GAUGES = {
    "Active users": metrics.active_users,
    "Active jobs": metrics.active_jobs,
    "Database connections": metrics.database_connections,
}


def _tile(title: str, metric: MetricWrapperBase, families: exposition.Snapshot, answers: sources.Answers) -> Tile:
    family = next((family for family in families if family.name == metric._name), None)
    value = exposition.human_number(family.samples[0].value) if family else "–"
    service = sources.service_of(metric)
    if family and not isinstance(family, sources.SourceFamily):
        return Tile(title, value, "set by the application", None)
    if service is None:
        return Tile(title, value, "not known here", None)
    answer = answers[service]
    up = answer.value is not None and not answer.value[1]
    milliseconds = f"{answer.seconds * 1000:,.0f} ms"
    return Tile(title, value, f"{service} {'answered in' if up else 'failed after'} {milliseconds}", up)


@admin.register(ModelPrice)
class ModelPriceAdmin(PriceBase):
    """Prices of one's own, in USD per million tokens. Requests that were recorded keep theirs."""

    list_display = ["model", "provider", "since", "input", "output", "cached_input", "cache_write"]
    list_filter = ["provider"]
    search_fields = ["model"]
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
