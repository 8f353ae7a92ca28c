"""Reads the files of all processes: the keys of each file once, later only what changed."""

from __future__ import annotations

import fcntl
import os
import struct
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import accumulate, compress
from operator import add, ne
from pathlib import Path
from threading import Lock
from time import monotonic, sleep

from prometheus_client.metrics import Gauge
from prometheus_client.utils import floatToGoString

from observability.logs import warn

from . import fileformat
from .families import ABSENT, Family, Labels, Names, StoredFamily

Slot = str | float  # of a sample within its series: its name, or the upper bound of its bucket
Shape = tuple[Slot, ...]

PATIENCE = 1.0  # seconds to wait for the lock of the folder
GAUGES_WITH_PID = {"all", "liveall"}
TYPES = {"counter", "histogram", "summary"}
ARCHIVE = "archive"  # stands for the process in the names of files that hold what dead processes counted
MARKER = "counter_folding.db"  # there while files are folded; prometheus_client fails on it, which is its purpose
LOCK = ".lock"  # held by whoever reads, and alone by whoever folds


class Kind:
    """What a file's name says: the type of its metrics, the mode of its gauges, the process."""

    def __init__(self, name: str) -> None:
        self.type, *rest = name.removesuffix(".db").split("_")
        self.mode, self.process = rest if self.type == "gauge" and len(rest) == 2 else ("", "_".join(rest))

    @property
    def known(self) -> bool:
        return self.type in TYPES or (self.type == "gauge" and self.mode in Gauge._MULTIPROC_MODES)

    @property
    def live(self) -> bool:
        """Whether its values mean nothing once the process is dead."""
        return self.mode.startswith("live")


class Series:
    """One series: where each file has its values, in the order of the files."""

    __slots__ = ("family", "files", "labels", "place", "shape", "shapes", "starts")

    def __init__(self, family: MergedFamily, labels: Labels) -> None:
        self.family, self.labels = family, labels
        self.files: list[SourceFile] = []
        self.starts = array("l")
        self.shape: Shape = ()
        self.shapes: list[Shape] | None = None  # of each file, where they differ
        self.place = -1

    def add(self, file: SourceFile, start: int, shape: Shape) -> None:
        """A file that has it; files are in the order of the folder, so that every reader adds in the same order."""
        at = len(self.files)
        while at and self.files[at - 1].rank > file.rank:
            at -= 1
        self.family.unsorted = True
        if shape != self.shape and self.shapes is None:
            self.shapes = [self.shape] * len(self.files)
        self.files.insert(at, file)
        self.starts.insert(at, start)
        if self.shapes is not None:
            self.shapes.insert(at, shape)
            self._reshape(shape)

    def _reshape(self, shape: Shape) -> None:
        """Names come first, then bounds of buckets in their order."""
        slots = dict.fromkeys((*self.shape, *shape))
        bounds = sorted(slot for slot in slots if isinstance(slot, float))
        union: Shape = (*(slot for slot in slots if isinstance(slot, str)), *bounds)
        if all(one == union for one in self.shapes or ()):
            self.shapes = None
        if union != self.shape:
            self.shape = union
            self.family.misplaced = self.family.misplaced or self.place >= 0

    def keep(self, files: set[SourceFile]) -> None:
        """Forget all other files."""
        kept = [file in files for file in self.files]
        self.files = list(compress(self.files, kept))
        self.starts = array("l", compress(self.starts, kept))
        if self.shapes is not None:
            self.shapes = list(compress(self.shapes, kept))

    @property
    def order(self) -> tuple[int, int]:
        """Where it comes first in the files."""
        return self.files[0].rank, self.starts[0]

    def sort(self) -> None:
        """Put the files into the order of the folder."""
        order = sorted(range(len(self.files)), key=lambda at: self.files[at].rank)
        self.files = [self.files[at] for at in order]
        self.starts = array("l", [self.starts[at] for at in order])
        if self.shapes is not None:
            self.shapes = [self.shapes[at] for at in order]
        self.family.unsorted = True

    def sums(self) -> Sequence[float]:
        """The sum over the files for each slot; no built-in ``sum``, which rounds in another way since Python 3.12."""
        if self.shapes is not None:
            return self._sums_by_slot(self.shapes)
        width = len(self.shape)
        if width == 1:
            total = 0.0
            for file, start in zip(self.files, self.starts, strict=True):
                total += file.values[start]
            return (total,)
        totals = [0.0] * width
        for file, start in zip(self.files, self.starts, strict=True):
            totals = list(map(add, totals, file.values[start : start + width]))
        return totals

    def _sums_by_slot(self, shapes: list[Shape]) -> Sequence[float]:
        totals = dict.fromkeys(self.shape, 0.0)
        for file, start, shape in zip(self.files, self.starts, shapes, strict=True):
            for number, slot in enumerate(shape, start):
                totals[slot] += file.values[number]
        return list(totals.values())

    def all_values(self) -> list[float]:
        """The value in each file, of a series that has one sample."""
        return [file.values[start] for file, start in zip(self.files, self.starts, strict=True)]


