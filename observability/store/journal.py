"""The journal of a fold: which files count while it is under way, and what to remove when it ends or fails."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

PREPARED, DONE = ".folding", ".folded"  # the journal, while what is folded counts, and from when its archive does
MARKER = "counter_folding.db"  # there while files are folded; prometheus_client fails on it, which is its purpose
DOUBLES = {PREPARED: "new", DONE: "old"}  # which of the files that it names have numbers that others have, too


def content(old: Sequence[str], new: Sequence[str]) -> bytes:
    """What a journal holds: the names of the files to be folded, and of their archive."""
    return json.dumps({"old": old, "new": new}).encode()


def doubles(folder: Path, journal: str) -> list[str]:
    """The names of files that do not count; of a journal that is none or cannot be parsed, none."""
    path = folder / journal
    with suppress(FileNotFoundError, ValueError, RecursionError):
        return _names(json.loads(path.read_text() if path.is_file() else ""), DOUBLES[journal])
    return []


def _names(journal: Any, key: str) -> list[str]:
    """The names that a journal has under this key; whoever wrote it, none leads out of the folder."""
    names = journal.get(key) if isinstance(journal, dict) else None
    return [name for name in names if _is_plain(name)] if isinstance(names, list) else []


def _is_plain(name: object) -> bool:
    return isinstance(name, str) and not {"/", "\0"} & set(name) and name.endswith((".db", ".new"))


def counted(folder: Path) -> list[tuple[str, int]]:
    """Names and inodes of the files that count, in the order of the folder; raises ``OSError`` if that cannot be seen.

    A fold may end, and the next begin, within this call or after it. When the next call finds the same, this one was
    right, and has been all the time between them.
    """
    hidden, found = _hidden(folder), list(listed(folder))
    while hidden != (now := _hidden(folder)):
        hidden, found = now, list(listed(folder))
    return [file for file in found if file[0] not in hidden]


def _hidden(folder: Path) -> set[str]:
    return {*doubles(folder, DONE), *doubles(folder, PREPARED)}


def listed(folder: Path) -> Iterator[tuple[str, int]]:
    """Names and inodes of all files, in the order of the folder; raises ``OSError`` where it cannot be read."""
    with os.scandir(folder) as entries:
        for entry in entries:
            name = entry.name
            if (
                name.endswith(".db")
                and not name.startswith(".")
                and name != MARKER
                and entry.is_file(follow_symlinks=False)
            ):
                yield name, entry.inode()
