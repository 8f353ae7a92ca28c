"""Info and Enum in the store: prometheus_client keeps them in no file, since neither has a number that could change.

In the text format both are gauges, and as such they are kept: each label set of an Info and each state of an Enum is a
series of its own, whose newest value over all living processes counts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import wraps
from time import time
from typing import Any

from prometheus_client import Enum, Info
from prometheus_client import values as client_values

from .values import SharedValue

Series = tuple[str, tuple[str, ...], tuple[str, ...]]  # the name of the sample; the names and values of its labels
MODE = "livemostrecent"
KEPT = "_observability_values"
UNSET = 0.0  # the time stamp of what nobody has set


def install() -> None:
    """Have each Info and Enum that is made or changed from now on kept in the store."""
    for kind, method in ((Info, "info"), (Enum, "state"), (Enum, "__init__")):
        change = getattr(kind, method)
        if not hasattr(change, "__wrapped__"):
            setattr(kind, method, _keeping(change))


def _keeping(change: Callable[..., None]) -> Callable[..., None]:
    @wraps(change)
    def change_and_keep(self: Any, *args: Any, **kwargs: Any) -> None:
        change(self, *args, **kwargs)
        if client_values.ValueClass is SharedValue:
            keep(self)

    return change_and_keep


def keep(child: Any) -> None:
    """Put what an Info or Enum says now into the store; of one with labels, that is up to its children."""
    if child._is_parent():
        return
    now = time()
    kept: dict[Series, SharedValue] = child.__dict__.setdefault(KEPT, {})
    for series in kept.keys() - dict(_said(child)).keys():
        kept[series].set(0.0, UNSET)
    for series, value in _said(child):
        if series not in kept:
            kept[series] = SharedValue("gauge", series[0], *series, child._documentation, MODE)
        kept[series].set(value, now)


def _said(child: Any) -> Iterator[tuple[Series, float]]:
    own = dict(zip(child._labelnames, child._labelvalues, strict=False))
    for sample in child._child_samples():
        labels = own | sample.labels
        if sample.labels:  # an Info that says nothing yet
            yield (child._name + sample.name, tuple(labels), tuple(map(str, labels.values()))), float(sample.value)
