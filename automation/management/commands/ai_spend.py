"""`manage.py ai_spend --since 2026-11-01 --by job_type`: what AI requests have cost."""

import json
from argparse import ArgumentParser
from collections.abc import Callable
from dataclasses import asdict, astuple, fields
from datetime import datetime
from decimal import Decimal
from typing import Any

from automation import spend
from automation.forecast import Forecast, forecast
from automation.management.moments import moment
from automation.spend import Spent
from automation.spreadsheets import to_csv as as_csv
from observability.management.output import PrintingCommand

NUMBERS = [field.name for field in fields(Spent)][1:]


def to_table(by: str, rows: list[Spent], total: Spent, forecast: Forecast) -> str:
    """For people, with the sum and the forecast."""
    head = (by, "requests", "unpriced", "tokens in", "tokens out", "USD")
    lines = [head, *map(_cells, rows), _cells(total)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    table = "".join(f"{_aligned(line, widths)}\n" for line in lines)
    return f"{table}\n{forecast}\n"


def _aligned(cells: tuple[str, ...], widths: list[int]) -> str:
    key, *numbers = map(str.rjust, cells, widths)
    return "  ".join([key.strip().ljust(widths[0]), *numbers])


def _cells(row: Spent) -> tuple[str, ...]:
    numbers = (row.requests, row.unpriced, row.input_tokens, row.output_tokens)
    return (row.key, *(f"{number:,}" for number in numbers), spend.NONE if row.cost is None else f"{row.cost:,.4f}")


def to_json(by: str, rows: list[Spent], total: Spent, forecast: Forecast) -> str:
    """Costs are text, as no JSON number is exact."""
    value = {"by": by, "rows": list(map(asdict, rows)), "total": asdict(total), "forecast": asdict(forecast)}
    return json.dumps(value, indent=2, default=_plain, ensure_ascii=False) + "\n"


def _plain(value: Any) -> str:
    return f"{value:f}" if isinstance(value, Decimal) else str(value)  # not 5E-7


def to_csv(by: str, rows: list[Spent], total: Spent, forecast: Forecast) -> str:
    """The rows alone, as spreadsheets take them; none takes a name for a formula."""
    return as_csv([(by, *NUMBERS), *map(astuple, rows)])


FORMATS: dict[str, Callable[[str, list[Spent], Spent, Forecast], str]] = {
    "table": to_table,
    "json": to_json,
    "csv": to_csv,
}


class Command(PrintingCommand):
    help = "Show what AI requests have cost, and a forecast to the end of the month."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--since", type=moment, metavar="DATE", help="as 2026-11-01; by default since ever")
        parser.add_argument("--by", choices=spend.DIMENSIONS, default="model", help="default: %(default)s")
        parser.add_argument("--format", choices=FORMATS, default="table", help="default: %(default)s")

    def handle(self, *, since: datetime | None, by: str, **options: Any) -> None:
        rows = spend.spent_by(by, spend.requests(since))
        self.stdout.write(FORMATS[options["format"]](by, rows, spend.total(rows), forecast()), ending="")
