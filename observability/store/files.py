"""The files that this process alone writes: memory-mapped, of real disk blocks, and locked for as long as it lives."""

from __future__ import annotations

import errno
import fcntl
import mmap
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from secrets import token_hex
from threading import RLock
from time import monotonic
from typing import Any

from . import fileformat
from .locks import FileLock, is_unlocked, lock_and_rename, locked, opened

Cells = Any  # a memoryview of doubles: the type checker knows those of bytes only
NOWHERE = 1 << 60  # the cell of a value that has no place in a file
NO_CELLS: Cells = memoryview(bytearray()).cast("d")  # a file that is not open: each access is an IndexError
INTERRUPTED = "interrupted"
WHAT_TELLS_OF_FAULTS = '["observability_dropped"'  # such keys may use the last bytes of a file that cannot grow
RESERVE = 4096  # bytes
PATIENCE = 1.0  # seconds between two looks at the folder, or two tries to get room on the disk

# One lock for all values. A signal handler that interrupts a holder comes in again: it may change values, and is
# refused where it would have to change the file (see ``File.place``). Made anew in a forked child, where no holder
# lives on.
lock = RLock()


def new_identity() -> str:
    """A name for this process that no other has had: ids come again after a while, and in every container.

    Without an underscore, since prometheus_client parts file names there; it shows the name as the label ``pid``.
    """
    return f"{os.getpid()}-{token_hex(4)}"


identity = new_identity()


def renew() -> None:
    """In a forked child: what another thread of the parent held is held by nobody now."""
    global lock, identity
    lock, identity = RLock(), new_identity()


class Refused(Exception):
    """There is no place for a value now."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class File:
    """The values of one kind of metric of this process; ``kind`` is the first part of the file's name.

    ``cells`` and the number of its cell are all that a value needs. A file that grew, or that a forked child made for
    itself, has every key at the same place, so that neither touches any value.
    """

    def __init__(self, folder: Path, kind: str) -> None:
        self.folder = folder
        self.kind = kind
        self.cells: Cells = NO_CELLS
        self.places: dict[str, int] = {}  # key -> number of its cell
        self.error: OSError | None = None
        self._used = fileformat.HEADER.size
        self._inode: tuple[int, int] | None = None
        self._image: Cells = None  # what the file holds, or held when it was last open
        self._lock: FileLock | None = None
        self._next_try = 0.0
        self._changing = False
        self._name = ""

    @property
    def path(self) -> Path:
        return self.folder / self._name

    def place(self, key: str) -> int:
        """The number of the cell of this key, in an open file; raises ``Refused``."""
        with self._change():
            if self.cells is NO_CELLS:
                self._create(keep=False)
            if key not in self.places:
                self._append(key)
            return self.places[key]

    def look(self) -> None:
        """Make the file again, with all that it held, when somebody removed it or its lock is gone."""
        with suppress(Refused), self._change():
            if self.is_open and (self._is_removed or is_unlocked(self.path)):
                self._make_again()

    @property
    def _is_removed(self) -> bool:
        return _inode(self.path) != self._inode

    def _make_again(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        with locked(self.folder, fcntl.LOCK_SH) as nobody_folds:
            if nobody_folds:
                self._create(keep=not self._is_folded)

    @contextmanager
    def _change(self) -> Iterator[None]:
        with lock:
            if self._changing:
                raise Refused(INTERRUPTED)  # a signal handler within the change that it interrupted
            if self.error and monotonic() < self._next_try:
                raise Refused(_reason(self.error))
            self._changing = True
            try:
                yield
                self.error = None
            except (OSError, ValueError) as error:  # ValueError: mmap of a file that somebody cut off
                self._fail(error if isinstance(error, OSError) else OSError(errno.EIO, str(error)))
            finally:
                self._changing = False

    def _fail(self, error: OSError) -> None:
        self.error, self._next_try = error, monotonic() + PATIENCE  # logged later: a log handler may record, too
        raise Refused(_reason(error)) from error

    def _append(self, key: str) -> None:
        entry = fileformat.entry(key.encode())
        room = fileformat.CELL if key.startswith(WHAT_TELLS_OF_FAULTS) else RESERVE
        while self._used + len(entry) + room > self.cells.nbytes:
            self._grow()
        content = self.cells.cast("B")
        content[self._used : self._used + len(entry)] = entry
        self._used += len(entry)
        self.places[key] = self._used // fileformat.CELL - 2
        content[: fileformat.LENGTH.size] = fileformat.LENGTH.pack(self._used)

    def _grow(self) -> None:
        if self._is_removed:
            self._make_again()
        size = self.cells.nbytes
        with opened(self.path, os.O_RDWR) as descriptor:
            _allocate(descriptor, size, 2 * size)
            cells = _map(descriptor, 2 * size)
        cells[fileformat.MARK] = self.cells[fileformat.MARK]
        if self._lock:
            self._lock.spare(self.cells)
        self.cells = self._image = cells

    def _create(self, *, keep: bool) -> None:
        """A new file: an empty one, or one with the keys of the old, and its values where they are to be kept."""
        self.folder.mkdir(parents=True, exist_ok=True)
        size = self._image.nbytes if self._image else fileformat.FIRST_SIZE
        name = f"{self.kind}_{identity}.db"
        unseen = self.folder / f".{name}.new"  # a reader must not take it for a dead process's
        try:
            with opened(unseen, os.O_RDWR | os.O_CREAT | os.O_TRUNC) as descriptor:
                _allocate(descriptor, 0, size)
                cells = _map(descriptor, size)
                self._fill(cells, keep=keep)
            lock = lock_and_rename(unseen, self.folder / name)
        except OSError:
            unseen.unlink(missing_ok=True)
            raise
        self._close()
        self._name, self._lock, self._inode = name, lock, _inode(self.folder / name)
        self.cells = self._image = cells

    def _fill(self, cells: Cells, *, keep: bool) -> None:
        if self._image:
            content = self._image.cast("B")[: self._used]
            cells.cast("B")[: self._used] = content
        cells.cast("B")[: fileformat.HEADER.size] = fileformat.HEADER.pack(self._used, fileformat.TAG)
        if not keep:
            for cell in self.places.values():
                cells[cell] = cells[cell + 1] = 0.0

    def _close(self) -> None:
        if self._lock:
            self._lock.spare(self._image)
            self._lock.free()
            self._lock = None

    @property
    def is_open(self) -> bool:
        return self.cells is not NO_CELLS

    @property
    def _is_folded(self) -> bool:
        """Whether an archive has what it held: its process was taken for dead."""
        return bool(fileformat.HEADER.unpack_from(self._image)[1] == fileformat.FOLDED)

    def leave_to_parent(self) -> None:
        """In a forked child: it gets a file of its own, with the same keys, when it first writes."""
        self._close()
        self.cells = NO_CELLS
        self._changing, self.error = False, None


def _reason(error: OSError) -> str:
    return "store_full" if error.errno in {errno.ENOSPC, errno.EDQUOT} else "store_unusable"


def _inode(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _allocate(descriptor: int, start: int, end: int) -> None:
    """Make zeros of real disk blocks: to write through a map where there is no room is a signal that kills."""
    at = start
    try:
        while at < end:
            at += os.pwrite(descriptor, bytes(end - at), at)
    except OSError:
        os.ftruncate(descriptor, start)
        raise


def _map(descriptor: int, size: int) -> Cells:
    return memoryview(mmap.mmap(descriptor, size)).cast("d")