def _buckets(series: Series) -> Sequence[float]:
    """A histogram's buckets, each with all below it, and the count of all."""
    values = series.sums()
    names = sum(isinstance(slot, str) for slot in series.shape)
    cumulated = list(accumulate(values[names:]))
    return [*values[:names], *cumulated, *cumulated[-1:]]


def _most_recent(series: Series) -> Sequence[float]:
    """The value with the highest time stamp; none while nobody has set it."""
    latest, found = 0.0, ABSENT
    for file, start in zip(series.files, series.starts, strict=True):
        if file.stamps[start] > latest:
            latest, found = file.stamps[start], file.values[start]
    return (found,)


MERGES: dict[str, Callable[[Series], Sequence[float]]] = {
    "": Series.sums,
    "sum": Series.sums,
    "min": lambda series: (_first_best(series.all_values(), float.__lt__),),
    "max": lambda series: (_first_best(series.all_values(), float.__gt__),),
    "all": lambda series: series.all_values()[-1:],
    "mostrecent": _most_recent,
    "histogram": _buckets,
}


def _first_best(values: list[float], better: Callable[[float, float], bool]) -> float:
    """As prometheus_client compares: NaN is what it is when it comes first, and nothing after."""
    best = values[0]
    for value in values:
        if better(value, best):
            best = value
    return best


class MergedFamily(Family):
    """A metric over all files."""

    def __init__(self, name: str, documentation: str, kind: Kind) -> None:
        super().__init__(name, documentation, kind.type)
        self.series: dict[Labels, Series] = {}
        self.changed: set[Series] = set()
        self.misplaced = False  # a series is gone, has other samples than before, or another place among the others
        self.unsorted = False
        self.helps: dict[SourceFile, str] = {}
        self.merge = MERGES["histogram" if kind.type == "histogram" else kind.mode.removeprefix("live")]

    def locate(self, labels: Labels) -> Series:
        """The series with these labels."""
        found = self.series.get(labels)
        if found is None:
            found = self.series[labels] = Series(self, labels)
        return found

    def render(self) -> StoredFamily:
        """Format what changed."""
        if self.unsorted:
            self._sort()
        if self.misplaced:
            self.clear()
            self._place(self.series.values())
            self.misplaced = False
        if self.changed:
            everything = len(self.changed) == len(self.series)
            self._format(self.series.values() if everything else self.changed)
        self.changed = set()
        return self.snapshot()

    def order(self) -> tuple[int, int]:
        """Where it comes first in the files."""
        return next(iter(self.series.values())).order

    def _sort(self) -> None:
        """The order of the files, as prometheus_client has it; new series are at the end, mostly to stay there."""
        self.unsorted = False
        ordered = sorted(self.series.values(), key=lambda series: series.order)
        if ordered != list(self.series.values()):
            self.series = {series.labels: series for series in ordered}
            self.misplaced = True
        else:
            self._place(series for series in ordered if series.place < 0)
        self.documentation = self.helps[min(self.helps, key=lambda file: file.rank)]

    def _place(self, series: Iterable[Series]) -> None:
        for one in series:
            one.place = self.add(one.labels, self._names(one.shape))
            self.changed.add(one)

    def _format(self, changed: Iterable[Series]) -> None:
        merge, put = self.merge, self.put
        for series in changed:
            put(series.place, merge(series))

    def _names(self, shape: Shape) -> Names:
        names = [(slot, "") for slot in shape if isinstance(slot, str)]
        bounds = [(f"{self.name}_bucket", floatToGoString(slot)) for slot in shape if isinstance(slot, float)]
        return _shared((*names, *bounds, *([(f"{self.name}_count", "")] if bounds else [])))


