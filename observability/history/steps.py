"""What happened in one step of time, and what follows from it: rates, ratios, quantiles."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import inf

from observability.metrics import REQUEST_SECONDS

from .amounts import Amounts, Key, add, by


@dataclass(frozen=True)
class Step:
    """What was added within a step, ``seconds`` of which are known, and gauges at its end."""

    seconds: float
    counters: Amounts
    gauges: Mapping[str, float]

    def sum(self, name: str, *key: str) -> float:
        """What was added to a counter, of all label values or of some."""
        found = self.counters.get(name, {})
        return found.get(key, 0.0) if key else sum(found.values())

    @property
    def request_rate(self) -> float | None:
        """Requests per second."""
        return self.sum("http_requests_total") / self.seconds if self.seconds else None

    @property
    def error_ratio(self) -> float | None:
        """Server errors per request; None without requests."""
        statuses = self.counters.get("http_requests_total", {})
        total = sum(statuses.values())
        return sum(value for (status,), value in statuses.items() if status.startswith("5")) / total if total else None

    def request_quantile(self, q: float) -> float | None:
        """Seconds within which this share of the requests was answered."""
        return quantile(q, self.counters.get("http_request_duration_seconds_bucket", {}), REQUEST_SECONDS)


def fold(steps: Iterable[Step | None]) -> Step | None:
    """Several steps as one."""
    known = [step for step in steps if step is not None]
    if not known:
        return None
    counters = add(*(step.counters for step in known))
    return Step(sum(step.seconds for step in known), counters, known[-1].gauges)


def quantile(q: float, buckets: Mapping[Key, float], bounds: Iterable[float]) -> float | None:
    """The q-quantile of a histogram; ``buckets`` are cumulative, by upper bound as the last label value.

    The same as Prometheus' ``histogram_quantile()``: linear within a bucket, and of the last bucket its lower bound.
    """
    found = dict.fromkeys((0.0, *bounds), 0.0) | {float(bound): value for (bound,), value in by(buckets, -1).items()}
    total = found.get(inf)
    return _within(_monotonic(sorted(found.items())), q * total) if total else None


def _monotonic(bounds: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Buckets that are read while they are written, or capped, may fall a little."""
    result, most = [], 0.0
    for bound, value in bounds:
        most = max(most, value)
        result.append((bound, most))
    return result


def _within(bounds: Sequence[tuple[float, float]], rank: float) -> float:
    for (low, below), (high, upto) in pairwise(bounds):
        if rank <= upto:
            return low if high == inf else low + (high - low) * (rank - below) / ((upto - below) or 1)
    return bounds[-2][0]
