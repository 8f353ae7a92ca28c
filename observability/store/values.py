"""The value class that prometheus_client uses for every metric of the process while the store has a folder."""

from __future__ import annotations

import os
from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from time import monotonic, time
from typing import Any

from prometheus_client.samples import Exemplar

from observability.logs import warn

from . import fileformat, files
from .exemplars import ExemplarFile
from .fileformat import MARK
from .files import INTERRUPTED, NOWHERE, PATIENCE, WHAT_TELLS_OF_FAULTS, File, Refused

# Metric and reason of samples that had no place, until they are counted. Appending cannot be interrupted; bounded,
# since a process that nobody scrapes may be refused for days.
refused: deque[tuple[str, str]] = deque(maxlen=100_000)

when_refused: Callable[[], object] = refused.__len__  # counts them; whoever has a metric for that sets it

_folder: Path | None = None
_files: dict[tuple[Path, str], File] = {}
_exemplar_files: dict[Path, ExemplarFile] = {}
_next_look = 0.0


class SharedValue:
    """A number in a file of this process, with the methods that prometheus_client asks for."""

    __slots__ = ("_cell", "_file", "_key")
    _multiprocess = True

    def __init__(
        self,
        typ: str,
        metric_name: str,
        name: str,
        labelnames: Sequence[str],
        labelvalues: Sequence[str],
        help_text: str,
        multiprocess_mode: str = "",
        **kwargs: Any,
    ) -> None:
        self._file = _file(f"{typ}_{multiprocess_mode}" if typ == "gauge" else typ)
        self._key = fileformat.make_key(metric_name, name, list(labelnames), list(labelvalues), help_text)
        self._cell = NOWHERE
        self._find_place()

    def inc(self, amount: float) -> None:
        """Add to the number."""
        now = monotonic()
        try:
            with files.lock:
                cells = self._file.cells
                cells[self._cell] += amount
                cells[MARK] = now
        except IndexError:
            if self._find_place(count=True):
                self.inc(amount)
        if now > _next_look:
            look()

    def rise(self, now: float) -> None:
        """Add one, for who has looked at the clock."""
        try:
            with files.lock:
                cells = self._file.cells
                cells[self._cell] += 1.0
                cells[MARK] = now
        except IndexError:
            self.inc(1)

    def fall(self) -> None:
        """Take one away, where there is one. Nothing is logged or counted under the lock, as others may wait for it."""
        with suppress(IndexError), files.lock:
            cells = self._file.cells
            if cells[self._cell] > 0.0:
                cells[self._cell] -= 1.0
                cells[MARK] = monotonic()

    def set(self, value: float, timestamp: float | None = None) -> None:
        """Replace the number."""
        now = monotonic()
        try:
            with files.lock:
                cells = self._file.cells
                cells[self._cell] = value
                cells[self._cell + 1] = timestamp or 0.0
                cells[MARK] = now
        except IndexError:
            if self._find_place(count=True):
                self.set(value, timestamp)
        if now > _next_look:
            look()

    def get(self) -> float:
        """The number, as this process alone has it."""
        try:
            return float(self._file.cells[self._cell])
        except IndexError:
            return 0.0

    def set_exemplar(self, exemplar: Exemplar) -> None:
        """Keep an example of what was counted."""
        _exemplars_in(self._file.folder).keep(self._key, exemplar)

    def get_exemplar(self) -> Exemplar | None:
        """Exemplars are read from their files, those of all processes."""
        return None

    def has_place(self) -> bool:
        """Whether what is recorded now is kept."""
        return self._cell < len(self._file.cells) or self._find_place()

    def _find_place(self, *, count: bool = False) -> bool:
        try:
            self._cell = self._file.place(self._key)
        except Refused as refusal:
            if count:
                _refuse(self._key, refusal.reason)
            return False
        return True


def _refuse(key: str, reason: str) -> None:
    """One observation of a histogram is refused once: its sum does not count."""
    metric, sample, *_ = fileformat.parse_key(key.encode())
    if not sample.endswith("_sum") and not key.startswith(WHAT_TELLS_OF_FAULTS):
        refused.append((sample if sample.endswith("_total") else metric, reason))
        if reason != INTERRUPTED:
            when_refused()


def _file(kind: str) -> File:
    where = _folder or Path()  # the class is installed with a folder only
    found = _files.get((where, kind))
    if found is None:
        found = _files[where, kind] = File(where, kind)
    return found


def _exemplars_in(folder: Path) -> ExemplarFile:
    return _exemplar_files.setdefault(folder, ExemplarFile(folder))


def on_refusal(count: Callable[[], object]) -> None:
    """Have this called after a sample was refused, but not within a signal handler that had to give way."""
    global when_refused
    when_refused = count


def folder() -> Path | None:
    """Where the values that are made now are kept."""
    return _folder


def use(folder: Path) -> None:
    """Keep the values that are made from now on in this folder."""
    global _folder
    _folder = folder


def look() -> None:
    """See to the files, not more often than once in ``PATIENCE``: somebody may have removed them."""
    global _next_look
    _next_look = monotonic() + PATIENCE
    for file in list(_files.values()):
        file.look()
    if refused:  # also by those whom nobody scrapes
        when_refused()
    for error in troubles():
        warn("store", "The shared store cannot be written, what has no place in it is refused: %s", error)


