"""What other apps add to the page: tables below those of jobs, where names lead, and what may be spent in a day."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from django.http import HttpRequest


@dataclass(frozen=True)
class Column:
    """``kind``: "text", "number" (aligned at the end), or "meter" (a number and its share as a bar)."""

    title: str
    kind: str = "text"
    sortable: bool = False
    secondary: bool = False  # left out where there is little room


@dataclass(frozen=True)
class Cell:
    """What a table shows at one place; ``text`` is escaped unless it is safe."""

    text: str
    url: str = ""
    sort: float | None = None
    share: float | None = None  # 0 to 1, of a meter
    bad: bool = False
    prefix: str = ""  # small, before the text
    role: int = 0  # of the colour that a chart has it in

    @property
    def percent(self) -> str:
        """The length of a meter."""
        return f"{(self.share or 0) * 100:.1f}%"


@dataclass(frozen=True)
class Table:
    """A table of a page."""

    id: str
    caption: str
    columns: Sequence[Column]
    rows: Sequence[Sequence[Cell]]
    empty: str = "Nothing in this range."
    wide: bool = False
    total: Sequence[Cell] = ()  # the last row

    @property
    def totals(self) -> list[tuple[Column, Cell]]:
        """The last row, each cell with its column."""
        return list(zip(self.columns, self.total, strict=True)) if self.total else []

    @property
    def cells(self) -> list[list[tuple[Column, Cell]]]:
        """The rows, each cell with its column."""
        return [list(zip(self.columns, row, strict=True)) for row in self.rows]


@dataclass(frozen=True)
class Budget:
    """What all AI requests of a day together may cost, in USD."""

    limit: float
    reserved: float = 0.0  # for requests under way
    forecast: float | None = None  # of what the day will have cost


MakeTable = Callable[[HttpRequest], Table | None]
MakeUrl = Callable[[HttpRequest, str], str]
MakeBudget = Callable[[HttpRequest], Budget | None]

_tables: dict[str, MakeTable] = {}
_links: dict[str, MakeUrl] = {}
_budgets: list[MakeBudget] = []


def add_table(name: str, make: MakeTable) -> None:
    """Show a table below those of jobs and steps; ``make`` gives None to whoever may not see it."""
    _tables[name] = make


def link(what: str, make: MakeUrl) -> None:
    """Lead from each ``job_type``, from each ``step``, from the failed ``jobs`` or from the ``spend`` to a page.

    ``make`` gets the request and the name of the type or step, and gives an empty text to whoever may not go there.
    """
    _links[what] = make


def set_budget(make: MakeBudget) -> None:
    """Show what was spent today beside its budget; ``make`` gives None without one, or to whoever may not see it."""
    _budgets[:] = [make]


def tables(request: HttpRequest) -> list[Table]:
    """What was added, as far as this person may see it."""
    made = [make(request) for make in _tables.values()]
    return [table for table in made if table is not None]


def url_of(request: HttpRequest, what: str, value: str = "") -> str:
    """Where it leads, or an empty text."""
    make = _links.get(what)
    return make(request, value) if make else ""


def budget_of_today(request: HttpRequest) -> Budget | None:
    """The budget of this day, as far as there is one that this person may see."""
    return next((make(request) for make in _budgets), None)
