"""Ask a service that may never answer, with a hard deadline, and without piling up threads while it is silent."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from math import ceil
from threading import Lock, Thread
from time import perf_counter
from typing import Any, Generic, TypeVar

from django.db import DEFAULT_DB_ALIAS, connections

T = TypeVar("T")
NO_DATABASE = "unknown"  # the vendor that Django gives a site without DATABASES


class Silent(Exception):
    """No answer within the deadline."""


@dataclass(frozen=True)
class Answer(Generic[T]):
    """What a probe brought: a value or an error, and the seconds it took."""

    value: T | None
    error: BaseException | None
    seconds: float


class Probe(Generic[T]):
    """One question, asked in a thread of its own; there is never more than one such thread.

    Callers that come while a question is under way share its answer. The thread is a daemon: a silent service does
    not keep the process from ending.
    """

    def __init__(self, ask: Callable[[], T], patience: Callable[[], float]) -> None:
        self.ask = ask
        self.patience = patience
        self._lock = Lock()
        self._pid = 0
        self._running: Future[Answer[T]] | None = None

    def start(self) -> Future[Answer[T]]:
        """The answer to come."""
        with self._lock:
            if self._running is None or self._running.done() or self._pid != os.getpid():
                self._running, self._pid = Future(), os.getpid()  # a fork leaves the thread behind
                self._begin(self._running)
            return self._running

    def _begin(self, future: Future[Answer[T]]) -> None:
        if database_in_memory():
            future.set_result(self._answer())
            return
        try:
            Thread(target=self._run, args=[future], name="observability-probe", daemon=True).start()
        except RuntimeError as error:  # no more threads
            future.set_result(Answer(None, error, 0.0))

    def _run(self, future: Future[Answer[T]]) -> None:
        with suppress(Exception):
            _limit_connections(self.patience())
        answer = self._answer()
        with suppress(Exception):
            connections.close_all()  # of this thread only
        future.set_result(answer)

    def _answer(self) -> Answer[T]:
        begin = perf_counter()
        try:
            return Answer(self.ask(), None, perf_counter() - begin)
        except BaseException as error:
            return Answer(None, error, perf_counter() - begin)


def ask_all(probes: Iterable[Probe[Any]], seconds: float) -> Sequence[Answer[Any]]:
    """Ask at the same time, and wait ``seconds`` for all of them together."""
    begin = perf_counter()
    futures = [probe.start() for probe in probes]
    return [_wait(future, begin, seconds) for future in futures]


def _wait(future: Future[Answer[Any]], begin: float, seconds: float) -> Answer[Any]:
    try:
        return future.result(max(0.0, begin + seconds - perf_counter()))
    except TimeoutError:
        return Answer(None, Silent(f"no answer within {seconds:g} s"), perf_counter() - begin)


def database_in_memory() -> bool:
    """SQLite in memory, as in tests: it is never silent, and a second thread would lock out the first."""
    connection: Any = connections[DEFAULT_DB_ALIAS]
    return bool(connection.vendor == "sqlite" and connection.is_in_memory_db())


def _limit_connections(seconds: float) -> None:
    """Have this thread's own database connections give up by themselves, so that it does not outlive the fault."""
    limits: dict[str, dict[str, object]] = {
        "postgresql": {
            "connect_timeout": max(2, ceil(seconds)),  # libpq takes no less
            "tcp_user_timeout": ceil(seconds * 1000),
            "pool": False,
        },
        "mysql": {"connect_timeout": ceil(seconds), "read_timeout": ceil(seconds)},
        "sqlite": {"timeout": seconds},
    }
    for connection in connections.all():
        options = connection.settings_dict["OPTIONS"] | limits.get(connection.vendor, {})
        connection.settings_dict = connection.settings_dict | {"OPTIONS": options}
