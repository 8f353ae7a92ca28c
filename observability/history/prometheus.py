"""History from a Prometheus server, by its HTTP API, under one deadline for all that a page asks."""

from __future__ import annotations

import json
from base64 import b64encode
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from math import isfinite
from time import perf_counter
from typing import Any
from urllib.parse import unquote, urlencode, urlsplit

from .amounts import GAUGES, TOTALS, Key, Wanted
from .ranges import Grid
from .steps import Step

WINDOW = 60  # seconds that a rate needs at least: a few scrapes
MOST_BYTES = 20_000_000  # of an answer


class Unusable(Exception):
    """No Prometheus that could tell of this site."""


@dataclass
class Prometheus:
    """One conversation; raises ``Unusable``."""

    url: str
    now: float
    deadline: float  # by perf_counter()
    connection: HTTPConnection | None = field(default=None, repr=False)

    name = "prometheus"

    def steps(self, grid: Grid) -> list[Step | None]:
        """What was added in each step."""
        window = max(grid.step, WINDOW)
        counters: dict[int, dict[str, dict[Key, float]]] = {}
        for name, labels in TOTALS.items():
            for key, at, value in self._over(grid, _increase(name, labels, window), labels):
                of = counters.setdefault(at, {}).setdefault(name, {})
                of[key] = value * grid.step / window
        gauges: dict[int, dict[str, float]] = {}
        names = f'max by (__name__) ({{__name__=~"{"|".join(GAUGES)}"}})'
        for key, at, value in self._over(grid, names, ("__name__",)):
            gauges.setdefault(at, {})[key[0]] = value
        return [self._step(start, grid, counters, gauges) for start in grid.starts]

    def _step(
        self, start: int, grid: Grid, counters: dict[int, dict[str, dict[Key, float]]], gauges: dict[int, Any]
    ) -> Step | None:
        at = start + grid.step
        if at not in counters or start > self.now:
            return None
        seconds = grid.step if grid.step < WINDOW else min(grid.step, max(self.now - start, 1))
        return Step(seconds, counters[at], gauges.get(at, {}))

    def increase(self, wanted: Wanted, begin: float, end: float) -> Step | None:
        """What was added from a moment to another."""
        seconds = max(int(end - begin), 1)
        counters: dict[str, dict[Key, float]] = {}
        for name, labels in wanted.items():
            answer = self._ask("query", query=_increase(name, labels, seconds), time=f"{end:.3f}")
            for series in answer:
                value = float(series["value"][1])
                if isfinite(value):
                    counters.setdefault(name, {})[_key(series["metric"], labels)] = value
        return Step(seconds, counters, {}) if counters else None

    def _over(self, grid: Grid, query: str, labels: tuple[str, ...]) -> list[tuple[Key, int, float]]:
        answer = self._ask("query_range", query=query, start=grid.start + grid.step, end=grid.end, step=grid.step)
        return [
            (_key(series["metric"], labels), int(at), float(value))
            for series in answer
            for at, value in series["values"]
            if isfinite(float(value))
        ]

    def _ask(self, path: str, **parameters: object) -> list[Any]:
        try:
            result = json.loads(self._get(f"/api/v1/{path}?{urlencode(parameters)}"))["data"]["result"]
        except OSError as error:
            raise Unusable("did not answer") from error
        except (HTTPException, ValueError, KeyError, TypeError) as error:
            raise Unusable("did not answer as Prometheus does") from error
        if not isinstance(result, list):
            raise Unusable("did not answer as Prometheus does")
        return result

    def _get(self, path: str) -> bytes:
        left = self.deadline - perf_counter()
        if left <= 0:
            raise Unusable("did not answer in time")
        parts = urlsplit(self.url)
        if self.connection is None:
            kind = HTTPSConnection if parts.scheme == "https" else HTTPConnection
            self.connection = kind(parts.hostname or "localhost", parts.port, timeout=left)
        elif self.connection.sock is not None:
            self.connection.sock.settimeout(left)
        self.connection.request(
            "GET", f"{parts.path.rstrip('/')}{path}", headers=_headers(parts.username, parts.password)
        )
        return _body(self.connection.getresponse())


def _headers(user: str | None, password: str | None) -> dict[str, str]:
    """An address may carry the name and password of a proxy before Prometheus."""
    if user is None:
        return {}
    word = b64encode(f"{unquote(user)}:{unquote(password or '')}".encode()).decode()
    return {"Authorization": f"Basic {word}"}


def _body(answer: HTTPResponse) -> bytes:
    body = answer.read(MOST_BYTES + 1)
    if answer.status != 200 or len(body) > MOST_BYTES:
        raise Unusable(f"answered with status {answer.status}")
    return body


def _increase(name: str, labels: tuple[str, ...], seconds: int) -> str:
    return f"sum by ({', '.join(labels)}) (increase({name}[{seconds}s]))"


def _key(metric: dict[str, str], labels: tuple[str, ...]) -> Key:
    return tuple(metric.get(label, "") for label in labels)
