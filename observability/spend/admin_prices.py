"""The prices that the admin keeps, in memory: recording waits for no database."""

from __future__ import annotations

import asyncio
from concurrent.futures import Future
from contextlib import suppress
from time import monotonic

from django.db import DEFAULT_DB_ALIAS, connections

from observability.conf import get_conf
from observability.logs import warn
from observability.probes import NO_DATABASE, Answer, Probe

from .overrides import Override

FRESH = 60.0  # seconds that rows which were read are taken for true


class AdminPrices:
    """Read in a thread, at most once a minute; where the database does not answer, those of before stay."""

    def __init__(self) -> None:
        self._rows: tuple[Override, ...] = ()
        self._probe: Probe[None] = Probe(self._read, lambda: get_conf().SOURCE_TIMEOUT)
        self.forget()

    def forget(self) -> None:
        """A row was changed by this process: all are read before the next price."""
        self._read_at, self._reading, self._is_first = -FRESH, Future[Answer[None]](), True

    def prepare(self) -> None:
        """Read the rows beside the request that will need them, unless they are fresh."""
        if monotonic() - self._read_at >= FRESH and connections[DEFAULT_DB_ALIAS].vendor != NO_DATABASE:
            self._read_at = monotonic()
            self._reading = self._probe.start()

    def now(self) -> tuple[Override, ...]:
        """As they were last read. Only the first price waits for that, as it does for the price list."""
        self.prepare()
        if self._is_first and not _in_event_loop() and connections[DEFAULT_DB_ALIAS].vendor != NO_DATABASE:
            with suppress(TimeoutError):
                self._reading.result(get_conf().SOURCE_TIMEOUT)
        self._is_first = False
        return self._rows

    def _read(self) -> None:
        try:
            from observability.models import ModelPrice

            self._rows = tuple(row.as_override() for row in ModelPrice.objects.all())
        except Exception as error:
            warn("ai prices", "The prices of the admin cannot be read: %r", error)


def _in_event_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