def can_keep(value: Any) -> bool:
    """Whether what is recorded in a value now is kept, in any store."""
    return not isinstance(value, SharedValue) or value.has_place()


def troubles() -> list[OSError]:
    """What keeps files of this process from being written."""
    return [file.error for file in list(_files.values()) if file.error]


class Buckets:
    """A histogram's values, for who adds to several metrics under one lock."""

    __slots__ = ("bounds", "buckets", "sum")

    def __init__(self, child: Any) -> None:
        self.bounds: Sequence[float] = child._upper_bounds
        self.buckets: Sequence[Any] = child._buckets
        self.sum: Any = child._sum

    def observe(self, value: float) -> None:
        """One observation, past prometheus_client's checks."""
        self.sum.inc(value)
        self.buckets[bisect_left(self.bounds, value)].inc(1)

    def exemplify(self, value: float, ids: dict[str, str]) -> None:
        """Keep an observation as the example of its bucket."""
        self.buckets[bisect_left(self.bounds, value)].set_exemplar(Exemplar(ids, value, round(time(), 3)))


def raiser(gauge: Any) -> Callable[[float], None]:
    """What adds one to a gauge, in any store, at a time by ``monotonic()``."""
    return gauge.rise if isinstance(gauge, SharedValue) else lambda now: gauge.inc(1)


def lower(gauge: Any) -> None:
    """One less, where there is one: what began while it had no place was not counted, nor is its end."""
    if isinstance(gauge, SharedValue):
        gauge.fall()
        return
    with files.lock:
        if gauge.get() > 0:
            gauge.inc(-1)


Record = Callable[[float, float | None, float], None]


def together(level: Any, counter: Any, one: Buckets, two: Buckets) -> Record:
    """What lowers a gauge, counts once and observes two numbers, in any store.

    It takes the two numbers, of which the second is None where it is unknown, and the time by ``monotonic()``.
    """

    def one_by_one(first: float, second: float | None, now: float) -> None:
        lower(level)
        counter.inc(1)
        one.observe(first)
        if second is not None:
            two.observe(second)

    return _at_once(level, counter, one, two, one_by_one) if isinstance(counter, SharedValue) else one_by_one


def _at_once(level: Any, counter: Any, one: Buckets, two: Buckets, one_by_one: Record) -> Record:
    """The same under one lock; a closure, since half of the time would go into looking up attributes."""
    levels, counts, observations = level._file, counter._file, one.sum._file
    bounds_one, bounds_two = one.bounds, two.bounds
    level_at = count_at = sum_one_at = sum_two_at = NOWHERE
    buckets_one: list[int] = []
    buckets_two: list[int] = []

    def find() -> None:
        nonlocal level_at, count_at, sum_one_at, sum_two_at, buckets_one, buckets_two
        level_at, count_at, sum_one_at, sum_two_at = level._cell, counter._cell, one.sum._cell, two.sum._cell
        buckets_one = [bucket._cell for bucket in one.buckets]
        buckets_two = [bucket._cell for bucket in two.buckets]

    def record(first: float, second: float | None, now: float) -> None:
        if second is None:
            one_by_one(first, second, now)
            return
        other = float(second)  # a whole number takes longer to compare
        one_at = buckets_one[bisect_left(bounds_one, first)]
        two_at = buckets_two[bisect_left(bounds_two, other)]
        try:
            with files.lock:
                cells, counted, leveled = observations.cells, counts.cells, levels.cells
                # All are read before any is changed: should one have no place, none is.
                level_now = leveled[level_at]
                count = counted[count_at]
                number_one = cells[one_at]
                number_two = cells[two_at]
                sum_one = cells[sum_one_at]
                sum_two = cells[sum_two_at]
                cells[one_at] = number_one + 1.0
                cells[two_at] = number_two + 1.0
                cells[sum_one_at] = sum_one + first
                cells[sum_two_at] = sum_two + other
                counted[count_at] = count + 1.0
                if level_now > 0.0:
                    leveled[level_at] = level_now - 1.0
                cells[MARK] = counted[MARK] = leveled[MARK] = now
        except IndexError:
            one_by_one(first, second, now)
            find()
        if now > _next_look:
            look()

    find()
    return record


def _after_fork_in_child() -> None:
    files.renew()
    refused.clear()  # the parent counts them
    for file in _files.values():
        file.leave_to_parent()
    for one in _exemplar_files.values():
        one.close()
    _exemplar_files.clear()


os.register_at_fork(after_in_child=_after_fork_in_child)


def _see_forks_of_uwsgi() -> None:
    """uWSGI forks its workers without telling Python, unless it is asked to."""
    uwsgi = import_module("uwsgi")  # within that server only
    other_hook = getattr(uwsgi, "post_fork_hook", None)

    def after_fork() -> None:
        _after_fork_in_child()
        if other_hook:
            other_hook()

    uwsgi.post_fork_hook = after_fork  # type: ignore[attr-defined]


with suppress(ImportError):
    _see_forks_of_uwsgi()
