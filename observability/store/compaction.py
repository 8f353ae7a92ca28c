"""Folds the files of dead processes into one archive for each kind, so that their number stays bounded.

A reader of prometheus_client's may look at any moment, and must never see a number twice or not at all. So, for each
kind of file:

1. a journal says what is going to be folded into which archive,
2. the archive is written under a name that nobody reads,
3. a marker appears, a damaged file: each scrape of prometheus_client's fails from here on, which no counter falls by,
4. the archive gets its name, which no earlier one had,
5. where its sums would come out lower than those of the files, in the last bit, they are raised by that bit,
6. the journal is renamed: from here on the fold is done, before it was not,
7. what was folded is removed, then the marker, then the journal.

Whoever finds a journal finishes what is done, and undoes what is not. Our own readers need no marker: the journal tells
them which files count.
"""

from __future__ import annotations

import fcntl
import math
import os
import struct
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from time import time

from observability.logs import warn

from . import exemplars, fileformat, journal
from .journal import DONE, MARKER, PREPARED, listed
from .locks import is_locked, is_unlocked, locked, opened
from .reader import ARCHIVE, Kind, Reader

DEAD_FILES = 4  # a process has about as many; with more of them it is time to fold
KEPT = 8  # files with gauges of mode "all" that outlive their process: each is a series of its own, so none is folded
SECONDS_TO_MAKE = 60.0  # after that, a file without its name yet was left by a process that was killed
MARKER_CONTENT = fileformat.HEADER.pack(1 << 20, b"") + fileformat.LENGTH.pack(1 << 30)

FAULTS = (
    OSError,
    fileformat.Damaged,
    struct.error,
    ValueError,
    TypeError,
)  # what a foreign file may raise

Entry = tuple[float, float]  # value, time stamp
Content = dict[bytes, Entry]


def fold_when_due(reader: Reader) -> None:
    """Fold after a scrape that saw many files of dead processes; what is wrong with them does not end the scrape."""
    if reader.dead_files() - _kept(reader) > DEAD_FILES:
        try:
            fold(reader.folder)
        except FAULTS as error:
            warn("store fold", "Files of dead processes cannot be folded: %s", error)


def _kept(reader: Reader) -> int:
    """How many of the dead files that the last scrape saw a fold would leave as they are."""
    return min(KEPT, sum(file.final and file.kind.mode == "all" for file in list(reader.files.values())))


def fold(folder: Path) -> None:
    """Fold all files of dead processes, unless another process does."""
    with locked(folder, fcntl.LOCK_EX) as alone:
        if alone:
            _mend(folder)
            for prefix, names in _dead(folder).items():
                _fold_kind(folder, prefix, names)
            exemplars.fold(folder, [path for path in exemplars.paths(folder) if is_unlocked(path)])
            _remove_unfinished(folder)


def mend(folder: Path) -> None:
    """Finish or undo the fold of a process that was killed in the middle, where this process has access."""
    with suppress(OSError):
        if any((folder / name).exists() for name in (PREPARED, DONE)):
            with locked(folder, fcntl.LOCK_EX) as alone:
                if alone:
                    _mend(folder)


def _mend(folder: Path) -> None:
    for name in (DONE, PREPARED):
        gone = journal.doubles(folder, name)
        if name == DONE:
            _mark_as_folded(folder, gone)
        _remove(folder, gone)
        (folder / MARKER).unlink(missing_ok=True)
        (folder / name).unlink(missing_ok=True)


def _mark_as_folded(folder: Path, names: Iterable[str]) -> None:
    """Have a process that lives, though it lost its lock, not make the file again with all that it held."""
    for name in names:
        with suppress(OSError), opened(folder / name, os.O_RDWR) as descriptor:
            os.pwrite(descriptor, fileformat.FOLDED, fileformat.LENGTH.size)


def _remove_unfinished(folder: Path) -> None:
    """A process that is just making a file makes it again, should it be so slow."""
    for path in folder.glob(".*.new"):
        with suppress(OSError):
            if time() - path.stat().st_mtime > SECONDS_TO_MAKE and is_unlocked(path):
                path.unlink()


def _dead(folder: Path) -> dict[str, list[str]]:
    """Names of files whose processes are dead, in the order of the folder, by the part that says their kind."""
    found = defaultdict(list)
    for name, _ in listed(folder):
        if Kind(name).known and not Kind(name).process.startswith(ARCHIVE) and _is_dead(folder / name):
            found[name.rpartition("_")[0]].append(name)
    return found


def _is_dead(path: Path) -> bool:
    """Whether a file is one of ours, and its process has ended."""
    with suppress(OSError), opened(path) as descriptor:
        return os.pread(descriptor, fileformat.HEADER.size, 0).endswith(fileformat.TAG) and not is_locked(descriptor)
    return False


def _fold_kind(folder: Path, prefix: str, names: list[str]) -> None:
    kind = Kind(f"{prefix}_{ARCHIVE}.db")
    if kind.live:
        _remove(folder, names)
    elif kind.mode == "all":
        _remove(folder, sorted(names, key=lambda name: (folder / name).stat().st_mtime)[:-KEPT])
    else:
        _Fold(folder, kind, prefix, names).run()


