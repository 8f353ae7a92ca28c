"""Reads the files of all processes: the keys of each file once, later only what changed."""

from __future__ import annotations

import fcntl
import os
import struct
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import reduce
from itertools import accumulate, chain, repeat
from operator import add, itemgetter, or_
from pathlib import Path
from threading import Lock
from time import monotonic, sleep
from weakref import WeakValueDictionary

from prometheus_client.metrics import Gauge
from prometheus_client.utils import floatToGoString

from observability.logs import warn

from . import fileformat
from .families import ABSENT, Family, Labels, Names, StoredFamily

Slot = str | float  # of a sample within its series: its name, or the upper bound of its bucket
Shape = tuple[Slot, ...]
Source = tuple["SourceFile", int]  # a file, and the number of an entry in it
NO_VALUE = -1
DEPTH = 32  # iterators within each other, at most

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


class Column:
    """What one file has of one metric: series by their number in the family, and where their samples begin."""

    __slots__ = ("help", "pick", "series", "shapes", "starts")

    def __init__(self, documentation: str) -> None:
        self.help = documentation
        self.series, self.starts = array("i"), array("i")
        self.shapes: list[Shape] = []  # one where all series have the same
        self.pick: Pick = tuple

    def add(self, series: int, start: int, shape: Shape) -> None:
        """Samples of one series that follow each other."""
        if self.shapes != [shape]:
            if len(self.shapes) <= 1 and len(self.series):
                self.shapes = self.shapes * len(self.series)
            self.shapes.append(shape)
        self.series.append(series)
        self.starts.append(start)

    def runs(self) -> Iterator[tuple[int, int, Shape]]:
        """All that was added."""
        shapes = self.shapes if len(self.shapes) == len(self.series) else repeat(self.shapes[0], len(self.series))
        return zip(self.series, self.starts, shapes, strict=True)

    def is_aligned(self, shape: Shape, places: dict[int, int]) -> bool:
        """Whether it has all series in their order, one after another."""
        first, width, count = self.starts[0], len(shape), len(places)
        return (
            self.shapes == [shape]
            and self.starts == array("i", range(first, first + width * count, width))
            and list(map(places.__getitem__, self.series)) == list(range(count))
        )


OfBuckets = Callable[[Sequence[float]], list[float]]
Pick = Callable[[Sequence[float]], Sequence[float]]  # the values of a family, in its order, from those of a file


