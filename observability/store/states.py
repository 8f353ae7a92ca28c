"""Info and Enum in the store: prometheus_client keeps them in no file, since neither has a number that could change.

In the text format both are gauges, and as such they are kept: each label set of an Info and each state of an Enum is a
series of its own, whose newest value over all living processes counts. The first state of an Enum, which a process has
by declaring it, is older than any that was set.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import wraps
from time import time
from typing import Any

from prometheus_client import Enum, Info
from prometheus_client import values as client_values

from observability.logs import warn

from .values import SharedValue

Series = tuple[str, tuple[str, ...], tuple[str, ...]]  # the name of the sample; the names and values of its labels
MODE = "livemostrecent"
KEPT = "_observability_values"
UNSET = 0.0  # the time stamp of what nobody has set
INITIAL = 1.0  # of what was so from the start: any process says it that only starts, and must hide no later state


def install() -> None:
    """Have each Info and Enum that is made or changed from now on kept in the store."""
    for kind, method, clock in ((Info, "info", time), (Enum, "state", time), (Enum, "__init__", lambda: INITIAL)):
        change = getattr(kind, method)
        if not hasattr(change, "__wrapped__"):
            setattr(kind, method, _keeping(change, clock))


def _keeping(change: Callable[..., None], clock: Callable[[], float]) -> Callable[..., None]:
    @wraps(change)
    def change_and_keep(self: Any, *args: Any, **kwargs: Any) -> None:
        change(self, *args, **kwargs)
        try:
            if client_values.ValueClass is SharedValue:
                keep(self, clock())
        except Exception as error:  # a class of the host's that is not what it seems
            warn(f"keep {self._name}", "The metric %r cannot be kept in the shared store: %r", self._name, error)

    return change_and_keep


def keep(child: Any, timestamp: float = INITIAL) -> None:
    """Put what an Info or Enum says into the store; of one with labels, that is up to its children."""
    if child._is_parent():
        return
    said = dict(_said(child))
    before: dict[Series, SharedValue] = child.__dict__.get(KEPT, {})
    for series in before.keys() - said.keys():
        before[series].set(0.0, UNSET)
    kept = {series: before.get(series) or _value(series, child._documentation) for series in said}
    child.__dict__[KEPT] = kept
    for series, value in said.items():
        kept[series].set(value, timestamp)


def _value(series: Series, documentation: str) -> SharedValue:
    return SharedValue("gauge", series[0], *series, documentation, MODE)


def _said(child: Any) -> Iterator[tuple[Series, float]]:
    own = dict(zip(child._labelnames, child._labelvalues, strict=False))
    for sample in child._child_samples():
        labels = own | sample.labels
        if sample.labels:  # an Info that says nothing yet
            yield (child._name + sample.name, tuple(labels), tuple(map(str, labels.values()))), float(sample.value)
