"""Scrapes at the same time: two at most, and of two that want the same the second gets what the first one made."""

from __future__ import annotations

import os
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from threading import Lock
from typing import Any, TypeVar

T = TypeVar("T")
AT_ONCE = 2  # requests of one process; more would take the threads that answer the site's own requests


class Busy(Exception):
    """As many scrapes as may be are under way."""


class Scrapes:
    """The scrapes that are under way in this process."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._callers = 0
        self._running: dict[Hashable, Future[Any]] = {}

    def share(self, key: Hashable, make: Callable[[], T]) -> T:
        """What ``make`` gives, to this caller or to one that came before with the same key; raises ``Busy``."""
        future, leads = self._join(key)
        try:
            if leads:
                self._make(future, make)
            result: T = future.result()
            return result
        finally:
            with self._lock:
                self._callers -= 1
                if leads:
                    del self._running[key]

    def _join(self, key: Hashable) -> tuple[Future[Any], bool]:
        with self._lock:
            if self._callers >= AT_ONCE:
                raise Busy
            self._callers += 1
            leads = key not in self._running
            return self._running.setdefault(key, Future()), leads

    @staticmethod
    def _make(future: Future[Any], make: Callable[[], object]) -> None:
        try:
            future.set_result(make())
        except BaseException as error:
            future.set_exception(error)


scrapes = Scrapes()
os.register_at_fork(after_in_child=scrapes.__init__)  # type: ignore[misc]  # the parent's scrapes end in the parent
