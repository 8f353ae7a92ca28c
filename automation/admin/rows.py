"""Steps and AI requests, each in a list of its own."""

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString

from automation import registry
from automation.admin import formats
from automation.admin.base import Columns, History, ValueFilter, seen, url_of
from automation.models import AIRequest, PriceSource, Step

SHOWN = {"input_tokens", "output_tokens", "cached_input_tokens", "cache_write_tokens", "reasoning_tokens"}


class RowColumns(Columns):
    """How both are shown."""

    @admin.display(description="job")
    def of_job(self, row: Step | AIRequest) -> str | SafeString:
        """A link by the id alone, so that a list reads no jobs."""
        if row.job_id is None:
            return formats.NONE
        short, url = str(row.job_id)[:8], url_of(self.admin_site.name, "job_change", row.job_id)
        return format_html('<a href="{}">{}</a>', url, short) if url else short


class StepColumns(RowColumns):
    @admin.display(description="step")
    def label(self, step: Step) -> SafeString:
        attempts = f"{step.attempts} tries" if step.attempts > 1 else ""
        return format_html('{} <span class="quiet">{} {}</span>', step.name, step.detail, attempts)

    @admin.display(description="output")
    def returned(self, step: Step) -> str | SafeString:
        return formats.data(step.output)


class AIRequestColumns(RowColumns):
    @admin.display(description="model")
    def label(self, row: AIRequest) -> SafeString:
        return format_html('{} <span class="quiet">{}</span>', row.model, row.provider)

    @admin.display(description="first token")
    def first_token(self, row: AIRequest) -> str:
        return formats.seconds(row.time_to_first_token)

    @admin.display(description="tokens")
    def tokens(self, row: AIRequest) -> SafeString:
        return formats.unbroken(f"{formats.count(row.input_tokens)} in", f"{formats.count(row.output_tokens)} out")

    @admin.display(description="cost")
    def price(self, row: AIRequest) -> str | SafeString:
        return formats.price(row)

    @admin.display(description="price from")
    def priced_by(self, row: AIRequest) -> str:
        return f"{row.get_price_source_display()} {row.price_version}".strip() or formats.NONE

    @admin.display(description="other tokens and terms")
    def billed_for(self, row: AIRequest) -> str | SafeString:
        """What the columns do not have, and the price may depend on."""
        return formats.data({name: value for name, value in row.billed.items() if name not in SHOWN and value} or None)


class StepFilter(ValueFilter):
    title = parameter_name = "name"

    def values(self, rows: QuerySet[Any]) -> list[str]:
        return registry.step_names()


class ModelFilter(ValueFilter):
    title = parameter_name = "model"

    def values(self, rows: QuerySet[Any]) -> list[str]:
        return seen(rows, "model")


class PriceFilter(admin.SimpleListFilter):
    title = parameter_name = "price"

    def lookups(self, request: HttpRequest, model_admin: admin.ModelAdmin) -> list[tuple[str, str]]:
        return [(PriceSource.NO_PRICE, "Unknown")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(price_source=PriceSource.NO_PRICE) if self.value() else queryset


@admin.register(Step)
class StepAdmin(StepColumns, History):
    list_display = ["label", "state_in_short", "took", "started", "of_job"]
    list_filter = ["status", StepFilter]
    ordering = ["-id"]
    fields = [
        "job",
        "position",
        "name",
        "detail",
        "state",
        "attempts",
        "started",
        "finished",
        "took",
        "problem",
        "returned",
    ]
    readonly_fields = ["state", "started", "finished", "took", "problem", "returned"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Step]:
        return super().get_queryset(request).defer("output")  # of up to megabytes, and the list shows none


@admin.register(AIRequest)
class AIRequestAdmin(AIRequestColumns, History):
    list_display = ["label", "state_in_short", "price", "tokens", "took", "created", "of_job"]
    list_filter = ["status", ModelFilter, PriceFilter, "created_at"]
    search_fields = ["request_id"]
    search_help_text = "The id that the provider gave the request."
    fields = [
        "job",
        "step",
        "provider",
        "model",
        "state",
        "problem",
        "request_id",
        "created",
        "took",
        "first_token",
        "input_tokens",
        "cached_input_tokens",
        "cache_write_tokens",
        "output_tokens",
        "reasoning_tokens",
        "billed_for",
        "price",
        "priced_by",
    ]
    readonly_fields = ["state", "problem", "created", "took", "first_token", "billed_for", "price", "priced_by"]

    def get_search_results(self, request: HttpRequest, queryset: QuerySet, search_term: str) -> tuple[QuerySet, bool]:
        return (queryset.filter(request_id=search_term.strip()) if search_term.strip() else queryset), False
