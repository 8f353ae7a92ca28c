"""Exemplars: for a bucket or a counter one example of what was counted, with the ids to find it by.

prometheus_client drops them in its multiprocess mode, and its file format has no room for them. So each process has one
more file, ``exemplars_<process>.jsonl``: lines of ``WIDTH`` bytes, each a JSON object with the sample's ``name``, its
``labels``, and the exemplar's ``ids``, ``value`` and ``timestamp``. A bucket keeps its line, which is written anew at
most once a second. A line that was written half is no JSON, and left out. Of several processes' the newest is shown.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from time import monotonic
from typing import Any

from prometheus_client.samples import Exemplar
from prometheus_client.utils import floatToGoString

from . import fileformat, files
from .families import Labels, escaped, prefixes
from .locks import FileLock, lock_and_rename, opened

WIDTH = 1024  # bytes of a line
LARGEST = 1e300  # a whole number that a float can hold
INTERVAL = 1.0  # seconds between two exemplars of one bucket
PREFIX, SUFFIX = "exemplars_", ".jsonl"
ARCHIVE = f"{PREFIX}archive{SUFFIX}"

Lines = dict[str, str]  # what precedes a sample's value in the text -> what follows it in OpenMetrics


class ExemplarFile:
    """The exemplars of this process. What cannot be written is left out: nothing is counted by them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._lines: dict[str, int] = {}
        self._changing = False
        self._next: dict[str, float] = {}
        self._path: Path | None = None
        self._lock: FileLock | None = None

    def keep(self, key: str, exemplar: Exemplar) -> None:
        """Write the exemplar of the sample with this key, unless the last one is younger than a second."""
        if self._next.get(key, 0.0) > monotonic():
            return
        self._next[key] = monotonic() + INTERVAL
        # Not all that may be raised: a time limit of the host's, from a signal handler, must not be lost here.
        with suppress(OSError, ValueError, TypeError, fileformat.Damaged):
            _, name, labels, _ = fileformat.parse_key(key.encode())
            line = _line(name, labels, exemplar)
            if len(line) == WIDTH:
                self._write(key, line)

    def _write(self, key: str, line: bytes) -> None:
        with files.lock:
            if self._changing:
                return  # a signal handler within the change that it interrupted
            try:
                self._changing = True
                path = self._there()  # a new file has no lines yet
                with opened(path, os.O_WRONLY) as descriptor:
                    os.pwrite(descriptor, line, self._lines.setdefault(key, len(self._lines)) * WIDTH)
            finally:
                self._changing = False

    def _there(self) -> Path:
        if self._path is None or not self._path.exists():
            self.close()
            self._path = self._create()
        return self._path

    def _create(self) -> Path:
        path = self.folder / f"{PREFIX}{files.identity}{SUFFIX}"
        unseen = self.folder / f".{path.name}.new"  # a fold must not take it for a dead process's
        try:
            unseen.write_bytes(bytes(WIDTH))
            self._lock = lock_and_rename(unseen, path)
        except OSError:
            unseen.unlink(missing_ok=True)
            raise
        self._lines.clear()
        return path

    def close(self) -> None:
        """In a forked child: the file stays the parent's."""
        with files.lock:
            lock, self._lock, self._path = self._lock, None, None
            if lock:
                lock.free()


def _line(name: str, labels: dict[str, str], exemplar: Exemplar) -> bytes:
    content = {
        "name": name,
        "labels": labels,
        "ids": exemplar.labels,
        "value": exemplar.value,
        "timestamp": exemplar.timestamp,
    }
    return json.dumps(content).encode().ljust(WIDTH - 1) + b"\n"


def paths(folder: Path) -> list[Path]:
    """The files of all processes, without that of the dead."""
    return [path for path in sorted(folder.glob(f"{PREFIX}*{SUFFIX}")) if path.name != ARCHIVE]


def newest(found: Iterable[Path]) -> list[dict[str, Any]]:
    """The newest exemplar of each bucket."""
    latest: dict[tuple[object, ...], dict[str, Any]] = {}
    for one in (one for path in found for one in _read(path)):
        key = (one["name"], *sorted(one["labels"].items()))
        if key not in latest or latest[key]["timestamp"] < one["timestamp"]:
            latest[key] = one
    return list(latest.values())


def _read(path: Path) -> Iterator[dict[str, Any]]:
    with suppress(OSError):
        content = path.read_bytes() if path.is_file() else b""
        for start in range(0, len(content), WIDTH):
            with suppress(ValueError, RecursionError):
                found = json.loads(content[start : start + WIDTH])
                if _is_exemplar(found):
                    yield found


def _is_exemplar(found: Any) -> bool:
    """Whether a line has all that it needs, of the right types."""
    return (
        isinstance(found, dict)
        and found.keys() >= {"name", "labels", "ids", "value", "timestamp"}
        and isinstance(found["name"], str)
        and all(map(_is_text, (found["labels"], found["ids"])))
        and all(map(_is_number, (found["value"], found["timestamp"])))
    )


def _is_text(found: object) -> bool:
    return isinstance(found, dict) and all(isinstance(value, str) for value in found.values())


def _is_number(found: object) -> bool:
    return isinstance(found, float) or (type(found) is int and abs(found) < LARGEST)


def fold(folder: Path, dead: Iterable[Path]) -> None:
    """Put those of dead processes into one file."""
    gone = list(dead)
    if not gone:
        return
    kept = newest([*gone, folder / ARCHIVE])
    unseen = folder / f".{ARCHIVE}.new"
    lines = (_line(one["name"], one["labels"], Exemplar(one["ids"], one["value"], one["timestamp"])) for one in kept)
    unseen.write_bytes(b"".join(line for line in lines if len(line) == WIDTH))
    unseen.rename(folder / ARCHIVE)
    for path in gone:
        path.unlink(missing_ok=True)


def read(folder: Path) -> Lines:
    """Those of all processes."""
    lines: Lines = {}
    for one in newest([*paths(folder), folder / ARCHIVE]):
        exemplar = Exemplar(one["ids"], float(one["value"]), one["timestamp"])
        lines |= written(one["name"], tuple(one["labels"].items()), exemplar)
    return lines


def written(name: str, labels: Labels, exemplar: Exemplar) -> Lines:
    """An exemplar as OpenMetrics has it, at the end of its sample's line."""
    ids = ",".join(f'{key}="{escaped(value)}"' for key, value in sorted(exemplar.labels.items()))
    ending = f" # {{{ids}}} {floatToGoString(exemplar.value)} {exemplar.timestamp}"
    return {prefixes(labels, ((name, ""),))[0]: ending}
