"""The file format: that of prometheus_client's multiprocess mode, and what our own files add where it never looks.

Source: ``prometheus_client/mmap_dict.py``. A file begins with a 4-byte int, the number of bytes in use, and 4 bytes of
padding. Then come entries: a 4-byte int, the length of the key; the key; spaces up to a multiple of 8; two doubles, the
value and a time stamp. All of it in the byte order of the machine. The key is JSON of the metric's name, the sample's
name, the labels and the help text.

Our own files carry ``TAG`` in the padding, and in their last cell the change mark: when a value last changed, by the
monotonic clock, of which no two readings are the same. The writer changes the value, then the mark; a reader reads the
mark, then the values.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from typing import NamedTuple

from prometheus_client.mmap_dict import mmap_key

FIRST_SIZE = 1 << 16  # bytes of a new file, as in prometheus_client; a full one doubles
TAG = b"obs1"
HEADER = struct.Struct("=i4s")
NUMBERS = struct.Struct("=dd")
LENGTH = struct.Struct("=i")
CELL = 8  # bytes of a double
MARK = -1  # the cell of the change mark

make_key = mmap_key


class Damaged(Exception):
    """A file that does not hold to the format."""


class Unfinished(Exception):
    """A file that another process is about to make."""


class Key(NamedTuple):
    """What a key says."""

    metric: str
    sample: str
    labels: dict[str, str]
    help: str


def entry(key: bytes, value: float = 0.0, timestamp: float = 0.0) -> bytes:
    """An entry as it is in the file."""
    return LENGTH.pack(len(key)) + key + b" " * _padding(len(key)) + NUMBERS.pack(value, timestamp)


def _padding(length: int) -> int:
    return 8 - (length + LENGTH.size) % 8


def entries(data: bytes, start: int, used: int) -> Iterator[tuple[bytes, int]]:
    """The key of each entry from ``start`` on, and the number of the cell that holds its value."""
    read_length, position = LENGTH.unpack_from, start
    while position < used:
        (length,) = read_length(data, position)
        position += 4
        value = position + length + 8 - (length + 4) % 8
        if length < 0 or value + 2 * CELL > used:
            raise Damaged(f"a key of {length} bytes at {position} in a file of {used}")
        yield data[position : position + length], value // CELL
        position = value + 2 * CELL


def parse_key(text: bytes) -> Key:
    """The parts of a key; raises ``Damaged`` for whatever is none."""
    try:
        found = json.loads(text.decode())
        key = Key(*found) if type(found) is list and len(found) == len(Key._fields) else None
        valid = key is not None and _is_typed(key) and _is_named(key)
    except (ValueError, RecursionError) as error:  # UnicodeError and JSONDecodeError among them
        raise Damaged(f"the key {text!r:.200} is none: {error}") from error
    if key is None or not valid:
        raise Damaged(f"the key {text!r:.200} is none")
    return key


def _is_typed(key: Key) -> bool:
    texts = (key.metric, key.sample, key.help)
    return type(key.labels) is dict and {*map(type, (*texts, *key.labels.values()))} == {str}


def _is_named(key: Key) -> bool:
    """Whether all names can be shown; raises ``UnicodeError`` for a lone surrogate, which a value may have."""
    names = (key.metric, key.sample, *key.labels)
    return all(names) and bool("".join(names).encode())
