"""Read JSON and server-sent events from the parts of a body, within bounds: the body is whatever a server sent."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import suppress
from types import ModuleType
from typing import Any, Protocol

MAX_BYTES = 4_000_000  # of a body, or of one event of a stream; what is larger is not read
DONE = {"type": "done"}  # OpenAI's last event, which is no JSON

Take = Callable[[Any], None]  # gets each value that was read; None is what is no JSON


class Reader(Protocol):
    """Takes a body part by part; ``whole`` is whether it came to its end."""

    def feed(self, chunk: bytes) -> None: ...
    def end(self, whole: bool) -> None: ...


def parse(text: bytes) -> Any:
    """The value of a JSON text, None for what is none."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


class Kept:
    """The parts of a body, none of them once it is too large."""

    def __init__(self) -> None:
        self.parts: list[bytes] = []
        self.size = 0

    @property
    def is_too_large(self) -> bool:
        return self.size > MAX_BYTES

    def feed(self, chunk: bytes) -> None:
        self.size += len(chunk)
        self.parts.append(chunk)
        if self.is_too_large:
            self.parts.clear()


class JSONReader(Kept):
    """The one value that a body is."""

    def __init__(self, take: Take) -> None:
        super().__init__()
        self.take = take

    def end(self, whole: bool) -> None:
        if whole and not self.is_too_large:
            self.take(parse(b"".join(self.parts)))


class EventReader:
    """The values in the data of server-sent events, which all these services write on one line."""

    def __init__(self, take: Take) -> None:
        self.take = take
        self.line = Kept()

    def feed(self, chunk: bytes) -> None:
        first, *more = chunk.split(b"\n")
        self.line.feed(first)
        for text in more:
            if data := self._data():
                self.take(_event(data))
            self.line = Kept()
            self.line.feed(text)

    def _data(self) -> bytes:
        line = b"".join(self.line.parts)
        return line[5:].strip() if line.startswith(b"data:") else b""

    def end(self, whole: bool) -> None:
        """A last line without an end may be whole, or cut."""
        if (value := _event(self._data())) is not None:
            self.take(value)


def _event(data: bytes) -> Any:
    return DONE if data == b"[DONE]" else parse(data)


class Encoded(Kept):
    """A compressed body, read by another reader at its end."""

    def __init__(self, inner: Reader, encoding: str, library: ModuleType) -> None:
        super().__init__()
        self.inner, self.encoding, self.library = inner, encoding, library

    def end(self, whole: bool) -> None:
        if self.is_too_large:
            return
        with suppress(self.library.DecodingError):  # cut, or garbage
            for part in self._decoded():
                self.inner.feed(part)
        self.inner.end(whole)

    def _decoded(self) -> Iterator[bytes]:
        response = self.library.Response(200, headers={"content-encoding": self.encoding}, content=iter(self.parts))
        yield from response.iter_bytes()


def choose(headers: Any, encoding: str, library: ModuleType, take: Take) -> Reader:
    """The reader for a body with these headers; ``encoding`` is "" where there is none to undo."""
    reader = EventReader(take) if is_stream(headers) else JSONReader(take)
    return Encoded(reader, encoding, library) if encoding else reader


def is_stream(headers: Any) -> bool:
    """Whether the body is a stream of events."""
    return str(headers.get("content-type", "")).lower().startswith("text/event-stream")
