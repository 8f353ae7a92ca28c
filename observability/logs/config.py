"""A ready ``LOGGING``."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any


def formatter(*, debug: bool = False) -> logging.Formatter:
    """The form of the lines alone, for a server that configures its log itself, as gunicorn."""
    if debug:
        from .readable import ReadableFormatter

        return ReadableFormatter()
    from .structured import JSONFormatter  # python-json-logger is not needed where nobody asks for JSON

    return JSONFormatter()


def logging_config(
    *, debug: bool = False, level: str = "INFO", loggers: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """A dictionary for ``LOGGING``: JSON lines on standard error, or lines for people while debugging.

    Its handlers are ``console``, which the root logger has, and ``warnings``, which leaves out what is less than that;
    ``loggers`` go beside those of Django, or before them. It takes python-json-logger, of the extra ``logs``.
    """
    to_root: dict[str, Any] = {"handlers": [], "propagate": True}
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "filters": {"correlation": {"()": "observability.logs.filters.CorrelationFilter"}},
        "formatters": {"line": {"()": "observability.logs.config.formatter", "debug": debug}},
        "handlers": {"console": _handler("NOTSET"), "warnings": _handler("WARNING")},
        "root": {"handlers": ["console"], "level": level.upper()},
        # Django's own handlers would repeat each line, in another form, or be silent with DEBUG off.
        "loggers": {"django": to_root, "django.server": to_root, **(loggers or {})},
    }


def _handler(level: str) -> dict[str, Any]:
    return {"class": "logging.StreamHandler", "formatter": "line", "filters": ["correlation"], "level": level}
