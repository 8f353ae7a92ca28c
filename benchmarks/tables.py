"""The one form of all tables, and goals beside the figures."""

import textwrap
from collections.abc import Iterable, Sequence

WIDTH = 120
MET, MISSED = "met", "**missed**"


def table(title: str, how: str, header: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """A heading, how it was measured, and a row for each figure of ours: what it is, ours, its peers', ratio, goal."""
    ruler = ["---", *["---:"] * (len(header) - 1)]
    return [f"## {title}", "", *textwrap.wrap(how, WIDTH), "", *map(_line, (header, ruler, *rows)), ""]


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |".replace("|  |", "| |").replace("|  |", "| |")


def at_most(figure: float, limit: float, unit: str = "") -> str:
    """A goal, and whether a figure in the same unit met it."""
    return f"≤ {limit:,g}{unit} {MET if figure <= limit else MISSED}"


def at_least(figure: float, limit: float, unit: str = "") -> str:
    """A goal, and whether a figure in the same unit met it."""
    return f"≥ {limit:,g}{unit} {MET if figure >= limit else MISSED}"


def summary(lines: Iterable[str]) -> str:
    """How many goals were met, in words."""
    rows = "".join(line for line in lines if line.startswith("|"))
    goals, missed = rows.count("≤") + rows.count("≥"), rows.count(MISSED)
    return f"{goals - missed} of {goals} goals are met"
