"""What every stand-in is made of: requests, answers, refusals, services."""

import json
import re
import uuid
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar, NamedTuple
from urllib.parse import parse_qsl

from project.sandbox.faults import Fault


class Refusal(Exception):
    """An error that a service answers with, in its own shape."""

    def __init__(self, status: int, message: str, code: str = "", headers: dict[str, str] | None = None) -> None:
        super().__init__(message)
        self.status, self.message, self.code, self.headers = status, message, code, headers or {}


@dataclass
class Request:
    """A request, read to its end."""

    method: str
    path: str  # below the service's own address
    query_string: str
    headers: dict[str, str]
    body: bytes
    fault: Fault | None = None

    @cached_property
    def query(self) -> dict[str, str]:
        return dict(parse_qsl(self.query_string, keep_blank_values=True))

    @cached_property
    def json(self) -> dict[str, Any]:
        """The body, which has to be an object; an empty one counts as such."""
        try:
            value = json.loads(self.body or b"{}")
        except ValueError:
            value = None
        if not isinstance(value, dict):
            raise Refusal(400, "The body is not a JSON object.", "invalid_json")
        return value

    @property
    def bearer(self) -> str:
        scheme, _, key = self.headers.get("authorization", "").partition(" ")
        return key.strip() if scheme.lower() == "bearer" else ""

    @property
    def wants_stream(self) -> bool:
        return b'"stream":true' in self.body.replace(b" ", b"")

    def has_fault(self, kind: str) -> bool:
        return self.fault is not None and self.fault.fault == kind


class Piece(NamedTuple):
    """A part of a body, and the output tokens in it."""

    data: bytes
    tokens: int = 0


@dataclass
class Usage:
    """Tokens of one completion. Input includes what was cached or written to the cache, output the reasoning."""

    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    cache_write_tokens: int = 0
    reasoning_tokens: int = 0


@dataclass
class Answer:
    """A status and a body; more than one piece is a stream."""

    pieces: list[Piece]
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    model: str | None = None
    usage: Usage = field(default_factory=Usage)


def to_json(value: Any, status: int = 200, headers: dict[str, str] | None = None) -> Answer:
    return Answer([Piece(json.dumps(value).encode())], status, {"content-type": "application/json"} | (headers or {}))


def events(pieces: Iterable[Piece]) -> Answer:
    return Answer(list(pieces), headers={"content-type": "text/event-stream; charset=utf-8"})


def new_id(prefix: str = "") -> str:
    return prefix + uuid.uuid4().hex[:24]


class Service:
    """A stand-in: each route leads to the method that is named like its operation."""

    name: ClassVar[str]
    routes: ClassVar[tuple[tuple[str, str, str], ...]]  # method, pattern of the path, operation

    def find(self, request: Request) -> tuple[str, dict[str, str]]:
        """The operation that a request asks for, and the arguments in its path."""
        for method, pattern, operation in self.routes:
            if method == request.method and (match := re.fullmatch(pattern, request.path)):
                return operation, match.groupdict()
        return "unknown", {}

    def answer(self, request: Request, operation: str, arguments: dict[str, str]) -> Answer:
        try:
            if request.fault:
                self.fail(request.fault)
            self.authorize(request)
            return getattr(self, operation)(request, **arguments)
        except Refusal as refusal:
            return self.refused(refusal)

    def fail(self, fault: Fault) -> None:
        """Refuse where the fault is a status: then nothing is done."""
        if fault.fault.isdecimal():
            headers = {} if fault.retry_after is None else {"retry-after": f"{fault.retry_after:g}"}
            raise Refusal(int(fault.fault), "The sandbox was asked to fail.", headers=headers)

    def unknown(self, request: Request) -> Answer:
        raise Refusal(404, f"There is no {request.method} {request.path} here.")

    def authorize(self, request: Request) -> None:
        """Refuse a request without a key; any key will do."""

    def refused(self, refusal: Refusal) -> Answer:
        raise NotImplementedError
