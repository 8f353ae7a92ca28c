"""Whatever is logged, as text and as JSON's own types: bounded, and never a reason to lose the record."""

from __future__ import annotations

import logging
import math
from copy import copy
from datetime import date, time
from itertools import islice
from typing import Any

from observability.known import hide

MAX_TEXT = 16_384  # characters of a message, or of an exception with its traceback
MAX_EXTRAS = 32_768  # about so many characters for all else that a record carries, to each the same
MAX_DEPTH, MAX_ITEMS = 6, 100
LEAST = 8  # characters that each value takes, however short it is

# The attributes of every record, Django's request, which has been told of in the message, and uvicorn's message again.
STANDARD = {*vars(logging.makeLogRecord({})), "message", "asctime", "taskName", "request", "color_message"}


def cut(text: str, limit: int = MAX_TEXT) -> str:
    """A text that is too long without its middle: an exception says at its end what it is."""
    if len(text) <= limit:
        return text
    half = max(0, limit) // 2
    return f"{text[:half]} … {len(text) - 2 * half:,} characters left out … {text[len(text) - half :]}"


def shown(value: object) -> str:
    """Any value as text."""
    try:
        return value.isoformat() if isinstance(value, date | time) else str(value)
    except Exception:
        return _unshown(value)


def _unshown(value: object) -> str:
    return f"<{type(value).__name__} that cannot be shown>"


def encodable(text: str) -> str:
    """Halves of surrogate pairs, which no encoding has, written out."""
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()


def bounded(value: object) -> str:
    """Any value as one text."""
    text = value if isinstance(value, str) else shown(value)
    return text if len(text) <= MAX_TEXT and text.isascii() else encodable(cut(text))


class Room:
    """Takes values as JSON has them while there is room for them."""

    def __init__(self, left: int) -> None:
        self.left = left

    def text(self, text: str) -> str:
        taken = encodable(cut(text, self.left))
        self.left -= len(taken)
        return taken

    def value(self, value: Any) -> Any:
        try:
            return self._value(value, 0)
        except Exception:  # it is changed at this moment, by another thread, or does not do what its class promises
            return _unshown(value)

    def _value(self, value: Any, depth: int) -> Any:
        self.left -= LEAST
        if value is None or isinstance(value, bool):
            return value
        if isinstance(value, int | float) and _is_short(value):
            return value
        if isinstance(value, dict | list | tuple | set | frozenset):
            return self._items(value, depth + 1) if depth < MAX_DEPTH and self.left > 0 else "…"
        return self.text(value if isinstance(value, str) else shown(value))

    def _items(self, value: Any, depth: int) -> Any:
        first = islice(value.items() if isinstance(value, dict) else value, MAX_ITEMS)
        more = f"… {len(value) - MAX_ITEMS:,} left out" if len(value) > MAX_ITEMS else ""
        if isinstance(value, dict):
            taken = {self.text(shown(name)): self._value(item, depth) for name, item in first}
            return taken | {more: None} if more else taken
        return [self._value(item, depth) for item in first] + [more] * bool(more)


def _is_short(number: float) -> bool:
    return number.bit_length() <= 64 if isinstance(number, int) else math.isfinite(number)


class Forgiving(logging.Formatter):
    """Tells of a record also when its arguments do not fit its message, or when something of it cannot be shown.

    The secrets of the settings and of the environment are in no line.
    """

    def line(self, record: logging.LogRecord) -> str:
        raise NotImplementedError

    def format(self, record: logging.LogRecord) -> str:
        try:
            line = self.line(record)
        except Exception as error:
            told = copy(record)
            told.msg, told.args = f"{cut(shown(record.msg))} {cut(shown(record.args))} ({shown(error)})", None
            line = self.line(told)
        return hide(line)

    def formatException(self, ei: Any) -> str:  # noqa: N802  # logging's own name
        try:
            return super().formatException(ei)
        except Exception:
            return f"{ei[0]}, which cannot be shown"
