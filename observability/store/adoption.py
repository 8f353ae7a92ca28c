"""Brings metrics that were made before the store was installed into it, with what they counted so far."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from inspect import getclosurevars
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry, Enum, Info
from prometheus_client.metrics import MetricWrapperBase

from observability.logs import warn

from . import states
from .memory import children_of, values_of
from .values import SharedValue


def adopt(registry: CollectorRegistry) -> None:
    """Have every metric of a registry record into the store."""
    moved: list[Any] = []
    for child in _children(registry):
        try:
            if isinstance(child, Info | Enum):
                states.keep(child)
            elif _is_outside(child):
                moved += _adopt(child)
        except Exception as error:  # a class of the host's that cannot begin twice; the site starts all the same
            warn(f"adopt {child._name}", "The metric %r stays outside the shared store: %r", child._name, error)
    for values in {type(value) for value in moved}:
        try:
            _leave_files(values, moved)
        except Exception as error:  # another prometheus_client than ours, or no access; the site starts all the same
            warn("adopt files", "Files that prometheus_client wrote before the store was there stay: %r", error)


def _adopt(child: Any) -> list[Any]:
    """The values that it had before."""
    before, created = values_of(child), getattr(child, "_created", None)
    child._metric_init()  # makes its values anew, of the class that is installed now
    if created is not None:
        child._created = created
    for old, new in zip(before, values_of(child), strict=True):
        _move(child, old, new)
    return before


def _move(child: Any, old: Any, new: SharedValue) -> None:
    amount = old.get()
    if child._type != "gauge":
        new.inc(amount)
    elif amount:  # the store cannot tell a gauge that was set to 0 from one that nobody set
        new.set(amount, time.time() if child._is_most_recent else None)
    old.set(0.0)  # what prometheus_client already wrote into a file of its own counts once


def _leave_files(kind: type, moved: list[Any]) -> None:
    """Remove the files of prometheus_client's that this process wrote and needs no more: in them, gauges would be 0.

    They are closed as nothing keeps them any longer. One with a value that was not moved stays.
    """
    kept = getclosurevars(kind.close_all_files).nonlocals if hasattr(kind, "close_all_files") else {}
    if not kept.keys() >= {"files", "values", "lock"}:
        return
    gone = {id(value) for value in moved}
    with kept["lock"]:
        kept["values"][:] = [value for value in kept["values"] if id(value) not in gone]
        for name, file in list(kept["files"].items()):
            keys = {value._key for value in moved if getattr(value, "_file", None) is file}
            needed = any(value._file is file for value in kept["values"]) or not file._positions.keys() <= keys
            if not needed and file._fname.endswith(f"_{os.getpid()}.db"):
                del kept["files"][name]
                Path(file._fname).unlink(missing_ok=True)


def _children(registry: CollectorRegistry) -> Iterator[Any]:
    for collector in list(registry._collector_to_names):
        if isinstance(collector, MetricWrapperBase):
            yield from children_of(collector)


def _is_outside(child: Any) -> bool:
    return any(not isinstance(value, SharedValue) for value in values_of(child))


def left_out(registry: CollectorRegistry) -> list[str]:
    """The names of metrics that record elsewhere."""
    return sorted({child._name for child in _children(registry) if _is_outside(child)})
