"""What is kept of a snapshot: a few counters, summed up, and three gauges."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from math import isfinite

from prometheus_client.metrics_core import Metric

from observability.store import StoredFamily

Key = tuple[str, ...]
Amounts = Mapping[str, Mapping[Key, float]]  # by the sample's name, then by label values
Wanted = Mapping[str, tuple[str, ...]]  # the labels that are kept, by the sample's name; the others are summed up

TOTALS: Wanted = {
    "http_requests_total": ("status",),
    "http_request_duration_seconds_bucket": ("le",),
    "automation_jobs_total": ("status",),
    "ai_cost_usd_sum": (),
}
DETAILS: Wanted = {
    "http_requests_total": ("method", "endpoint", "status"),
    "http_request_duration_seconds_sum": ("method", "endpoint"),
    "http_request_duration_seconds_bucket": ("method", "endpoint", "le"),
    "automation_job_results_total": ("job_type", "status"),
    "automation_job_duration_seconds_bucket": ("job_type", "le"),
    "automation_job_queue_wait_seconds_sum": ("job_type",),
    "automation_job_queue_wait_seconds_count": ("job_type",),
    "automation_job_steps_total": ("step", "status"),
    "automation_step_duration_seconds_bucket": ("step", "le"),
}
GAUGES = ("active_users", "active_jobs", "database_connections")
NAMES = frozenset((*TOTALS, *DETAILS, *GAUGES))
MOST = 100  # endpoints, job types or steps that are kept of one sample
OF_A_GROUP = ("status", "le")  # kept for each of them


@dataclass(frozen=True)
class Sample:
    """Counters as they stood at a moment, in seconds since the epoch, and gauges."""

    at: float
    counters: Amounts
    gauges: Mapping[str, float]

    def pack(self) -> bytes:
        """As few bytes."""
        counters = {name: [[*key, value] for key, value in of.items()] for name, of in self.counters.items()}
        return zlib.compress(json.dumps([self.at, counters, self.gauges], separators=(",", ":")).encode(), 1)

    @classmethod
    def unpack(cls, data: bytes) -> Sample:
        """What ``pack`` made."""
        at, counters, gauges = json.loads(zlib.decompress(data))
        return cls(
            at, {name: {tuple(row[:-1]): row[-1] for row in rows} for name, rows in counters.items()}, dict(gauges)
        )


def take(families: Iterable[Metric], wanted: Wanted, at: float) -> Sample:
    """What a snapshot holds of the wanted counters, and the gauges."""
    found = {family.name: family for family in families}
    counters = {
        name: _bounded(_summed(found[of], name, labels), labels) if (of := _family_of(name)) in found else {}
        for name, labels in wanted.items()
    }
    gauges = {name: sample.value for name in GAUGES if name in found for sample in found[name].samples[:1]}
    return Sample(at, counters, {name: value for name, value in gauges.items() if isfinite(value)})


def _family_of(sample: str) -> str:
    return sample.rpartition("_")[0]  # "_total", "_bucket", "_sum" and "_count" are the sample's


def _summed(family: Metric, name: str, labels: tuple[str, ...]) -> dict[Key, float]:
    """Without what is 0, or no number that could be drawn."""
    result: dict[Key, float] = {}
    for given, le, value in _read(family, name):
        if value and isfinite(value):
            key = tuple([le if label == "le" else given.get(label, "") for label in labels])
            result[key] = result.get(key, 0.0) + value
    return result


def _read(family: Metric, name: str) -> Iterator[tuple[Mapping[str, str], str, float]]:
    """Labels, bound and value of the samples of a name; those of the store are many, so no object is made of each."""
    if not isinstance(family, StoredFamily):
        yield from ((one.labels, one.labels.get("le", ""), one.value) for one in family.samples if one.name == name)
        return
    places = [(at, le) for at, (sample, le) in enumerate(family.names) if sample == name]
    for number, series in enumerate(family.series):
        given, begin = dict(series), number * len(family.names)
        yield from ((given, le, family.values[begin + at]) for at, le in places)


def _bounded(amounts: dict[Key, float], labels: tuple[str, ...]) -> dict[Key, float]:
    """The greatest of them, with all of their statuses and buckets."""
    groups = _groups(amounts, labels)
    if len(groups) <= MOST:
        return amounts
    kept = set(sorted(groups, key=groups.__getitem__, reverse=True)[:MOST])
    return {key: value for key, value in amounts.items() if key[: _depth(labels)] in kept}


def _depth(labels: tuple[str, ...]) -> int:
    return sum(label not in OF_A_GROUP for label in labels)


def _groups(amounts: Mapping[Key, float], labels: tuple[str, ...]) -> dict[Key, float]:
    sums: dict[Key, float] = {}
    depth = _depth(labels)
    for key, value in amounts.items():
        sums[key[:depth]] = sums.get(key[:depth], 0.0) + value
    return sums


def increase(before: Amounts, after: Amounts, wanted: Wanted) -> Amounts:
    """What was added between two samples of one instance; a counter that fell began anew at 0."""
    return {name: _increase(before.get(name, {}), of, wanted[name]) for name, of in after.items()}


def _increase(before: Mapping[Key, float], after: Mapping[Key, float], labels: tuple[str, ...]) -> dict[Key, float]:
    """Of a group that was not among the greatest before, nobody knows."""
    depth = _depth(labels)
    known = {key[:depth] for key in before}
    is_full = len(known) >= MOST
    return {
        key: value - old if value > old else value
        for key, value in after.items()
        if value != (old := before.get(key, 0.0)) and not (is_full and key[:depth] not in known)
    }


def add(*amounts: Amounts) -> dict[str, dict[Key, float]]:
    """The sum of increases."""
    result: dict[str, dict[Key, float]] = {}
    for one in amounts:
        for name, of in one.items():
            sums = result.setdefault(name, {})
            for key, value in of.items():
                sums[key] = sums.get(key, 0.0) + value
    return result


def by(amounts: Mapping[Key, float], *places: int) -> dict[Key, float]:
    """Sums by some of the label values, named by their places."""
    result: dict[Key, float] = {}
    for key, value in amounts.items():
        kept = tuple(key[place] for place in places)
        result[kept] = result.get(kept, 0.0) + value
    return result
