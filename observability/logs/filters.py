"""What joins a record to the request and the job in which it was made."""

from __future__ import annotations

import logging
from contextlib import suppress

from observability.correlation import current

IDS = ("request_id", "trace_id", "job_id", "step")


class CorrelationFilter(logging.Filter):
    """Put the ids that hold onto each record, where it is made; what the record says itself goes before them.

    ``IDS`` are always there, None when they do not hold, so that a format may name them.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        with suppress(Exception):  # whoever logs must not hear of a fault of ours
            for name, value in current().items():
                record.__dict__.setdefault(name, value)
            # Django tells of a status only when all middleware is done.
            own = getattr(getattr(record, "request", None), "request_id", None)
            record.__dict__.setdefault("request_id", own if isinstance(own, str) else None)
        for name in IDS:
            record.__dict__.setdefault(name, None)
        return True