_known_names: dict[Names, Names] = {}


def _shared(names: Names) -> Names:
    return _known_names.setdefault(names, names)


Located = tuple[Series, Slot, str]  # the place of a sample, and the help text


class SourceFile:
    """One file of one process, as far as it was read."""

    def __init__(self, path: str, inode: int) -> None:
        self.path, self.inode = path, inode
        self.kind = Kind(os.path.basename(path))  # noqa: PTH119
        self.rank = 0
        self.own = False  # written by this app, not by prometheus_client
        self.final = False  # its process is dead and all is read
        self.values: list[float] = []
        self.stamps: Sequence[float] = ()
        self.series: list[Series] = []
        self._mark: bytes | None = None
        self._used = fileformat.HEADER.size
        self._unpack: Callable[[bytes], tuple[float, ...]] = struct.Struct("").unpack_from
        self._pattern: list[str] = []

    def read(self, reader: Reader, descriptor: int) -> None:
        """Take in what changed since the last time; raises ``Damaged``."""
        if not self.kind.known:
            raise fileformat.Damaged("its name is none of the store's")
        size = os.fstat(descriptor).st_size
        header = os.pread(descriptor, fileformat.HEADER.size, 0)
        if len(header) < fileformat.HEADER.size:
            raise fileformat.Damaged(f"it has {size} bytes")
        used, tag = fileformat.HEADER.unpack(header)
        self.own = tag == fileformat.TAG
        dead = self.own and (self.kind.process.startswith(ARCHIVE) or not _is_locked(descriptor))
        mark = os.pread(descriptor, fileformat.CELL, size - fileformat.CELL) if self.own else None
        if mark is None or mark != self._mark or used != self._used or dead:
            self._take(reader, os.pread(descriptor, used, 0) if 0 < used <= size else b"", used)
        self._mark, self.final = mark, dead

    def _take(self, reader: Reader, data: bytes, used: int) -> None:
        if len(data) < used or used < self._used or used % fileformat.CELL:
            raise fileformat.Damaged(f"{used} bytes are said to be in use")
        new = len(self.series)
        if used > self._used:
            self._plan(reader, data, used)
        values = self._unpack(data)
        if self.kind.mode.endswith("mostrecent"):
            values, self.stamps = values[::2], values[1::2]
            reader.touched.update(self.series)
        else:
            reader.touched.update(compress(self.series, map(ne, self.values, values)))
        reader.touched.update(self.series[new:])
        self.values = list(values)

    def _plan(self, reader: Reader, data: bytes, used: int) -> None:
        """Find the series of new entries; those of one series follow each other."""
        locate = reader.locator(self.kind)
        run: list[Slot] = []
        current, start, width = None, len(self.series), "dd" if self.kind.mode.endswith("mostrecent") else "d8x"
        position = self._used
        for key, cell in fileformat.entries(data, position, used):
            series, slot, documentation = locate(key)
            if series is not current:
                if current is not None:
                    current.add(self, start, reader.shape(run))
                current, start, run = series, len(self.series), []
                series.family.helps.setdefault(self, documentation)
            run.append(slot)
            self._pattern.append(f"{cell * fileformat.CELL - position}x{width}")
            position = (cell + 2) * fileformat.CELL
            self.series.append(series)
        if current is not None:
            current.add(self, start, reader.shape(run))
        self._used = used
        self._unpack = struct.Struct(f"={fileformat.HEADER.size}x{''.join(self._pattern)}").unpack_from


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        pass  # another user's
    return True


