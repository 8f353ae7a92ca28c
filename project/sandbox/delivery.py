"""How an answer travels: whole, slowly, in part, or not at all."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

from project.sandbox.core import Answer, Piece
from project.sandbox.faults import Fault
from project.sandbox.log import Entry

Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]

DRIPS = 10  # pieces of a body that is no stream
NO_JSON = b'<html>\xff\xfe{"gar": bage'
NO_EVENT = b'data: {"gar\xff": bage\n\n'
OTHER_SHAPE = b'{"unexpected": [null, 1, "shape"]}'


class ClientLeft(Exception):
    """Nobody reads the answer any more."""


class Line:
    """The connection to the client, for one answer."""

    def __init__(self, receive: Receive, send: Send) -> None:
        self.receive, self._send = receive, send

    async def pause(self, seconds: float | None) -> None:
        """Wait, for ever with None; raises ClientLeft when the client leaves meanwhile."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while (await self.receive())["type"] != "http.disconnect":
                    pass
                raise ClientLeft

    async def start(self, status: int, headers: dict[str, str]) -> None:
        pairs = [(name.encode(), value.encode()) for name, value in headers.items()]
        await self._send({"type": "http.response.start", "status": status, "headers": pairs})

    async def send(self, data: bytes, more: bool) -> None:
        await self._send({"type": "http.response.body", "body": data, "more_body": more})


async def deliver(answer: Answer, fault: Fault | None, line: Line, entry: Entry) -> None:
    """Send an answer as its fault wants it; the log is true before the client has all of it."""
    kind = fault.fault if fault else ""
    seconds = fault.seconds if fault else 0.0
    if kind in {"slow", "timeout"}:
        await line.pause(seconds if kind == "slow" else None)
    answer, pieces = _spoiled(answer, kind), _parted(answer, kind)
    entry.begin(answer)
    await line.start(answer.status, answer.headers | _length(answer))
    for number, piece in enumerate(pieces, 1):
        if kind == "drip":
            await line.pause(seconds / len(pieces))
        entry.usage.output_tokens += piece.tokens
        more = kind == "cut" or number < len(pieces)
        if not more:
            entry.end(complete=True)
        await line.send(piece.data, more)


def _length(answer: Answer) -> dict[str, str]:
    """The length that a whole body has; a stream says none."""
    return {} if len(answer.pieces) > 1 else {"content-length": str(len(answer.pieces[0].data))}


def _spoiled(answer: Answer, kind: str) -> Answer:
    """The answer with another content; what it cost stays."""
    tokens = sum(piece.tokens for piece in answer.pieces)
    if kind == "wrong_shape":
        answer.headers["content-type"] = "application/json"
        answer.pieces = [Piece(OTHER_SHAPE, tokens)]
    elif kind == "garbage" and len(answer.pieces) == 1:
        answer.pieces = [Piece(NO_JSON, tokens)]
    elif kind == "garbage":
        answer.pieces.insert(len(answer.pieces) // 2, Piece(NO_EVENT))
    return answer


def _parted(answer: Answer, kind: str) -> list[Piece]:
    """The pieces that are sent: all of them, or the first half of the body."""
    if kind == "cut":
        middle = len(answer.pieces) // 2
        torn = answer.pieces[middle]
        tokens = 0 if middle else torn.tokens  # nobody can read half an event
        return [*answer.pieces[:middle], Piece(torn.data[: len(torn.data) // 2], tokens)]
    if kind == "drip" and len(answer.pieces) == 1:
        data, tokens = answer.pieces[0]
        size = len(data) // DRIPS + 1
        parts = [data[start : start + size] for start in range(0, len(data), size)]
        return [Piece(parts[0], tokens), *map(Piece, parts[1:])]
    return answer.pieces
