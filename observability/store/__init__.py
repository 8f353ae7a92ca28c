"""The door to the shared store: where the values of all metrics live, and how those of all processes are read.

With a folder (``PROMETHEUS_MULTIPROC_DIR``) every process of the instance records into files there, in the multiprocess
format of prometheus_client, and any of them can read all. Without one, values live in this process's memory. Everything
else in the app goes through these functions.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from threading import Lock

import prometheus_client
from prometheus_client import CollectorRegistry, Gauge
from prometheus_client import values as client_values
from prometheus_client.gc_collector import GCCollector
from prometheus_client.metrics import MetricWrapperBase
from prometheus_client.metrics_core import Metric
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

from observability.conf import get_conf
from observability.logs import warn

from . import adoption, compaction, memory, states, values
from .exemplars import Lines
from .exemplars import read as read_exemplars
from .families import StoredFamily
from .fileformat import FIRST_SIZE
from .reader import Reader
from .values import Buckets, can_keep, lower, on_refusal, raiser, refused, together

__all__ = [
    "Buckets",
    "Lines",
    "StoredFamily",
    "can_keep",
    "collect",
    "damaged",
    "exemplar_lines",
    "file_count",
    "folder",
    "healthy",
    "install",
    "left_out",
    "lower",
    "on_refusal",
    "processes",
    "raiser",
    "refused",
    "renew_locks",
    "together",
    "writable",
]

FOLDER_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"  # read by prometheus_client
# These describe whichever process happens to answer; over several processes such a number jumps about.
OF_ONE_PROCESS = (ProcessCollector, PlatformCollector, GCCollector)

WITH_EXEMPLARS = {"counter", "histogram", "gaugehistogram"}

_reader: Reader | None = None


def folder() -> Path | None:
    """The folder of the shared store, or None where values live in one process's memory."""
    return values.folder() if client_values.ValueClass is values.SharedValue else None


def install() -> None:
    """Have every metric of the process, of any library, keep its values in the configured folder."""
    conf = get_conf()
    path = Path(conf.PROMETHEUS_MULTIPROC_DIR).absolute()
    if not conf.PROMETHEUS_MULTIPROC_DIR or not _is_there(path):
        client_values.ValueClass = client_values.MutexValue  # set but empty, prometheus_client takes the current folder
        return
    if not conf.METRICS_ENABLED:
        return
    os.environ[FOLDER_VARIABLE] = str(path)
    values.use(path)
    client_values.ValueClass = values.SharedValue
    states.install()
    adoption.adopt(prometheus_client.REGISTRY)


def _is_there(path: Path) -> bool:
    """A site whose folder cannot be made runs without it; a check tells."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        warn("store folder", "The folder of the shared store cannot be made: %s", error)
        return path.is_dir()
    return True


def left_out() -> list[str]:
    """The names of the host's metrics that record elsewhere, though there is a store."""
    return adoption.left_out(prometheus_client.REGISTRY) if folder() else []


def collect(*registries: CollectorRegistry) -> Iterator[Metric]:
    """Every metric family with its samples: those of all processes, and what custom collectors give."""
    if path := folder():
        compaction.mend(path)
        live = _names_of_functions(*registries)
        yield from (family for family in reader(path).read() if family.name not in live)
        compaction.fold_when_due(reader(path))
    for registry in registries:
        for collector in list(registry._collector_to_names):
            yield from _collect_in_files(collector) if path else _collect_in_memory(collector)


def _names_of_functions(*registries: CollectorRegistry) -> set[str]:
    """Gauges that a function gives: what is in their files nobody set."""
    collectors = (one for registry in registries for one in list(registry._collector_to_names))
    return {one._name for one in collectors if isinstance(one, Gauge) and memory.has_function(one)}


def exemplar_lines(*registries: CollectorRegistry) -> Lines:
    """What follows a sample's value in OpenMetrics, by what precedes it in either format."""
    if path := folder():
        return read_exemplars(path)
    metrics = (one for registry in registries for one in list(registry._collector_to_names))
    found = [memory.exemplars_of(metric) for metric in metrics if isinstance(metric, MetricWrapperBase)]
    return {before: after for lines in found for before, after in lines.items()}


def reader(path: Path) -> Reader:
    """The one reader of this process."""
    global _reader
    if _reader is None or _reader.folder != path or _reader.process != os.getpid():
        _reader = Reader(path)
    return _reader


def _collect_in_files(collector: Collector) -> list[Metric]:
    """What no file can hold is shown as this process has it."""
    if isinstance(collector, OF_ONE_PROCESS) or (
        isinstance(collector, MetricWrapperBase)
        and not (isinstance(collector, Gauge) and memory.has_function(collector))
    ):
        return []
    return _collect_one(collector)


def _collect_in_memory(collector: Collector) -> list[Metric]:
    found = memory.read(collector) if isinstance(collector, MetricWrapperBase) else None
    return _collect_one(collector) if found is None else [found]


def _collect_one(collector: Collector) -> list[Metric]:
    """A collector of the host's that fails takes nothing but itself out of the scrape."""
    try:
        return [_sound(family) for family in collector.collect()]
    except Exception as error:
        warn(f"collector {type(collector).__qualname__}", "The collector %r failed: %r", collector, error)
        return []


def _sound(family: Metric) -> Metric:
    """The family with samples that every format can write: a number, labels of text, exemplars where they may be."""
    result = Metric(family.name, family.documentation, family.type, family.unit)
    keeps_exemplars = family.type in WITH_EXEMPLARS
    for sample in family.samples:
        labels = {name: str(value) for name, value in sample.labels.items()}
        exemplar = sample.exemplar if keeps_exemplars else None
        result.samples.append(sample._replace(value=float(sample.value), labels=labels, exemplar=exemplar))
    return result


def renew_locks(*registries: CollectorRegistry) -> None:
    """In a forked child: another thread of the parent may have held the locks of prometheus_client."""
    for registry in registries:
        registry._lock = Lock()
        for collector in registry._collector_to_names:
            children = memory.children_of(collector) if isinstance(collector, MetricWrapperBase) else []
            for one in (collector, *children):
                if hasattr(one, "_lock"):
                    one._lock = Lock()


def damaged() -> int:
    """The number of files that were put aside since this was last asked."""
    return _reader.take_damaged() if _reader else 0


def file_count() -> int:
    """The number of files in the store."""
    path = folder()
    try:
        return sum(file.suffix == ".db" for file in path.iterdir()) if path else 0
    except OSError:  # gone, or no descriptor left to look with
        return 0


def healthy() -> bool:
    """Whether this process, and new ones, can record where it was asked for."""
    path = folder()
    if path is None:
        return not get_conf().PROMETHEUS_MULTIPROC_DIR
    return not values.troubles() and writable(path) and _room(path) >= FIRST_SIZE


def writable(path: Path) -> bool:
    """Whether this process may make files there."""
    return os.access(path, os.R_OK | os.W_OK | os.X_OK)


def _room(path: Path) -> int:
    try:
        return shutil.disk_usage(path).free
    except OSError:
        return 0


def processes() -> list[int]:
    """The ids of the living processes that record into the store."""
    path = folder()
    return [os.getpid()] if path is None else reader(path).processes()
