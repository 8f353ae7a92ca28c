"""Faults that a test asks for, exactly, or that come by chance."""

import random
from dataclasses import dataclass
from typing import Any

COMPLETIONS = {"chat_completions", "messages"}
DEPLOYMENTS = {"create_deployment"}
# What can go wrong, and with which operations; None: with any.
KINDS: dict[str, set[str] | None] = {
    "cut": None,
    "garbage": None,
    "wrong_shape": None,
    "slow": None,
    "drip": None,
    "timeout": None,
    "error_event": COMPLETIONS,
    "prose": COMPLETIONS,
    "build_error": DEPLOYMENTS,
    "build_canceled": DEPLOYMENTS,
}
SERVICES = ("notion", "vercel", "openai", "anthropic", "sites")
STATUSES = range(400, 600)
# How often each comes with ``--faults realistic``: about one answer in twenty.
CHANCES = {
    "429": 0.015,
    "500": 0.008,
    "503": 0.004,
    "cut": 0.004,
    "garbage": 0.002,
    "timeout": 0.001,
    "error_event": 0.01,
    "prose": 0.01,
    "build_error": 0.04,
    "build_canceled": 0.01,
}


@dataclass
class Fault:
    """What happens to the next ``times`` requests (None: to all) to a service whose path or body has ``match``."""

    service: str
    fault: str
    match: str = ""
    times: int | None = 1
    retry_after: float | None = None  # seconds, for a status
    seconds: float = 1.0  # of delay, for slow and drip

    def __post_init__(self) -> None:
        if self.service not in SERVICES:
            raise ValueError(f"There is no service {self.service!r}: give one of {', '.join(SERVICES)}.")
        self.fault = str(self.fault)
        is_status = self.fault.isdecimal() and int(self.fault) in STATUSES
        if self.fault not in KINDS and not is_status:
            raise ValueError(f"There is no fault {self.fault!r}: give a status from 400 to 599, or {', '.join(KINDS)}.")

    def hits(self, service: str, operation: str, text: str) -> bool:
        operations = KINDS.get(self.fault)
        return (
            self.service == service
            and self.times != 0
            and (operations is None or operation in operations)
            and self.match in text
        )


class Faults:
    """Those that were asked for; the first that fits is taken."""

    def __init__(self, weather: "Weather | None" = None) -> None:
        self.weather = weather
        self.planned: list[Fault] = []

    def add(self, faults: list[dict[str, Any]]) -> None:
        self.planned += [Fault(**each) for each in faults]

    def clear(self) -> None:
        self.planned.clear()

    def take(self, service: str, operation: str, text: str, stream: bool) -> Fault | None:
        """The fault for a request; ``text`` is its path and body."""
        for fault in self.planned:
            if fault.hits(service, operation, text):
                fault.times = None if fault.times is None else fault.times - 1
                return fault
        return self.weather.fault(service, operation, stream) if self.weather else None


class Weather:
    """Faults by chance, and the time that the real services take; the same for the same seed and requests."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)

    def fault(self, service: str, operation: str, stream: bool) -> Fault:
        kind = self.kind(operation)
        if kind == "":
            kind = "drip" if stream else "slow"
        return Fault(service, kind, seconds=self.seconds(operation), retry_after=1)

    def kind(self, operation: str) -> str:
        """Which fault there is; empty: none."""
        roll = self.random.random()
        for kind, chance in CHANCES.items():
            operations = KINDS.get(kind)
            if operations is None or operation in operations:
                if roll < chance:
                    return kind
                roll -= chance
        return ""

    def seconds(self, operation: str) -> float:
        """Mostly near 4 s for a completion and 0.15 s for the rest, with a long tail."""
        return (4.0 if operation in COMPLETIONS else 0.15) * self.random.lognormvariate(0, 0.5)
