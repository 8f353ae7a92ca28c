"""Errors, and the time that things take, sent to Sentry without secrets; nothing without sentry-sdk or a DSN."""

from .capture import capture_exception, capture_message, last_event_id
from .sdk import is_on
from .setup import init_sentry
from .spans import check_in, isolated, mark_failed, record_span, remember, span, transaction

__all__ = [
    "capture_exception",
    "capture_message",
    "check_in",
    "init_sentry",
    "is_on",
    "isolated",
    "last_event_id",
    "mark_failed",
    "record_span",
    "remember",
    "span",
    "transaction",
]
