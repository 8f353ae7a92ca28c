"""The door to the shared store: where the values of all metrics live, and how those of all processes are read.

With a folder (``PROMETHEUS_MULTIPROC_DIR``) every process of the instance records into files there, in the multiprocess
format of prometheus_client, and any of them can read all. Without one, values live in this process's memory. Everything
else in the app goes through these functions.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import prometheus_client
from prometheus_client import CollectorRegistry, values
from prometheus_client.gc_collector import GCCollector
from prometheus_client.metrics import MetricWrapperBase
from prometheus_client.metrics_core import Metric
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

from observability.conf import get_conf
from observability.logs import warn

from .adoption import adopt

FOLDER_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"  # read by prometheus_client
# The last three describe whichever process happens to answer; over several processes such a number jumps about.
IN_FILES_OR_ONE_PROCESS = (MetricWrapperBase, ProcessCollector, PlatformCollector, GCCollector)


def folder() -> Path | None:
    """The folder of the shared store, or None where values live in one process's memory."""
    return Path(os.environ[FOLDER_VARIABLE]) if values.ValueClass._multiprocess else None


def install() -> None:
    """Have every metric of the process, of any library, keep its values in the configured folder."""
    conf = get_conf()
    path = Path(conf.PROMETHEUS_MULTIPROC_DIR).absolute()
    if not conf.PROMETHEUS_MULTIPROC_DIR or not _usable(path):
        values.ValueClass = values.MutexValue  # set but empty, the variable means the current folder to the library
        return
    if not conf.METRICS_ENABLED:
        return
    elsewhere = os.environ.get(FOLDER_VARIABLE) != str(path)
    os.environ[FOLDER_VARIABLE] = str(path)
    if elsewhere or not values.ValueClass._multiprocess:
        values.ValueClass = values.MultiProcessValue()
        adopt(prometheus_client.REGISTRY)


def _usable(path: Path) -> bool:
    """A site whose folder cannot be used runs without it; the log and a check tell."""
    try:
        path.mkdir(parents=True, exist_ok=True)
        if os.access(path, os.R_OK | os.W_OK | os.X_OK):
            return True
        raise PermissionError(f"user {os.geteuid()} may not write to {path}")
    except OSError as error:
        warn("store folder", "Each process keeps its metrics for itself, for want of a shared folder: %s", error)
        return False


def collect(*registries: CollectorRegistry) -> Iterator[Metric]:
    """Every metric family with its samples: those of all processes, and what custom collectors give."""
    path = folder()
    if path is not None:
        _forget_dead_processes(path)
        yield from MultiProcessCollector(None, str(path)).collect()
    for registry in registries:
        for collector in list(registry._collector_to_names):
            if path is None or not isinstance(collector, IN_FILES_OR_ONE_PROCESS):
                yield from _collect_one(collector)


def _collect_one(collector: Collector) -> list[Metric]:
    """A collector of the host's that fails takes nothing but itself out of the scrape."""
    try:
        return list(collector.collect())
    except Exception as error:
        warn(f"collector {type(collector).__qualname__}", "The collector %r failed: %r", collector, error)
        return []


def processes() -> list[int]:
    """The ids of the living processes that record into the store."""
    path = folder()
    return [os.getpid()] if path is None else [pid for pid in _recorded(path, "*.db") if _alive(pid)]


def _forget_dead_processes(path: Path) -> None:
    """Remove the live gauges of processes that ended, however they ended."""
    for pid in _recorded(path, "gauge_live*.db"):
        if not _alive(pid):
            mark_process_dead(pid, str(path))


def _recorded(path: Path, pattern: str) -> set[int]:
    names = (file.stem.rpartition("_")[2] for file in path.glob(pattern))
    return {int(name) for name in names if name.isdecimal()}


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        pass  # another user's: it lives
    return True
