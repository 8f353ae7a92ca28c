"""Locks: on each file for as long as its process lives, on the folder for as long as it is folded."""

from __future__ import annotations

import fcntl
import mmap
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

FOLDER_LOCK = ".lock"  # held alone by whoever folds, and by whoever makes a file again that a fold might remove

_kept: list[object] = []  # for ever, see ``FileLock.spare``


class FileLock:
    """A lock until this process ends, however it ends: that is how others see that it lives.

    A map holds it. A host that becomes a daemon may close all descriptors, and on most file systems of Linux that is
    not the end of a map.
    """

    def __init__(self, path: Path) -> None:
        with opened(path, os.O_RDWR) as descriptor:
            with suppress(OSError):  # where a file system has no locks, the file is taken for one of a living process
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._map = mmap.mmap(descriptor, 1, access=mmap.ACCESS_READ)
        self._descriptor = os.open(path, os.O_RDONLY)  # tells whether somebody closed all
        self._inode = _inode(self._descriptor)

    def free(self) -> None:
        """Have the file be locked no longer."""
        if not self.spare(self):
            self._map.close()
            os.close(self._descriptor)

    def spare(self, mapped: object) -> bool:
        """Keep a map for ever, where the number of its descriptor, which its end would close, may be another's now."""
        if lost := _inode(self._descriptor) != self._inode:
            _kept.append(mapped)
        return lost


def lock_and_rename(path: Path, name: Path) -> FileLock:
    """Have a file be locked from the moment on in which others see it."""
    lock = FileLock(path)
    try:
        path.rename(name)
    except OSError:
        lock.free()
        raise
    return lock


def _inode(descriptor: int) -> tuple[int, int] | None:
    try:
        found = os.fstat(descriptor)
    except OSError:
        return None
    return found.st_dev, found.st_ino


def is_locked(descriptor: int) -> bool:
    """Whether the process that writes the file lives: the kernel frees its lock, however it ends."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    fcntl.flock(descriptor, fcntl.LOCK_UN)
    return False


def is_unlocked(path: Path) -> bool:
    """Whether no process holds the lock of a file."""
    with suppress(OSError), opened(path) as descriptor:
        return not is_locked(descriptor)
    return False


@contextmanager
def opened(path: Path | str, flags: int = os.O_RDONLY) -> Iterator[int]:
    """A descriptor for the length of a block; that of a FIFO is there at once, that of a link is refused."""
    descriptor = os.open(path, flags | os.O_NONBLOCK | os.O_NOFOLLOW, 0o666)  # less the umask, as prometheus_client
    try:
        yield descriptor
    finally:
        os.close(descriptor)


@contextmanager
def locked(folder: Path, how: int) -> Iterator[bool]:
    """Hold the lock of the folder, if it is free: a fold has it alone. Raises ``OSError`` where it cannot be opened."""
    descriptor = _open_lock(folder / FOLDER_LOCK)
    try:
        yield _could_lock(descriptor, how)
    finally:
        os.close(descriptor)


def _open_lock(path: Path) -> int:
    """Of another user's file too: to be locked it need not be writable. Linux refuses O_CREAT for it under /tmp."""
    try:
        return os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return os.open(path, os.O_RDONLY | os.O_CREAT, 0o666)


def _could_lock(descriptor: int, how: int) -> bool:
    """Never waits: the process that has the lock may have been stopped."""
    try:
        fcntl.flock(descriptor, how | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
