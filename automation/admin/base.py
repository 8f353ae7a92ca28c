"""What the three lists have in common: nobody writes, and no page reads a whole table."""

from collections.abc import Iterable
from typing import Any

from django.contrib import admin
from django.core.paginator import Paginator
from django.db.models import Min, QuerySet
from django.http import HttpRequest
from django.utils.functional import cached_property

from automation.admin import formats

MOST_VALUES = 50  # that a filter offers


class ReadOnly:
    """No adding, changing or deleting; viewing needs the model's view permission."""

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


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
