"""The file format: that of prometheus_client's multiprocess mode, and what our own files add where it never looks.

Source: ``prometheus_client/mmap_dict.py``. A file begins with a 4-byte int, the number of bytes in use, and 4 bytes of
padding. Then come entries: a 4-byte int, the length of the key; the key; spaces up to a multiple of 8; two doubles, the
value and a time stamp. All of it in the byte order of the machine. The key is JSON of the metric's name, the sample's
name, the labels and the help text.

Our own files carry ``TAG`` in the padding, and in their last cell the change mark: when a value last changed, by the
monotonic clock, of which no two readings are the same. The writer changes the value, then the mark; a reader reads the
mark, then the values. The digit in the tag is the version of this format: a file of a later one is left alone.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator

from prometheus_client.mmap_dict import mmap_key

FIRST_SIZE = 1 << 16  # bytes of a new file, as in prometheus_client; a full one doubles
OURS = b"obs"  # a tag begins with it; prometheus_client leaves zeros there
TAG = OURS + b"1"
FOLDED = OURS + b"0"  # in the place of the tag: all that the file holds is in an archive
HEADER = struct.Struct("=i4s")
NUMBERS = struct.Struct("=dd")
LENGTH = struct.Struct("=i")
CELL = 8  # bytes of a double
MARK = -1  # the cell of the change mark

make_key = mmap_key


class Damaged(Exception):
    """A file that does not hold to the format."""


class Newer(Damaged):
    """A file of ours in a format that came after this version."""


class Unfinished(Exception):
    """A file that another process is about to make."""


Key = tuple[str, str, dict[str, str], str]  # metric, sample, labels, help text


def entry(key: bytes, value: float = 0.0, timestamp: float = 0.0) -> bytes:
    """An entry as it is in the file."""
    return LENGTH.pack(len(key)) + key + b" " * _padding(len(key)) + NUMBERS.pack(value, timestamp)


def _padding(length: int) -> int:
    return 8 - (length + LENGTH.size) % 8


def parse_header(header: bytes) -> tuple[int, bytes]:
    """The number of bytes in use, and the tag; raises ``Newer``."""
    used, tag = HEADER.unpack_from(header)
    if tag.startswith(OURS) and tag not in {TAG, FOLDED}:
        raise Newer(f"its format is {tag!r}")
    return used, tag


def entries(data: bytes, start: int, used: int) -> Iterator[tuple[bytes, int]]:
    """The key of each entry from ``start`` on, and the number of the cell that holds its value."""
    read_length, position = LENGTH.unpack_from, start
    while position < used:
        (length,) = read_length(data, position)
        begin = position + 4
        end = begin + length
        value = (end | 7) + 1
        position = value + 2 * CELL
        if length < 0 or position > used:
            raise Damaged(f"a key of {length} bytes at {begin} in a file of {used}")
        yield data[begin:end], value // CELL


def parse_key(text: bytes) -> Key:
    """What a key says; raises ``Damaged`` for whatever is none."""
    try:
        metric, sample, labels, documentation = json.loads(text.decode())
        "".join((documentation, *labels.values()))  # as said: texts
        names = (metric, sample, *labels)
        valid = all(names) and "".join(names).encode()  # no lone surrogate, which a value may have
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        raise Damaged(f"the key {text!r:.200} is none: {error}") from error
    if not valid:
        raise Damaged(f"the key {text!r:.200} has an empty name")
    return metric, sample, labels, documentation
