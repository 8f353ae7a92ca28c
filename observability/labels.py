"""The gate that every label value and every number passes before it is recorded."""

from __future__ import annotations

import math
from decimal import Decimal
from numbers import Real

MAX_LENGTH = 128
OVERFLOW = "__overflow__"
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT"})  # RFC 9110, 5789
OTHER_METHOD = "OTHER"
UNMATCHED = "unmatched"
CLIENT_CLOSED = 499  # nginx's number for a client that went away


def clean(value: object) -> str:
    """A label value: valid UTF-8 without NUL, 128 characters at the most.

    NUL ends the input of Prometheus's own lexer, so it is replaced like a character that no UTF-8 text can hold.
    """
    text = (value if isinstance(value, str) else str(value))[:MAX_LENGTH]
    if text.isascii() and "\0" not in text:
        return text
    return text.encode("utf-8", "replace").decode("utf-8").replace("\0", "\N{REPLACEMENT CHARACTER}")


def method(value: object) -> str:
    """The request method, or ``OTHER`` for what no standard names."""
    return value if isinstance(value, str) and value in METHODS else OTHER_METHOD


def number(value: object) -> float | None:
    """The value as a finite float of 0 or more, or None when it is no such number."""
    if isinstance(value, bool) or not isinstance(value, Real | Decimal):
        return None
    try:
        result = float(value)
    except (OverflowError, ValueError):
        return None
    return result if math.isfinite(result) and result >= 0 else None