class MergedFamily(Family):
    """A metric over all files."""

    def __init__(self, name: str, documentation: str, kind: Kind) -> None:
        super().__init__(name, documentation, kind.type)
        self.columns: dict[SourceFile, Column] = {}
        self.changed = self.rearranged = True
        self._choose = CHOICES.get(kind.mode.removeprefix("live"))  # None: values are added up
        self._numbers: dict[Labels, int] = {}
        self._shape: Shape = ()
        self._bounds = 0  # how many of the shape are bounds of buckets
        self._absent: list[bool] = []  # which of the shown values no file has, where files differ
        self._sources: list[list[Source]] = []

    def number(self, labels: Labels) -> int:
        """The number of a series."""
        return self._numbers.setdefault(labels, len(self._numbers))

    def order(self) -> tuple[int, int]:
        """Where it comes first in the files."""
        file, column = next(iter(self.columns.items()))
        return file.rank, column.starts[0]

    def render(self) -> None:
        """Format what changed."""
        if self.rearranged:
            self._rearrange()
        if self.changed:
            self.put(self._merged(), may_be_absent=bool(self._choose or self._absent))
        self.changed = self.rearranged = False

    # Which series there are, and which samples they have

    def _rearrange(self) -> None:
        """Series in the order in which they come in the files, as prometheus_client has it."""
        self.columns = dict(sorted(self.columns.items(), key=lambda item: item[0].rank))
        self.documentation = next(iter(self.columns.values())).help
        self._reshape()
        order = dict.fromkeys(chain.from_iterable(column.series for column in self.columns.values()))
        by_number = list(self._numbers)
        self.arrange([by_number[number] for number in order], self._sample_names())
        places = {number: place for place, number in enumerate(order)}
        if len(by_number) > 2 * len(places):
            places = self._renumber(places)
        self._find(places) if self._choose else self._align(places)
        self.changed = True

    def _renumber(self, places: dict[int, int]) -> dict[int, int]:
        """Forget series that no file has any longer, as those of gauges of dead processes."""
        self._numbers = {labels: number for number, labels in enumerate(self.series)}
        for column in self.columns.values():
            column.series = array("i", map(places.__getitem__, column.series))
        return {number: number for number in places.values()}

    def _reshape(self) -> None:
        """All sample names, and after them all bounds of buckets in their order."""
        shapes = dict.fromkeys(shape for column in self.columns.values() for shape in column.shapes)
        slots = dict.fromkeys(chain.from_iterable(shapes))
        bounds = sorted(slot for slot in slots if isinstance(slot, float))
        self._shape = (*(slot for slot in slots if isinstance(slot, str)), *bounds)
        self._bounds = len(bounds)

    def _sample_names(self) -> Names:
        names = [(slot, "") for slot in self._shape if isinstance(slot, str)]
        bounds = [(f"{self.name}_bucket", floatToGoString(slot)) for slot in self._shape if isinstance(slot, float)]
        return (*names, *bounds, *([(f"{self.name}_count", "")] if bounds else []))

    def _find(self, places: dict[int, int]) -> None:
        """Where each value is, in the order of the files."""
        self._sources = [[] for _ in places]
        for file, column in self.columns.items():
            for series, start, _ in column.runs():
                self._sources[places[series]].append((file, start))

    def _align(self, places: dict[int, int]) -> None:
        """Have each column know where it has the values in the order of the series."""
        size = len(self._shape) * len(places)
        found = bytearray(size)
        for column in self.columns.values():
            if column.is_aligned(self._shape, places):
                column.pick = itemgetter(slice(column.starts[0], column.starts[0] + size))
                found = bytearray(b"\1" * size)
            else:
                numbers = self._aligned(column, places, [NO_VALUE] * size)
                column.pick = itemgetter(*numbers) if size > 1 else itemgetter(slice(numbers[0], None))
                found = bytearray(map(or_, found, map(NO_VALUE.__ne__, numbers)))
        self._absent = [] if all(found) else [not at for at in self._shown(found, _found)]

    def _aligned(self, column: Column, places: dict[int, int], numbers: list[int]) -> list[int]:
        width = len(self._shape)
        slots = {slot: at for at, slot in enumerate(self._shape)}
        for series, start, shape in column.runs():
            base = places[series] * width
            if shape is self._shape or shape == self._shape:
                numbers[base : base + width] = range(start, start + width)
            else:
                for number, slot in enumerate(shape, start):
                    numbers[base + slots[slot]] = number
        return numbers

    # Their values

    def _merged(self) -> list[float]:
        if self._choose:
            return list(map(self._choose, self._sources))
        totals: Iterable[float] = repeat(0.0, len(self._shape) * len(self.series))
        for number, (file, column) in enumerate(self.columns.items()):
            totals = map(add, totals, column.pick(file.values))  # ``sum`` rounds in another way since Python 3.12
            if number % DEPTH == DEPTH - 1:
                totals = list(totals)
        shown = self._shown(list(totals), _cumulated)
        if self._absent:
            return [ABSENT if absent else value for absent, value in zip(self._absent, shown, strict=True)]
        return shown

    def _shown(self, values: Sequence[float], buckets_and_count: OfBuckets) -> list[float]:
        """What is shown of a series: a histogram has its count after its buckets."""
        if not self._bounds:
            return list(values)
        names = len(self._shape) - self._bounds
        shown: list[float] = []
        for start in range(0, len(values), len(self._shape)):
            shown += values[start : start + names]
            shown += buckets_and_count(values[start + names : start + len(self._shape)])
        return shown


def _cumulated(buckets: Sequence[float]) -> list[float]:
    """Each bucket with all below it, and the count of all."""
    cumulated = list(accumulate(buckets))
    return [*cumulated, cumulated[-1]]


def _found(buckets: Sequence[float]) -> list[float]:
    """Which buckets there are, and whether there is a count."""
    return [*buckets, max(buckets)]


def _least(sources: list[Source]) -> float:
    return reduce(lambda best, value: value if value < best else best, _values(sources))


def _greatest(sources: list[Source]) -> float:
    return reduce(lambda best, value: value if value > best else best, _values(sources))


def _values(sources: list[Source]) -> list[float]:
    return [file.values[number] for file, number in sources]


def _last(sources: list[Source]) -> float:
    return _values(sources)[-1]


def _most_recent(sources: list[Source]) -> float:
    """The value with the highest time stamp; none while nobody has set it."""
    latest, found = 0.0, ABSENT
    for file, number in sources:
        if file.stamps[number] > latest:
            latest, found = file.stamps[number], file.values[number]
    return found


CHOICES: dict[str, Callable[[list[Source]], float]] = {
    "min": _least,
    "max": _greatest,
    "all": _last,
    "mostrecent": _most_recent,
}


Located = tuple[MergedFamily, int, Slot, str]  # the family, the number of the series, the sample, the help text


