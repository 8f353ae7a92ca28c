"""The times that the page of what was spent shows: whole days up to now."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from automation import daybook

DAY = timedelta(days=1)
Begin = Callable[[date], date]


@dataclass(frozen=True)
class Range:
    """A stretch of days that ends now, and the one before it, which ends as long before."""

    name: str  # in the address
    short: str
    title: str
    begin: Begin  # of a range that ends on a day
    before: str

    def since(self, now: datetime) -> datetime:
        """Return when it begins."""
        return daybook.begin_of(self.begin(daybook.day_of(now)))

    def stretch_before(self, now: datetime) -> tuple[datetime, datetime]:
        """Return from when to when the one before lasts: up to the same time of day, as today is not over."""
        first = self.begin(daybook.day_of(now))
        earlier = self.begin(first - DAY)
        return daybook.begin_of(earlier), min(now - (first - earlier), daybook.begin_of(first))


def _days(number: int) -> Begin:
    return lambda day: day - (number - 1) * DAY


RANGES = {
    one.name: one
    for one in (
        Range("today", "Today", "Today", _days(1), "the same time of yesterday"),
        Range("7d", "7 days", "7 days", _days(7), "the 7 days before"),
        Range("30d", "30 days", "30 days", _days(30), "the 30 days before"),
        Range("month", "This month", "This month", lambda day: day.replace(day=1), "the same time of last month"),
        Range("90d", "90 days", "90 days", _days(90), "the 90 days before"),
    )
}
DEFAULT = RANGES["30d"]
