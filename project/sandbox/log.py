"""What was asked and what was answered: the truth that metrics are compared with. It holds neither keys nor bodies."""

import time
from collections import deque
from dataclasses import asdict, dataclass, field
from typing import Any

from project.sandbox.core import Answer, Request, Usage

KEPT = 20_000


@dataclass
class Entry:
    """A request; ``status`` is None until the answer begins, ``complete`` says that it was sent to its end."""

    service: str
    operation: str
    method: str
    path: str  # without the query
    fault: str | None
    stream: bool
    started: float = field(default_factory=time.time)  # Unix time
    model: str | None = None
    status: int | None = None
    complete: bool = False
    duration: float | None = None  # seconds; None: not over yet
    usage: Usage = field(default_factory=Usage)
    clock: float = field(default_factory=time.monotonic)

    def begin(self, answer: Answer) -> None:
        """All input was read by now; output counts when it is sent."""
        self.status, self.model = answer.status, answer.model
        self.usage = Usage(**asdict(answer.usage) | {"output_tokens": 0})

    def end(self, complete: bool) -> None:
        self.complete, self.duration = complete, time.monotonic() - self.clock

    def as_dict(self) -> dict[str, Any]:
        values = asdict(self)
        del values["clock"]
        return values | values.pop("usage")


class Log:
    """The last requests in the order in which they came."""

    def __init__(self) -> None:
        self.entries: deque[Entry] = deque(maxlen=KEPT)

    def add(self, service: str, operation: str, request: Request) -> Entry:
        fault = request.fault.fault if request.fault else None
        entry = Entry(service, operation, request.method, request.path, fault, request.wants_stream)
        self.entries.append(entry)
        return entry
