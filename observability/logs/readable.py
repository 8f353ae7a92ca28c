"""A line for people: time, level, logger, message and the ids."""

from __future__ import annotations

import logging
import re

from .filters import IDS
from .plain import Forgiving, cut

# What a terminal obeys, what begins a new line, what turns the direction of writing, and halves of surrogate pairs.
OBEYED = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def escape(text: str) -> str:
    """The text on one line, with backslashes for what is not to be obeyed."""
    return OBEYED.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


class ReadableFormatter(Forgiving):
    """Escaped as in JSON: what a client sends neither makes lines nor moves the cursor. Tracebacks are indented."""

    def line(self, record: logging.LogRecord) -> str:
        ids = "".join(f" {name}={value}" for name in IDS if (value := getattr(record, name, None)))
        clock = self.formatTime(record, "%H:%M:%S")
        told = f"{clock}.{int(record.msecs):03} {record.levelname:<7} {record.name}: {cut(record.getMessage())}{ids}"
        exception = self.formatException(record.exc_info) if record.exc_info else record.exc_text or ""
        below = cut(f"{exception}\n{record.stack_info or ''}").splitlines()
        return "\n    ".join(map(escape, [told, *filter(None, below)]))
