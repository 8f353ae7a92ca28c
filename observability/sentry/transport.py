"""The way out to Sentry: all that is sent is cleaned here, by the thread that sends it, when the caller has gone on."""

from __future__ import annotations

import logging

from sentry_sdk.envelope import Envelope, Item, PayloadRef
from sentry_sdk.transport import HttpTransport
from sentry_sdk.utils import json_dumps

from observability.logs import warn

from . import hooks

COUNTS = {"client_report", "session", "sessions"}  # kinds of items that hold no text of anybody's


class CleanTransport(HttpTransport):
    """Sends no more than what has been cleaned."""

    def capture_envelope(self, envelope: Envelope) -> None:
        """Put into the queue what is cleaned when its turn comes; its headers, which are short, at once."""
        headers = hooks.or_nothing(hooks.clean)(envelope.headers)
        if headers is not None:
            super().capture_envelope(Envelope(headers, [_cleaned(item) for item in envelope.items]))

    def on_dropped_event(self, reason: str) -> None:
        """What is lost because Sentry is down, or refuses it, is one warning a minute."""
        warn("sentry transport", "Sentry does not take what is sent to it: %s.", reason)


def _cleaned(item: Item) -> Item:
    return item if item.type in COUNTS else Item(CleanPayload(item.payload), item.headers)


class CleanPayload(PayloadRef):
    """Another's, cleaned when its bytes are asked for."""

    def __init__(self, given: PayloadRef) -> None:
        super().__init__(json=given.json)
        self.given = given

    def get_bytes(self) -> bytes:
        """Raises for what cannot be made safe, so that nothing of its envelope is sent."""
        if self.bytes is None:
            self.bytes = hooks.or_nothing(self._clean)()
        if self.bytes is None:
            raise ValueError("This cannot be cleaned.")
        return self.bytes

    def _clean(self) -> bytes:
        if self.json is not None:
            return json_dumps(hooks.clean(self.json))
        return hooks.clean_file(self.given.get_bytes())


def is_of_others(record: logging.LogRecord) -> bool:
    """Not of the thread that sends, whose every attempt that fails urllib3 would tell of."""
    return not (record.threadName or "").startswith("sentry-sdk.")
