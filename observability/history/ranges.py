"""The times that the page shows, and their grids."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil

MINUTE, HOUR, DAY = 60, 3600, 86400


@dataclass(frozen=True)
class Range:
    """A stretch of time that ends now; all in seconds, each a whole multiple of the one before."""

    name: str  # in the address
    short: str
    title: str
    step: int  # of what is read
    point: int  # of a line: over a longer one, the worst step is drawn where bad is high
    bar: int
    seconds: int

    def grid(self, now: float) -> Grid:
        """The grid that ends with the bar that is under way."""
        end = ceil(now / self.bar) * self.bar
        return Grid(end - self.seconds, end, self.step)


@dataclass(frozen=True)
class Grid:
    """Steps from ``start`` to ``end``, in seconds since the epoch."""

    start: int
    end: int
    step: int

    @property
    def starts(self) -> range:
        """The beginning of each step."""
        return range(self.start, self.end, self.step)

    def place(self, at: float) -> int:
        """The number of the step that ends at or after a moment."""
        return ceil((at - self.start) / self.step) - 1


RANGES = {
    one.name: one
    for one in (
        Range("15m", "15 min", "Last 15 minutes", 15, 15, MINUTE, 15 * MINUTE),
        Range("1h", "1 h", "Last hour", 30, 30, 5 * MINUTE, HOUR),
        Range("6h", "6 h", "Last 6 hours", 2 * MINUTE, 2 * MINUTE, 15 * MINUTE, 6 * HOUR),
        Range("24h", "24 h", "Last 24 hours", 5 * MINUTE, 10 * MINUTE, HOUR, DAY),
        Range("7d", "7 d", "Last 7 days", 30 * MINUTE, HOUR, 6 * HOUR, 7 * DAY),
    )
}
