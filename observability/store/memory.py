"""Reads the metrics of this process where there is no folder: only what changed since the last time is formatted."""

from __future__ import annotations

import os
from collections.abc import Sequence
from itertools import accumulate
from threading import Lock
from typing import Any
from weakref import WeakKeyDictionary

from prometheus_client import Counter, Gauge, Histogram, Summary
from prometheus_client.metrics import MetricWrapperBase
from prometheus_client.utils import floatToGoString
from prometheus_client.values import MutexValue

from . import exemplars
from .families import Family, Names, StoredFamily


class HeldFamily(Family):
    """A metric of one of prometheus_client's types, with all its children."""

    def __init__(self, metric: MetricWrapperBase) -> None:
        super().__init__(metric._name, metric._documentation, str(metric._type), metric._unit)
        self._bounds: Sequence[float] = getattr(metric, "_upper_bounds", ())
        self._owners: list[Any] = []  # of the values; never the metric itself, which would keep it alive
        self._held: list[MutexValue] = []
        self._seen: list[float] = []

    def read(self, metric: MetricWrapperBase) -> StoredFamily:
        """Format what changed."""
        owners = children_of(metric) if metric._is_parent() else values_of(metric)
        if owners != self._owners:
            self._owners = owners
            self._plan(children_of(metric))
        seen = [held._value for held in self._held]
        if seen != self._seen:
            self._seen = seen
            self.put(self._shown(seen) if self._bounds else seen)
        return self.snapshot()

    def _plan(self, children: list[Any]) -> None:
        self._seen = []
        self._held = [held for child in children for held in _parts(child)[0]]
        series = [tuple(zip(child._labelnames, child._labelvalues, strict=False)) for child in children]
        self.arrange(series, _parts(children[0])[1] if children else ())

    def _shown(self, seen: list[float]) -> list[float]:
        """Each bucket with all below it, and the count of all; the sum where no observation can be below 0."""
        shown: list[float] = []
        for start in range(0, len(seen), len(self._bounds) + 1):
            *buckets, total = seen[start : start + len(self._bounds) + 1]
            cumulated = list(accumulate(buckets, initial=0.0))[1:]
            shown += [*cumulated, cumulated[-1], *([total] if self._bounds[0] >= 0 else [])]
        return shown


def children_of(metric: MetricWrapperBase) -> list[Any]:
    """What holds values: the children of a metric with labels, else the metric itself."""
    # Without prometheus_client's lock, for which a signal handler that makes a series would wait: a list of the values
    # of a dictionary is made in one step.
    return list(metric._metrics.values()) if metric._is_parent() else [metric]


def values_of(metric: Any) -> list[Any]:
    """The values of one child: first those that counters and gauges, then those that summaries and histograms have."""
    found = [getattr(metric, name, None) for name in ("_value", "_count", "_sum")]
    return [value for value in (*found, *getattr(metric, "_buckets", ())) if hasattr(value, "get_exemplar")]


def _parts(child: Any) -> tuple[list[MutexValue], Names]:
    """A child's values, and the names of the samples made of them, both in the order of prometheus_client."""
    name = child._name
    if isinstance(child, Histogram):
        bounds = tuple((f"{name}_bucket", floatToGoString(bound)) for bound in child._upper_bounds)
        sums = ((f"{name}_sum", ""),) if child._upper_bounds[0] >= 0 else ()
        return [*child._buckets, child._sum], (*bounds, (f"{name}_count", ""), *sums)
    if isinstance(child, Summary):
        return [child._count, child._sum], ((f"{name}_count", ""), (f"{name}_sum", ""))
    return [child._value], ((f"{name}_total" if isinstance(child, Counter) else name, ""),)


def has_function(gauge: Gauge) -> bool:
    """Whether ``set_function()`` gives its value."""
    return any("_child_samples" in vars(child) for child in children_of(gauge))


def exemplars_of(metric: MetricWrapperBase) -> exemplars.Lines:
    """The exemplars of a metric's children."""
    lines: exemplars.Lines = {}
    for child in children_of(metric) if type(metric) in {Counter, Histogram} else ():
        labels = tuple(zip(child._labelnames, child._labelvalues, strict=False))
        for held, (name, le) in zip(*_parts(child), strict=False):
            if found := held.get_exemplar():
                lines |= exemplars.written(name, (*labels, ("le", le)) if le else labels, found)
    return lines


_lock = Lock()
_families: WeakKeyDictionary[MetricWrapperBase, HeldFamily] = WeakKeyDictionary()


def read(metric: MetricWrapperBase) -> StoredFamily | None:
    """A metric's family, or None for one that gives its samples in a way of its own."""
    if type(metric) not in {Counter, Gauge, Summary, Histogram}:
        return None
    children = children_of(metric)
    if isinstance(metric, Gauge) and has_function(metric):
        return None
    if children and not all(type(value) is MutexValue for value in values_of(children[0])):
        return None
    with _lock:
        family = _families.get(metric)
        if family is None:
            family = _families[metric] = HeldFamily(metric)
        return family.read(metric)


def _after_fork_in_child() -> None:
    """What another thread of the parent was about to read is read anew."""
    global _lock
    _lock = Lock()
    _families.clear()


os.register_at_fork(after_in_child=_after_fork_in_child)
