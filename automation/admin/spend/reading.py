"""What the page shows, read once, and by whom it may be followed further."""

from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Any
from urllib.parse import urlencode

from django.contrib.auth import get_user_model
from django.http import HttpRequest
from django.urls import NoReverseMatch, reverse
from django.utils import timezone

from automation.admin.spend.ranges import DEFAULT, RANGES, Range
from automation.daybook import Book, Sums, add, by_cost
from automation.spend import NONE


@dataclass
class Reading:
    """The requests of a range, up to now."""

    request: HttpRequest
    now: datetime = field(default_factory=lambda: timezone.localtime(timezone=timezone.get_default_timezone()))

    @cached_property
    def range(self) -> Range:
        return RANGES.get(self.request.GET.get("range", ""), DEFAULT)

    @cached_property
    def since(self) -> datetime:
        return self.range.since(self.now)

    @cached_property
    def book(self) -> Book:
        return Book(self.since, self.now)

    @cached_property
    def total(self) -> Sums:
        return self.book.total

    def ranked(self, dimension: str) -> list[tuple[str, Sums]]:
        """Return what was spent by a dimension, the costliest first."""
        return sorted(self.book.by[dimension].items(), key=by_cost)

    @cached_property
    def users(self) -> list[tuple[str, str, Sums]]:
        """Return key, name and sums of those who started jobs; who is not there any more is nobody, as in the rows."""
        names = _names([key for key in self.book.by["user"] if key])
        known = {key: sums for key, sums in self.book.by["user"].items() if key in names}
        nobody = [sums for key, sums in self.book.by["user"].items() if key not in names]
        found = [(key, names[key], sums) for key, sums in known.items()]
        if nobody:
            found.append(("", NONE, add(nobody)))
        return sorted(found, key=lambda item: (-(item[2].spent or 0), item[1]))

    def url(self, app: str, page: str, *arguments: object, **query: object) -> str:
        """Return the address of a page of this admin site; empty for who may not see it, or where there is none."""
        model = page.partition("_")[0]
        if not self.request.user.has_perm(f"{app}.view_{model}"):
            return ""
        with suppress(NoReverseMatch):
            site = getattr(self.request, "current_app", None)
            address = reverse(f"admin:{app}_{page}", args=arguments, current_app=site)
            return f"{address}?{urlencode(query)}" if query else address
        return ""

    def rows_url(self, page: str, **query: object) -> str:
        """Return the address of a list of rows made since the range began."""
        return self.url("automation", f"{page}_changelist", **query, created_at__gte=self.since.isoformat())


def _names(keys: list[str]) -> dict[str, str]:
    users: Any = get_user_model()._default_manager
    return {str(user.pk): user.get_username() for user in users.filter(pk__in=keys)}
