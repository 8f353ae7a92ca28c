"""CSV as spreadsheets take it."""

import csv
import io
from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Any

FORMULA = ("=", "+", "-", "@", "\t", "\r")  # https://owasp.org/www-community/attacks/CSV_Injection


def to_csv(lines: Iterable[Sequence[Any]]) -> str:
    """Return lines as CSV; no text in it is taken for a formula."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([_harmless(cell) for cell in line] for line in lines)
    return text.getvalue()


def _harmless(cell: Any) -> Any:
    if isinstance(cell, Decimal):
        return f"{cell:f}"  # not 5E-7
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(FORMULA) else cell
