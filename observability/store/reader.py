"""Reads the files of all processes: the keys of each file once, later only what changed."""

from __future__ import annotations

import errno
import os
import struct
from array import array
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from functools import lru_cache
from itertools import chain, repeat
from operator import sub
from pathlib import Path
from threading import Lock
from time import monotonic, time
from weakref import WeakValueDictionary

from prometheus_client.metrics import Gauge

from observability.logs import warn

from . import fileformat
from .families import StoredFamily
from .journal import counted
from .locks import is_locked, opened
from .merging import Column, MergedFamily, Slot

SECONDS_TO_MAKE = 5.0  # until then a file that has nothing yet is taken for one that prometheus_client makes just now
TOO_MANY_OPEN = {errno.EMFILE, errno.ENFILE}
GAUGES_WITH_PID = {"all", "liveall"}
TYPES = {"counter", "histogram", "summary"}
ARCHIVE = "archive"  # stands for the process in the names of files that hold what dead processes counted
PATIENCE = 1.0  # seconds until a scrape of a folder that changes all the time fails


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


Located = tuple[MergedFamily, int, int, str]  # the family, the numbers of series and slot, the help text


class SourceFile:
    """One file of one process, as far as it was read."""

    def __init__(self, path: str, inode: int, rank: int) -> None:
        self.path, self.inode, self.rank = path, inode, rank
        self.kind = Kind(os.path.basename(path))  # noqa: PTH119
        self.final = False  # its process is dead and all is read
        self.newness = (False, 0.0)  # whether its process is known to live, and when it was changed before it was seen
        self.values: Sequence[float] = ()
        self.stamps: Sequence[float] = ()
        self.families: set[MergedFamily] = set()
        self._padding: tuple[float, ...] = ()
        self._mark: bytes | None = None
        self._used = fileformat.HEADER.size
        self._entries = 0
        self._layout = struct.Struct(f"={fileformat.HEADER.size}x")

    def read(self, reader: Reader, descriptor: int) -> None:
        """Take in what changed since the last time; raises ``Damaged`` and ``Unfinished``."""
        archived = self.kind.process.startswith(ARCHIVE)
        ended = archived or not is_locked(descriptor)  # before all else: what comes after the look would be lost
        header = os.pread(descriptor, fileformat.HEADER.size, 0)
        status = os.fstat(descriptor)
        size = status.st_size
        if not header.strip(b"\0") and time() - status.st_mtime < SECONDS_TO_MAKE:
            raise fileformat.Unfinished
        if len(header) < fileformat.HEADER.size:
            raise fileformat.Damaged(f"it has {size} bytes")
        used, tag = fileformat.parse_header(header)
        if not self.kind.known:
            raise fileformat.Damaged("its name is none of the store's")
        own = tag == fileformat.TAG
        dead = own and ended
        self.newness = (own and not ended, 0.0 if archived else self.newness[1] or status.st_mtime)
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
        values += self._padding
        if values != self.values or self.stamps:
            self.values = values
            for family in self.families:
                family.changed = True

    def pad(self) -> None:
        """Have one value more, at the end, which stands for what it does not have."""
        if not self._padding:
            self._padding = (0.0,)
            self.values = (*self.values, *self._padding)

    def _plan(self, reader: Reader, data: bytes, used: int) -> None:
        """Find the series of new entries."""
        known, locate = reader.locator(self.kind)
        cells = array("L")
        family: MergedFamily | None = None
        for number, (key, cell) in enumerate(fileformat.entries(data, self._used, used), self._entries):
            found = known.get(key) or locate(key)
            if found[0] is not family:
                family = found[0]
                add = self._column(family, found[3]).add
            add(found[1], found[2], number)
            cells.append(cell)
        self._layout = reader.layout(self._layout.format + self._pattern(cells))
        self._used, self._entries = used, self._entries + len(cells)

    def _pattern(self, cells: Sequence[int]) -> str:
        """How to read these values, and to skip what is between them."""
        before = chain([self._used // fileformat.CELL - 2], cells)
        read = "dd" if self.kind.mode.endswith("mostrecent") else "d8x"
        return "".join(map(_skip_and, repeat(read), map(sub, cells, before)))

    def _column(self, family: MergedFamily, documentation: str) -> Column:
        column = family.columns.get(self)
        if column is None:
            column = family.columns[self] = Column(documentation)
            self.families.add(family)
        family.rearranged = True
        return column


@lru_cache(maxsize=1024)
def _skip_and(read: str, cells: int) -> str:
    """From the cell of a value to that of the next there is a time stamp and a key."""
    return f"{(cells - 2) * fileformat.CELL}x{read}"


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        pass  # another user's
    return True


class Reader:
    """The store in one folder, read again and again."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.process = os.getpid()
        self.files: dict[str, SourceFile] = {}
        self.families: dict[tuple[str, str, str], MergedFamily] = {}  # by name, type and mode
        self.damaged = 0  # files put aside, until they are counted
        self._ignored: set[tuple[str, int]] = set()
        self._layouts: WeakValueDictionary[str, struct.Struct] = WeakValueDictionary()
        self._located: dict[tuple[str, str], dict[bytes, Located]] = {}
        self._lock = Lock()

    def read(self) -> list[StoredFamily]:
        """Every metric of all files, in the order of the files, as prometheus_client gives them."""
        with self._lock:
            self._scan()
            rendered = [family for family in self._shown() if _renders(family)]
            return [family.snapshot() for family in sorted(rendered, key=MergedFamily.order)]

    def _shown(self) -> list[MergedFamily]:
        """One of each name: after a deploy that changed a metric's type or a gauge's mode, the newest."""
        shown: dict[str, MergedFamily] = {}
        for family in self.families.values():
            other = shown.setdefault(family.name, family)
            if other is not family:
                shown[family.name] = max(other, family, key=MergedFamily.newness)
                warn(
                    f"kinds {family.name}",
                    "The metric %r has files of several types or modes: the newest is shown, the others are left out",
                    family.name,
                )
        return list(shown.values())

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
        """Read the files as they were at one moment: no fold is waited for, and none may come between."""
        deadline = monotonic() + PATIENCE
        while not self._read_undisturbed():
            if monotonic() > deadline:  # no counter falls by a scrape that fails
                raise BlockingIOError(errno.EAGAIN, "The files of the shared store change faster than they can be read")

    def _read_undisturbed(self) -> bool:
        """Read all files; whether the same ones counted before and after."""
        found, known = self._counted(), set(self.files)
        self._read_all(found)
        if self._counted() == [file for file in found if file not in self._ignored]:
            return True
        self._forget([file for name, file in self.files.items() if name not in known])  # perhaps not yet complete
        return False

    def _read_all(self, found: Sequence[tuple[str, int]]) -> None:
        self._located = {}
        names = set(found)
        self._forget([file for name, file in self.files.items() if (name, file.inode) not in names])
        self._rank(name for name, _ in found)
        for rank, (name, inode) in enumerate(found):
            self._read_one(name, inode, rank)
        self._located = {}  # as large as all keys
        self.families = {key: family for key, family in self.families.items() if family.columns}

    def _counted(self) -> list[tuple[str, int]]:
        """The files that count; those that did, where that cannot be seen now."""
        try:
            return [file for file in counted(self.folder) if file not in self._ignored]
        except OSError as error:
            warn("store folder", "The folder of the shared store cannot be read: %s", error)
            if isinstance(error, FileNotFoundError):
                return []
            if not self.files:
                raise
        return sorted(((name, file.inode) for name, file in self.files.items()), key=self._rank_of)

    def _rank_of(self, listed_file: tuple[str, int]) -> int:
        return self.files[listed_file[0]].rank

    def _rank(self, names: Iterable[str]) -> None:
        known = [(rank, self.files[name]) for rank, name in enumerate(names) if name in self.files]
        before = [file.rank for _, file in known]
        for rank, file in known:
            file.rank = rank
        if before != sorted(before):
            for family in self.families.values():
                family.rearranged = True

    def _read_one(self, name: str, inode: int, rank: int) -> None:
        known = self.files.get(name)
        if known and known.final:
            return
        file = known or SourceFile(str(self.folder / name), inode, rank)
        try:
            with opened(file.path) as descriptor:
                file.read(self, descriptor)
        except FileNotFoundError:
            self._forget([file])
        except fileformat.Unfinished:
            pass
        except (fileformat.Damaged, struct.error) as error:
            self._leave_out(name, inode, error)
            self._forget([file])
        except OSError as error:
            self._leave(name, error)
        else:
            self.files[name] = file
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

    def _leave(self, name: str, error: OSError) -> None:
        """What is known of a file that cannot be read now stays; a scrape that would lack much must not be shown."""
        warn(f"unreadable {name}", "The file %r of the shared store cannot be read now: %s", name, error)
        if error.errno in TOO_MANY_OPEN and name not in self.files:
            raise error

    def _leave_out(self, name: str, inode: int, error: Exception) -> None:
        """A damaged file is renamed, so that nobody reads it; that of a living process is only left out."""
        if isinstance(error, fileformat.Newer):  # its own version reads it
            warn(f"newer {name}", "The file %r of the shared store is of a newer version, left out: %s", name, error)
            return
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
        family = self.families.get((metric, kind.type, kind.mode))
        if family is None:
            family = self.families[metric, kind.type, kind.mode] = MergedFamily(
                metric, documentation, kind.type, kind.mode
            )
        return family, family.number(pairs), family.slot(slot), documentation

    def layout(self, pattern: str) -> struct.Struct:
        """Reads all values of a file at once; one object for all files of one layout."""
        found = self._layouts.get(pattern)
        if found is None:
            found = self._layouts[pattern] = struct.Struct(pattern)
        return found


def _renders(family: MergedFamily) -> bool:
    """Bring the text of a metric up to date; one that cannot be shown must not end the scrape."""
    try:
        family.render()
        family.snapshot()
    except Exception as error:
        warn(f"render {family.name}", "The metric %r of the shared store is left out: %r", family.name, error)
        return False
    return True


def _bound(text: str) -> float:
    with suppress(ValueError):
        bound = float(text)
        if bound == bound:  # no NaN
            return bound
    raise fileformat.Damaged(f"a bucket has the bound {text!r:.50}")