def _is_locked(descriptor: int) -> bool:
    """Whether the process that writes the file lives: the kernel frees its lock, however it ends."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    fcntl.flock(descriptor, fcntl.LOCK_UN)
    return False


class Reader:
    """The store in one folder, read again and again."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.process = os.getpid()
        self.files: dict[str, SourceFile] = {}
        self.families: dict[str, MergedFamily] = {}
        self.damaged = 0  # files put aside, until they are counted
        self.touched: set[Series] = set()
        self._ignored: set[tuple[str, int]] = set()
        self._shapes: dict[Shape, Shape] = {}
        self._located: dict[tuple[str, str], dict[bytes, Located]] = {}
        self._lock = Lock()

    def read(self) -> list[StoredFamily]:
        """Every metric of all files, in the order of the files, as prometheus_client gives them."""
        with self._lock, locked(self.folder, fcntl.LOCK_SH):
            self._scan()
            for series in self.touched:
                series.family.changed.add(series)
            self.touched = set()
            self._located = {}
            for family in self.families.values():
                family.render()
            ordered = sorted(self.families.values(), key=MergedFamily.order)
            return [family.snapshot() for family in ordered]

    def dead_files(self) -> int:
        """The number of files of dead processes that the last scrape saw."""
        return sum(file.final and not file.kind.process.startswith(ARCHIVE) for file in list(self.files.values()))

    def take_damaged(self) -> int:
        """The number of files put aside since this was last asked."""
        with self._lock:
            found, self.damaged = self.damaged, 0
            return found

    def processes(self) -> list[int]:
        """The ids of living processes."""
        self.read()
        names = {file.kind.process.partition("-")[0] for file in self.files.values() if not file.final}
        return [int(name) for name in names if name.isdecimal() and (os.getpid() == int(name) or _runs(int(name)))]

    def _scan(self) -> None:
        found = list(listed(self.folder))
        names = {(name, inode) for name, inode in found}
        self._forget([file for name, file in self.files.items() if (name, file.inode) not in names])
        self._rank(name for name, _ in found)
        for rank, (name, inode) in enumerate(found):
            if (name, inode) not in self._ignored:
                self._read_one(name, inode, rank)

    def _rank(self, names: Iterable[str]) -> None:
        before = -1
        sorted_ = True
        for rank, name in enumerate(names):
            if file := self.files.get(name):
                sorted_, before, file.rank = sorted_ and file.rank > before, file.rank, rank
        if not sorted_:
            for family in self.families.values():
                for series in family.series.values():
                    series.sort()

    def _read_one(self, name: str, inode: int, rank: int) -> None:
        file = self.files.get(name)
        if file and file.final:
            return
        if file is None:
            file = SourceFile(str(self.folder / name), inode)
            file.rank = rank
        try:
            with opened(file.path) as descriptor:
                file.read(self, descriptor)
            self.files[name] = file
        except FileNotFoundError:
            self._forget([file])
        except (fileformat.Damaged, OSError, struct.error) as error:
            self._put_aside(name, inode, error)
            self._forget([file])
        else:
            if file.final and file.kind.live:
                self._forget([file], keep=True)

    def _forget(self, gone: Sequence[SourceFile], *, keep: bool = False) -> None:
        """Take files out of all sums."""
        if not gone:
            return
        all_series = {series for file in gone for series in file.series}
        for family in {series.family for series in all_series}:
            family.unsorted = True
            for file in gone:
                family.helps.pop(file, None)
        for series in all_series:
            series.keep(set(series.files).difference(gone))
            self._drop_if_empty(series)
        for file in gone:
            file.series, file.values = [], []
            if not keep:
                self.files.pop(os.path.basename(file.path), None)  # noqa: PTH119

    def _drop_if_empty(self, series: Series) -> None:
        family = series.family
        if series.files:
            self.touched.add(series)
            return
        self.touched.discard(series)
        family.changed.discard(series)
        family.series.pop(series.labels, None)
        family.misplaced = True
        if not family.series:
            self.families.pop(family.name, None)

    def _put_aside(self, name: str, inode: int, error: Exception) -> None:
        """A damaged file is renamed, so that nobody reads it; that of a living process is only left out."""
        self._ignored.add((name, inode))
        self.damaged += 1
        warn(f"damaged {name}", "The file %r of the shared store is damaged, and left out: %s", name, error)
        with suppress(OSError):
            (self.folder / name).rename(self.folder / f"{name}.damaged")

    def locator(self, kind: Kind) -> Callable[[bytes], Located]:
        """Finds the series and the slot of a key."""
        pid = kind.process if kind.mode in GAUGES_WITH_PID else ""
        cache = self._located.setdefault((kind.type + kind.mode, pid), {})

        def locate(key: bytes) -> Located:
            found = cache.get(key)
            if found is None:
                found = cache[key] = self._locate(kind, key)
            return found

        return locate

    def _locate(self, kind: Kind, key: bytes) -> Located:
        metric, sample, labels, documentation = fileformat.parse_key(key)
        slot: Slot = sample
        if kind.type == "histogram" and "le" in labels:
            slot = _bound(labels.pop("le"))
        elif kind.type == "gauge":
            labels.pop("pid", None)
        pairs = tuple(sorted(labels.items()))
        if kind.mode in GAUGES_WITH_PID:
            pairs = (*pairs, ("pid", kind.process))
        family = self.families.get(metric)
        if family is None:
            family = self.families[metric] = MergedFamily(metric, documentation, kind)
        return family.locate(pairs), slot, documentation

    def shape(self, slots: Sequence[Slot]) -> Shape:
        """One object for all equal shapes."""
        shape = tuple(slots)
        return self._shapes.setdefault(shape, shape)


