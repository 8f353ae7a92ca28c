"""Health checks: callables named in ``HEALTH_CHECKS``; one is healthy when it returns before the deadline.

A check is asked in a thread of its own, so that a service which accepts and never answers cannot hold up the caller.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import lru_cache
from time import perf_counter
from uuid import uuid4

from django.core.cache import caches
from django.db import connections
from django.utils.module_loading import import_string

from .conf import get_conf
from .logs import warn
from .probes import NO_DATABASE, Answer, Probe, ask_all

RESERVE = 0.9  # of the deadline is spent waiting, so that the answer leaves before it


def check_database() -> None:
    """Every configured database answers a query."""
    for connection in connections.all():
        if connection.vendor != NO_DATABASE:
            with connection.cursor() as cursor:
                cursor.execute("SELECT 1")


def check_cache() -> None:
    """The cache returns what was put into it."""
    cache = caches[get_conf().CACHE_ALIAS]
    key = f"observability:health:{uuid4()}"
    cache.set(key, "1", 10)
    if cache.get(key) != "1":
        raise RuntimeError("the cache does not return what was put into it")
    cache.delete(key)


@dataclass(frozen=True)
class Report:
    """What the checks said, by name; seconds each took."""

    checks: dict[str, Answer[None]]
    seconds_left: float  # of the deadline, for what the caller has still to ask

    @property
    def healthy(self) -> bool:
        return all(answer.error is None for answer in self.checks.values())

    def details(self) -> dict[str, dict[str, object]]:
        """For callers with access: the state and time of each check."""
        return {name: _detail(answer) for name, answer in self.checks.items()}


def _detail(answer: Answer[None]) -> dict[str, object]:
    """The class of an error is named, its text is not: that may hold a host or a password."""
    detail: dict[str, object] = {"status": "healthy", "seconds": round(answer.seconds, 4)}
    return detail | {"status": "unhealthy", "error": type(answer.error).__name__} if answer.error else detail


def examine() -> Report:
    """Run every check at the same time, under one deadline."""
    conf = get_conf()
    probes = {path: _probe(path) for path in conf.HEALTH_CHECKS}
    begin, limit = perf_counter(), conf.HEALTH_TIMEOUT * RESERVE
    answers = ask_all(probes.values(), limit)
    checks = {_name(path, probes): answer for path, answer in zip(probes, answers, strict=True)}
    report = Report(checks, seconds_left=begin + limit - perf_counter())
    for name, answer in report.checks.items():
        if answer.error:
            warn(f"health {name}", "Health check %r failed: %r", name, answer.error)
    return report


def _name(path: str, paths: Iterable[str]) -> str:
    """The function's name, or its whole path where another check has the same name."""
    name = path.rpartition(".")[2]
    return name if [other.rpartition(".")[2] for other in paths].count(name) == 1 else path


@lru_cache(maxsize=64)
def _probe(path: str) -> Probe[None]:
    def ask() -> None:
        check: Callable[[], None] = import_string(path)
        check()

    return Probe(ask, lambda: get_conf().HEALTH_TIMEOUT)
