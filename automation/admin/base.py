"""What the three lists have in common: nobody writes, and no page reads a whole table."""

from collections.abc import Iterable
from contextlib import suppress
from typing import Any
from urllib.parse import urlencode

from django.contrib import admin
from django.core.paginator import Paginator
from django.db.models import Min, QuerySet
from django.http import HttpRequest
from django.urls import NoReverseMatch, reverse
from django.utils.functional import cached_property
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.text import Truncator

from automation.admin import formats

MOST_VALUES = 50  # that a filter offers
SHORT = 60  # characters of an error in a list
LOOKUPS = {"status__exact", "created_at__gte", "created_at__lt", "job"}  # of Django's own filters, and of a job's page


def url_of(site: str | None, page: str, *arguments: object, **query: object) -> str:
    """Return the address on an admin site, by its name; empty where the site does not have this page."""
    with suppress(NoReverseMatch):
        address = reverse(f"admin:automation_{page}", args=arguments, current_app=site)
        return f"{address}?{urlencode(query)}" if query else address
    return ""


class ReadOnly:
    """No adding, changing or deleting; viewing needs the model's view permission."""

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class Columns:
    """How jobs, steps and AI requests ended, why, and how long they took."""

    admin_site: admin.AdminSite  # of the admin that it is mixed into

    @admin.display(description="status")
    def state(self, row: Any) -> SafeString:
        return formats.status(row.status, row.get_status_display())

    @admin.display(description="error")
    def problem(self, row: Any) -> str | SafeString:
        return formats.error(row.error)

    @admin.display(description="status")
    def state_in_short(self, row: Any) -> SafeString:
        error = Truncator(row.error).chars(SHORT)
        return format_html("{}{}", self.state(row), formats.error(error) if error else "")

    @admin.display(description="took")
    def took(self, row: Any) -> str:
        return formats.seconds(row.duration)

    @admin.display(description="created")
    def created(self, row: Any) -> str | SafeString:
        return formats.moment(row.created_at)

    @admin.display(description="started")
    def started(self, row: Any) -> str | SafeString:
        return formats.moment(row.started_at)

    @admin.display(description="finished")
    def finished(self, row: Any) -> str | SafeString:
        return formats.moment(row.finished_at)


class BoundedPaginator(Paginator):
    """Counts and leads no further than this many rows; what is older is found by a filter."""

    bound = 10_000

    @cached_property
    def count(self) -> int:
        rows: Any = self.object_list
        return rows.values("pk")[: self.bound].count()  # in the order of the list, which an index has


class History(ReadOnly, admin.ModelAdmin):
    """A long table, the newest rows first."""

    paginator = BoundedPaginator
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER
    sortable_by = ()
    empty_value_display = formats.NONE

    class Media:
        css = {"all": ["automation/admin.css"]}

    def lookup_allowed(self, lookup: str, value: Any, request: HttpRequest | None = None) -> bool:
        """Only what the filters ask for: for another field, every row would be looked at."""
        return lookup in LOOKUPS or lookup in {getattr(each, "parameter_name", None) for each in self.list_filter}


class ValueFilter(admin.SimpleListFilter):
    """One of the values that a subclass names; another one in the address works as well."""

    parameter_name: str

    def values(self, rows: QuerySet[Any]) -> Iterable[str]:
        raise NotImplementedError

    def lookups(self, request: HttpRequest, model_admin: admin.ModelAdmin) -> list[tuple[str, str]]:
        return [(value, value) for value in self.values(model_admin.get_queryset(request))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        value = self.value()
        if value is None:
            return queryset
        return queryset.filter(**{self.parameter_name: value}) if value.isprintable() else queryset.none()


def seen(rows: QuerySet[Any], column: str) -> list[str]:
    """Return the values of an indexed column, one look into the index for each: DISTINCT would read all of it."""
    rows, found = rows.order_by(), list[str]()
    value = rows.aggregate(first=Min(column))["first"]
    while value is not None and len(found) < MOST_VALUES:
        found.append(value)
        value = rows.filter(**{f"{column}__gt": value}).aggregate(first=Min(column))["first"]
    return found
