"""Gauges that are read when somebody looks: from the database or the cache, the same on every instance.

Each service ("database", "cache") is asked once a scrape for all of its gauges, under one deadline. What does not
answer in time is absent from that scrape, and ``observability_source_up`` says so; everything else is there.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from operator import add
from pathlib import Path

import django
from django.db import DEFAULT_DB_ALIAS, connections
from django.db.backends.base.base import BaseDatabaseWrapper
from prometheus_client.metrics import MetricWrapperBase
from prometheus_client.metrics_core import Metric

from . import labels, metrics, store
from .conf import get_conf
from .logs import warn
from .probes import Answer, Probe, ask_all

Values = Mapping[tuple[str, ...], float]  # label values -> value
Read = Callable[[], float | Values]
Combine = Callable[[float, float], float]
Readings = list[tuple[MetricWrapperBase, Values]]
Answers = Mapping[str, Answer[tuple[Readings, list[BaseException]]]]  # by service

DATABASE, CACHE = "database", "cache"

_combine: dict[MetricWrapperBase, Combine] = {}
_reads: dict[str, dict[tuple[MetricWrapperBase, object], Read]] = {}
_probes: dict[str, Probe[tuple[Readings, list[BaseException]]]] = {}


def register(
    service: str, metric: MetricWrapperBase, read: Read, *, key: object = None, combine: Combine = add
) -> None:
    """Read ``metric`` from a service at each scrape.

    ``read`` gives a number, or numbers by label values; ``combine`` makes one of the answers of several reads of a
    metric. The same metric and ``key`` registered again replace the earlier read.
    """
    _reads.setdefault(service, {})[metric, key] = read
    _combine[metric] = combine
    _probes.setdefault(service, Probe(lambda: _read_service(service), lambda: get_conf().SOURCE_TIMEOUT))


def _read_service(service: str) -> tuple[Readings, list[BaseException]]:
    """Each gauge by itself, so that one failing query leaves the others."""
    good: Readings = []
    errors: list[BaseException] = []
    for (metric, _), read in list(_reads[service].items()):
        try:
            value = read()
            good.append((metric, value if isinstance(value, Mapping) else {(): value}))
        except Exception as error:
            errors.append(error)
    return good, errors


def service_of(metric: MetricWrapperBase) -> str | None:
    """The service that a gauge is read from, or None when nobody reads it."""
    return next((name for name, reads in _reads.items() if any(read is metric for read, _ in reads)), None)


def gauges() -> set[MetricWrapperBase]:
    """Every gauge that is read from a service."""
    return {metric for reads in _reads.values() for metric, _ in reads}


def ask() -> Answers:
    """What each service answered within the deadline."""
    probes = dict(_probes)
    return dict(zip(probes, ask_all(probes.values(), get_conf().SOURCE_TIMEOUT), strict=True))


def collect(answers: Answers) -> Iterator[Metric]:
    """The families that services answered with, ``observability_source_up`` and ``app_info``."""
    gauges: dict[MetricWrapperBase, dict[tuple[str, ...], float]] = {}
    health: dict[tuple[str, ...], float] = {}
    for service, answer in answers.items():
        readings, errors = answer.value or ([], [answer.error or RuntimeError("no answer")])
        health[service,] = 0 if errors else 1
        for error in errors:
            warn(f"source {service}", "Gauges of source %r cannot be read: %r", service, error)
        for metric, values in readings:
            found = gauges.setdefault(metric, {})
            for names, value in _bounded(metric, values):
                found[names] = _combine[metric](found[names], value) if names in found else value
    yield from (family(metric, values) for metric, values in gauges.items())
    yield family(metrics.observability_source_up, health)
    yield family(metrics.app_info, {_app_info(): 1})


def _bounded(metric: MetricWrapperBase, values: Values) -> Iterator[tuple[tuple[str, ...], float]]:
    """The same gate as for what is recorded: clean label values, and past the cap of series ``__overflow__``."""
    for number, (names, value) in enumerate(values.items()):
        room = number < get_conf().MAX_SERIES
        yield tuple(map(labels.clean, names)) if room else metrics.overflow(metric, names), value


class SourceFamily(Metric):
    """A gauge with values that were read, not recorded."""


def family(metric: MetricWrapperBase, values: Values) -> SourceFamily:
    """The gauge with these values."""
    result = SourceFamily(metric._name, metric._documentation, "gauge")
    for names, value in values.items():
        result.add_sample(metric._name, dict(zip(metric._labelnames, names, strict=True)), float(value))
    return result


def _app_info() -> tuple[str, ...]:
    conf = get_conf()
    return conf.APP_VERSION, conf.ENVIRONMENT, platform.python_version(), django.get_version()


def read_database_connections() -> float:
    """Connections open now, without the one that asks: PostgreSQL's own count, or this instance's handles of SQLite."""
    connection = connections[DEFAULT_DB_ALIAS]
    return COUNT_CONNECTIONS[connection.vendor](connection)


def _count_server_connections(connection: BaseDatabaseWrapper) -> float:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        return float(cursor.fetchone()[0])


def _count_handles(connection: BaseDatabaseWrapper) -> float:
    database = os.path.realpath(connection.settings_dict["NAME"])
    own = connection.connection is not None
    return float(sum(_handles(pid, database) for pid in store.processes()) - own)


def _handles(pid: int, path: str) -> int:
    """Descriptors that a process holds on a file, as Linux tells it."""
    found = 0
    with suppress(OSError):  # the process may end while we look
        for descriptor in Path(f"/proc/{pid}/fd").iterdir():
            with suppress(OSError):
                found += str(descriptor.readlink()) == path
    return found


COUNT_CONNECTIONS: Mapping[str, Callable[[BaseDatabaseWrapper], float]] = {
    "postgresql": _count_server_connections,
    "sqlite": _count_handles,
}
