"""Reads the metrics of this process where there is no folder: only what changed since the last time is formatted."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate, compress
from operator import ne
from typing import Any
from weakref import WeakKeyDictionary

from prometheus_client import Counter, Gauge, Histogram, Summary
from prometheus_client.metrics import MetricWrapperBase
from prometheus_client.utils import floatToGoString
from prometheus_client.values import MutexValue

from .families import Family, Names, StoredFamily


class HeldFamily(Family):
    """A metric of one of prometheus_client's types, with all its children."""

    def __init__(self, metric: MetricWrapperBase) -> None:
        super().__init__(metric._name, metric._documentation, str(metric._type))
        self.metric = metric
        self._children: list[Any] = []
        self._held: list[MutexValue] = []
        self._seen: list[float | None] = []
        self._width = self._shown = 1

    def read(self) -> StoredFamily:
        """Format what changed."""
        children = children_of(self.metric)
        if children != self._children:
            self._plan(children)
        now: list[float | None] = [held._value for held in self._held]
        changed = compress(range(len(now)), map(ne, self._seen, now))
        self._seen = now
        for number in dict.fromkeys(at // self._width for at in changed):
            values = now[number * self._width : (number + 1) * self._width]
            self.put(number * self._shown, _shown(self.metric, values))
        return self.snapshot()

    def _plan(self, children: list[Any]) -> None:
        """New children come at the end, or else somebody removed some."""
        known = len(self._children)
        if children[:known] != self._children:
            self.clear()
            self._held, self._seen, known = [], [], 0
        for child in children[known:]:
            held, names = _parts(child)
            self._width, self._shown = len(held), len(names)
            self._held += held
            self._seen += [None] * len(held)
            self.add(tuple(zip(child._labelnames, child._labelvalues, strict=False)), names)
        self._children = children


def children_of(metric: MetricWrapperBase) -> list[Any]:
    """What holds values: the children of a metric with labels, else the metric itself."""
    if metric._is_parent():
        with metric._lock:
            return list(metric._metrics.values())
    return [metric]


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


def _shown(metric: MetricWrapperBase, values: Sequence[Any]) -> Sequence[float]:
    if not isinstance(metric, Histogram):
        return values
    *buckets, total = values
    cumulated = list(accumulate(buckets, initial=0.0))[1:]
    return [*cumulated, cumulated[-1], *([total] if metric._upper_bounds[0] >= 0 else [])]


def has_function(gauge: Gauge) -> bool:
    """Whether ``set_function()`` gives its value."""
    return any("_child_samples" in vars(child) for child in children_of(gauge))


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
    return _families.setdefault(metric, HeldFamily(metric)).read()