def _remove(folder: Path, names: Iterable[str]) -> None:
    for name in names:
        (folder / name).unlink(missing_ok=True)


class _Fold:
    """One fold, of files of one kind."""

    def __init__(self, folder: Path, kind: Kind, prefix: str, dead: Sequence[str]) -> None:
        self.folder, self.kind, self.prefix = folder, kind, prefix
        names = [name for name, _ in listed(folder) if name.rpartition("_")[0] == prefix]
        archives = [name for name in names if Kind(name).process.startswith(ARCHIVE)]
        self.contents = dict(_readable(folder, names))
        self.before = list(self.contents)
        self.old = [name for name in self.before if name in dead or name in archives]
        self.new = f"{prefix}_{ARCHIVE}-{max(map(_number, archives), default=0) + 1}.db"
        self.unseen = f".{self.new}.new"

    def run(self) -> None:
        """The steps of the module's docstring."""
        if not self.old:
            return
        archive = self._merged()
        self._write(PREPARED, journal.content(old=self.old, new=[self.new, self.unseen]))
        try:
            _write_archive(self.folder / self.unseen, archive)
            self._write(MARKER, MARKER_CONTENT)
            (self.folder / self.unseen).rename(self.folder / self.new)
            self._raise(archive)
        except BaseException:
            _mend(self.folder)  # as if it had been killed
            raise
        (self.folder / PREPARED).rename(self.folder / DONE)
        _mend(self.folder)

    def _write(self, name: str, content: bytes) -> None:
        temporary = self.folder / f"{PREPARED}.new"
        temporary.write_bytes(content)
        temporary.rename(self.folder / name)

    def _merged(self) -> Content:
        merged: Content = {}
        for name in self.old:
            for key, entry in self.contents[name].items():
                merged[key] = self._merge(merged[key], entry) if key in merged else entry
        return merged

    @property
    def _merge(self) -> Callable[[Entry, Entry], Entry]:
        return MERGES.get(self.kind.mode, _add)

    def _raise(self, archive: Content) -> None:
        """Have no sum be below what it was, as readers compute it: in the order of the folder."""
        if self._merge is not _add:
            return
        self.contents[self.new] = archive
        after = [name for name, _ in listed(self.folder) if name in self.contents and name not in self.old]
        raised = {key: value for key in archive if (value := self._high_enough(archive, key, after)) is not None}
        if raised:
            _write_archive(self.folder / self.new, archive | raised)

    def _high_enough(self, archive: Content, key: bytes, after: Sequence[str]) -> Entry | None:
        before, changed = self._sum(self.before, key), None
        step = math.ulp(before)
        while self._sum(after, key) < before and step < math.inf:
            changed = archive[key] = (archive[key][0] + step, archive[key][1])
            step *= 2
        return changed

    def _sum(self, names: Iterable[str], key: bytes) -> float:
        total = 0.0
        for name in names:
            if key in self.contents[name]:
                total += self.contents[name][key][0]
        return total


def _add(one: Entry, two: Entry) -> Entry:
    return one[0] + two[0], 0.0


MERGES: dict[str, Callable[[Entry, Entry], Entry]] = {
    "min": lambda one, two: two if two[0] < one[0] else one,
    "max": lambda one, two: two if two[0] > one[0] else one,
    "mostrecent": lambda one, two: two if two[1] > one[1] else one,
}


def _number(archive: str) -> int:
    number = Kind(archive).process.removeprefix(f"{ARCHIVE}-")
    return int(number) if number.isdecimal() else 0


def _readable(folder: Path, names: Iterable[str]) -> Iterator[tuple[str, Content]]:
    """The files that can be read; the others count nothing, and stay as they are."""
    for name in names:
        with suppress(*FAULTS):
            yield name, _content(folder / name)


def _content(path: Path) -> Content:
    if not path.is_file():
        raise fileformat.Damaged(f"{path.name} is no file")
    data = path.read_bytes()
    if len(data) < fileformat.HEADER.size:
        raise fileformat.Damaged(f"{path.name} has {len(data)} bytes")
    used, _ = fileformat.parse_header(data)
    if not 0 < used <= len(data) or used % fileformat.CELL:
        raise fileformat.Damaged(f"{used} bytes are said to be in use in {path.name}")
    cells = memoryview(data)[:used].cast("d")
    content: Content = {}
    for key, cell in fileformat.entries(data, fileformat.HEADER.size, used):
        value = cells[cell] + (content[key][0] if key in content else 0.0)
        content[key] = value, cells[cell + 1]
    return content


def _write_archive(path: Path, content: Content) -> None:
    body = b"".join(fileformat.entry(key, *entry) for key, entry in content.items())
    header = fileformat.HEADER.pack(fileformat.HEADER.size + len(body), fileformat.TAG)
    with opened(path, os.O_RDWR | os.O_CREAT) as descriptor:
        rest = header + body + bytes(fileformat.CELL)
        at = 0
        while at < len(rest):
            at += os.pwrite(descriptor, rest[at:], at)