def _bound(text: str) -> float:
    try:
        return float(text)
    except ValueError as error:
        raise fileformat.Damaged(f"a bucket has the bound {text!r:.50}") from error


def listed(folder: Path) -> Iterator[tuple[str, int]]:
    """Names and inodes, in the order of the folder."""
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.name.endswith(".db") and not entry.name.startswith(".") and entry.name != MARKER:
                    yield entry.name, entry.inode()
    except OSError as error:
        warn("store folder", "The folder of the shared store cannot be read: %s", error)


def is_dead(path: Path) -> bool:
    """Whether a file is one of ours, and its process has ended."""
    with suppress(OSError), opened(str(path)) as descriptor:
        header = os.pread(descriptor, fileformat.HEADER.size, 0)
        return header.endswith(fileformat.TAG) and not _is_locked(descriptor)
    return False


@contextmanager
def opened(path: str, flags: int = os.O_RDONLY) -> Iterator[int]:
    """A descriptor for the length of a block."""
    descriptor = os.open(path, flags, 0o666)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


@contextmanager
def locked(folder: Path, how: int) -> Iterator[bool]:
    """Hold the lock of the folder, if it can be had in time: readers share it, a fold has it alone."""
    try:
        descriptor = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT, 0o666)
    except OSError:
        yield False
        return
    try:
        yield _lock_in_time(descriptor, how)
    finally:
        os.close(descriptor)


def _lock_in_time(descriptor: int, how: int) -> bool:
    """Whether the lock could be had: a process that was stopped while it held it must not stop all others."""
    deadline = monotonic() + PATIENCE
    while True:
        try:
            fcntl.flock(descriptor, how | fcntl.LOCK_NB)
        except BlockingIOError:
            if monotonic() > deadline:
                return False
            sleep(0.001)
        except OSError:
            return False
        else:
            return True
