"""A line for people: time, level, logger, message, the ids, and what the record carries else."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator

from .filters import IDS
from .plain import MAX_EXTRAS, MAX_ITEMS, STANDARD, Forgiving, cut, shown

# What a terminal obeys, what begins a new line, what turns the direction of writing, and halves of surrogate pairs.
OBEYED = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def escape(text: str) -> str:
    """The text on one line, with backslashes for what is not to be obeyed."""
    return OBEYED.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


class ReadableFormatter(Forgiving):
    """Escaped as in JSON: what a client sends neither makes lines nor moves the cursor. Tracebacks are indented."""

    def line(self, record: logging.LogRecord) -> str:
        more = "".join(f" {name}={value}" for name, value in _more(record))
        clock = self.formatTime(record, "%H:%M:%S")
        told = f"{clock}.{int(record.msecs):03} {record.levelname:<7} {record.name}: {cut(record.getMessage())}{more}"
        exception = self.formatException(record.exc_info) if record.exc_info else record.exc_text or ""
        below = cut(f"{exception}\n{record.stack_info or ''}").splitlines()
        return "\n    ".join(map(escape, [told, *filter(None, below)]))


def _more(record: logging.LogRecord) -> Iterator[tuple[str, str]]:
    """What is beside the message; of Django's own records the ids, since their messages say the rest."""
    own = [] if record.name.startswith("django.") else [name for name in vars(record) if name not in (*STANDARD, *IDS)]
    names = [*IDS, *own[:MAX_ITEMS]]
    for name in names:
        if (value := getattr(record, name, None)) is not None:
            yield name, cut(shown(value), MAX_EXTRAS // len(names))
