"""Brings metrics that were made before the store was installed into it, with what they counted so far."""

from __future__ import annotations

from collections.abc import Iterator
from time import time
from typing import Any

from prometheus_client import CollectorRegistry, values
from prometheus_client.metrics import MetricWrapperBase

from observability.logs import warn


def adopt(registry: CollectorRegistry) -> None:
    """Have every metric of a registry record into the store from now on."""
    for child in _outside(registry):
        try:
            _adopt(child)
        except Exception as error:  # a class of the host's that cannot begin twice; the site starts all the same
            warn(f"adopt {child._name}", "The metric %r stays outside the shared store: %r", child._name, error)


def _adopt(child: Any) -> None:
    before = _values_of(child)
    child._metric_init()  # makes its values anew, of the class that is installed now
    for old, new in zip(before, _values_of(child), strict=True):
        _move(child, old.get(), new)


def _outside(registry: CollectorRegistry) -> Iterator[Any]:
    for collector in list(registry._collector_to_names):
        if isinstance(collector, MetricWrapperBase):
            for child in _children_of(collector):
                if any(not isinstance(value, values.ValueClass) for value in _values_of(child)):
                    yield child


def _children_of(metric: Any) -> list[Any]:
    """The objects that hold the values: the metric itself, or where it has labels, one for each series."""
    return list(metric._metrics.values()) if metric._is_parent() else [metric]


def _values_of(child: Any) -> list[Any]:
    """Its values in the order in which they are made."""
    held = (value if isinstance(value, list) else [value] for value in vars(child).values())
    return [value for several in held for value in several if hasattr(value, "inc") and hasattr(value, "get")]


def _move(child: Any, amount: float, new: Any) -> None:
    if child._type != "gauge":
        new.inc(amount)
    elif amount:  # a gauge that nobody set stays unset
        new.set(amount, time() if child._is_most_recent else None)
