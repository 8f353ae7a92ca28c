"""One JSON object a line, by python-json-logger."""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime
from typing import Any

from pythonjsonlogger.json import JsonFormatter

from .filters import IDS
from .plain import MAX_EXTRAS, MAX_ITEMS, STANDARD, Forgiving, Room, bounded, shown

NAMES = {"levelname": "level", "name": "logger", "exc_info": "exception", "stack_info": "stack"}
OWN = ("timestamp", "level", "logger", "message", *IDS, "exception", "stack")


class JSONFormatter(Forgiving, JsonFormatter):
    """timestamp, level, logger, message, the ids, what the record carries else, and its exception as one text.

    All that is not ASCII is escaped, and so is what a terminal would obey. ``options`` are python-json-logger's, as
    ``static_fields``.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(
            ["levelname", "name", "message", *IDS], rename_fields=NAMES, reserved_attrs=[*STANDARD], **options
        )

    def line(self, record: logging.LogRecord) -> str:
        return JsonFormatter.format(self, record)

    def add_fields(self, log_data: dict[str, Any], record: logging.LogRecord, message_dict: dict[str, Any]) -> None:
        """The time first; what else the record carries takes no place of these three."""
        now = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        log_data["timestamp"] = now.replace("+00:00", "Z")
        fixed = {**log_data, "level": record.levelname, "logger": record.name}
        super().add_fields(log_data, record, message_dict)
        log_data.update(fixed)

    def process_log_record(self, log_data: dict[str, Any]) -> dict[str, Any]:
        told = {name: None if (value := log_data[name]) is None else bounded(value) for name in OWN if name in log_data}
        extras = [name for name in log_data if name not in told][:MAX_ITEMS]
        for name in extras:
            room = Room(MAX_EXTRAS // len(extras))
            told[room.text(shown(name))] = room.value(log_data[name])
        return told

    def jsonify_log_record(self, log_data: dict[str, Any]) -> str:
        return json.dumps(log_data)