class SourceFile:
    """One file of one process, as far as it was read."""

    def __init__(self, path: str, inode: int) -> None:
        self.path, self.inode = path, inode
        self.kind = Kind(os.path.basename(path))  # noqa: PTH119
        self.rank = 0
        self.final = False  # its process is dead and all is read
        self.values: Sequence[float] = (0.0,)  # at the end, what it does not have
        self.stamps: Sequence[float] = ()
        self.families: set[MergedFamily] = set()
        self._mark: bytes | None = None
        self._used = fileformat.HEADER.size
        self._entries = 0
        self._layout = struct.Struct(f"={fileformat.HEADER.size}x")

    def read(self, reader: Reader, descriptor: int) -> None:
        """Take in what changed since the last time; raises ``Damaged``."""
        if not self.kind.known:
            raise fileformat.Damaged("its name is none of the store's")
        size = os.fstat(descriptor).st_size
        header = os.pread(descriptor, fileformat.HEADER.size, 0)
        if len(header) < fileformat.HEADER.size:
            raise fileformat.Damaged(f"it has {size} bytes")
        used, tag = fileformat.HEADER.unpack(header)
        own = tag == fileformat.TAG
        dead = own and (self.kind.process.startswith(ARCHIVE) or not _is_locked(descriptor))
        mark = os.pread(descriptor, fileformat.CELL, size - fileformat.CELL) if own else None
        if mark is None or mark != self._mark or used != self._used or dead:
            self._take(reader, os.pread(descriptor, used, 0) if 0 < used <= size else b"", used)
        self._mark, self.final = mark, dead

    def _take(self, reader: Reader, data: bytes, used: int) -> None:
        if len(data) < used or used < self._used or used % fileformat.CELL:
            raise fileformat.Damaged(f"{used} bytes are said to be in use")
        if used > self._used:
            self._plan(reader, data, used)
        values = self._layout.unpack_from(data)
        if self.kind.mode.endswith("mostrecent"):
            values, self.stamps = values[::2], values[1::2]
        values += (0.0,)
        if values != self.values or self.stamps:
            self.values = values
            for family in self.families:
                family.changed = True

    def _plan(self, reader: Reader, data: bytes, used: int) -> None:
        """Find the series of new entries; those of one series follow each other."""
        known, locate, number = *reader.locator(self.kind), self._entries
        cells, start = array("L"), number
        run: list[Slot] = []
        family: MergedFamily | None = None
        column, series = Column(""), NO_VALUE
        for key, cell in fileformat.entries(data, self._used, used):
            found = known.get(key) or locate(key)
            if found[1] != series or found[0] is not family or found[2] in run:
                if family is not None:
                    column.add(series, start, reader.shape(run))
                if found[0] is not family:
                    column = self._column(found[0], found[3])
                family, series, start, run = found[0], found[1], number, []
            run.append(found[2])
            cells.append(cell)
            number += 1
        if family is not None:
            column.add(series, start, reader.shape(run))
        self._layout = reader.layout(self._layout.format + self._pattern(cells))
        self._used, self._entries = used, number

    def _pattern(self, cells: array[int]) -> str:
        """How to skip from value to value."""
        width = "dd" if self.kind.mode.endswith("mostrecent") else "d8x"
        ends = [self._used // fileformat.CELL, *(cell + 2 for cell in cells)]
        return "".join(f"{(cell - end) * fileformat.CELL}x{width}" for cell, end in zip(cells, ends, strict=False))

    def _column(self, family: MergedFamily, documentation: str) -> Column:
        column = family.columns.get(self)
        if column is None:
            column = family.columns[self] = Column(documentation)
            self.families.add(family)
        family.rearranged = True
        return column


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
        self._ignored: set[tuple[str, int]] = set()
        self._shapes: dict[Shape, Shape] = {}
        self._layouts: WeakValueDictionary[str, struct.Struct] = WeakValueDictionary()
        self._located: dict[tuple[str, str], dict[bytes, Located]] = {}
        self._lock = Lock()

    def read(self) -> list[StoredFamily]:
        """Every metric of all files, in the order of the files, as prometheus_client gives them."""
        with self._lock, locked(self.folder, fcntl.LOCK_SH):
            self._scan()
            self._located = {}
            self.families = {name: family for name, family in self.families.items() if family.columns}
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
                family.rearranged = True

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
        for file in gone:
            for family in file.families:
                del family.columns[file]
                family.rearranged = True
            file.families, file.values = set(), ()
            if not keep:
                self.files.pop(os.path.basename(file.path), None)  # noqa: PTH119

    def _put_aside(self, name: str, inode: int, error: Exception) -> None:
        """A damaged file is renamed, so that nobody reads it; that of a living process is only left out."""
        self._ignored.add((name, inode))
        self.damaged += 1
        warn(f"damaged {name}", "The file %r of the shared store is damaged, and left out: %s", name, error)
        with suppress(OSError):
            (self.folder / name).rename(self.folder / f"{name}.damaged")

    def locator(self, kind: Kind) -> tuple[dict[bytes, Located], Callable[[bytes], Located]]:
        """The series and slots of keys that were seen in this scrape, and what finds the others."""
        pid = kind.process if kind.mode in GAUGES_WITH_PID else ""
        known = self._located.setdefault((kind.type + kind.mode, pid), {})

        def locate(key: bytes) -> Located:
            known[key] = found = self._locate(kind, key)
            return found

        return known, locate

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
        return family, family.number(pairs), slot, documentation

    def layout(self, pattern: str) -> struct.Struct:
        """Reads all values of a file at once; one object for all files of one layout."""
        found = self._layouts.get(pattern)
        if found is None:
            found = self._layouts[pattern] = struct.Struct(pattern)
        return found

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
    with suppress(OSError), path.open("rb") as file:
        return file.read(fileformat.HEADER.size).endswith(fileformat.TAG) and is_unlocked(path)
    return False


def is_unlocked(path: Path) -> bool:
    """Whether no process holds the lock of a file."""
    with suppress(OSError), opened(str(path)) as descriptor:
        return not _is_locked(descriptor)
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
