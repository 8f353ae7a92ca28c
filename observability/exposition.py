"""One snapshot of everything recorded, and its formats: Prometheus text, OpenMetrics, JSON, table rows."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from time import perf_counter
from typing import Any

import prometheus_client
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.openmetrics.exposition import escape_metric_name
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics
from prometheus_client.samples import Sample

from . import metrics, sources, store
from .store import StoredFamily

Snapshot = Sequence[Metric]

WITH_SUFFIX = {"counter", "histogram", "summary", "info"}  # types whose samples never carry the bare name
SETTABLE = {metric._name for metric in metrics.SETTABLE}

TEXT = "text/plain; version=0.0.4; charset=utf-8"
WITH_EXEMPLARS = {"counter", "histogram"}
END = b"# EOF\n"
OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"


def snapshot(names: Collection[str] = (), answers: sources.Answers | None = None) -> Snapshot:
    """Every family by name, of all processes and sources; with ``names`` only those families and samples.

    ``answers`` are those of the sources, for a caller that has asked them already.
    """
    begin = perf_counter()
    metrics.create_known_series()
    read = list(sources.collect(sources.ask() if answers is None else answers))
    recorded = list(_recorded())
    metrics.observability_store_damaged_files_total.inc(store.damaged())  # shown from the next scrape on
    health = _health(recorded, perf_counter() - begin)
    by_hand = (family for family in recorded if family.name in SETTABLE and _is_ours(family))
    families: dict[str, Metric] = {}
    for family in (*by_hand, *read, *health, *recorded):  # the first of a name counts
        families.setdefault(family.name, family)
    kept = (_restrict(family, names) for _, family in sorted(families.items()))
    return [family for family in kept if not _is_empty(family)]


def _recorded() -> Iterator[Metric]:
    """What the store holds, without creation times: they exist only where there is one process."""
    metrics.count_refused()
    unknown = metrics.never_set()
    for family in store.collect(metrics.REGISTRY, prometheus_client.REGISTRY):
        if isinstance(family, StoredFamily):
            if family.name not in unknown:
                yield family
        else:
            created = f"{family.name}_created"
            yield _with(family, [sample for sample in family.samples if sample.name != created])


def _is_ours(family: Metric) -> bool:
    """Whether somebody set it, and not a gauge of the host's that has the same name."""
    return not _is_empty(family) and not any(sample.labels for sample in family.samples)


def sample_names() -> set[str]:
    """The names that samples can have: of metrics declared in this process, and of gauges read from sources."""
    declared = metrics.REGISTRY._names_to_collectors | prometheus_client.REGISTRY._names_to_collectors
    families = {getattr(item, "_name", "") for item in declared.values() if getattr(item, "_type", "") in WITH_SUFFIX}
    return declared.keys() - families | {metric._name for metric in sources.gauges()}


def _health(recorded: Snapshot, seconds: float) -> Iterator[Metric]:
    """How the store and this scrape are."""
    values = {
        metrics.observability_scrape_duration_seconds: seconds,
        metrics.observability_store_files: store.file_count(),
        metrics.observability_store_healthy: store.healthy(),
        metrics.observability_series: sum(len(f.values) for f in recorded if isinstance(f, StoredFamily)),
    }
    return (sources.family(metric, {(): float(value)}) for metric, value in values.items())


def _is_empty(family: Metric) -> bool:
    return not (family.body if isinstance(family, StoredFamily) else family.samples)


def _restrict(family: Metric, names: Collection[str]) -> Metric:
    if not names or family.name in names or type_line_name(family) in names:
        return family
    if isinstance(family, StoredFamily):
        return family.only(names)
    return _with(family, [sample for sample in family.samples if sample.name in names])


def _with(family: Metric, samples: list[Sample]) -> Metric:
    result = Metric(family.name, family.documentation, family.type, family.unit)
    result.samples = samples
    return result


def type_line_name(family: Metric) -> str:
    """The family's name in the text format's TYPE line."""
    return family.name + {"counter": "_total", "info": "_info"}.get(family.type, "")


class _Collected(CollectorRegistry):
    """A snapshot in the shape that prometheus_client's formatters ask for."""

    def __init__(self, families: Snapshot) -> None:
        super().__init__()
        self.families = families

    def collect(self) -> Iterable[Metric]:
        return self.families


def to_text(families: Snapshot) -> bytes:
    """Prometheus text 0.0.4."""
    return b"".join(chain.from_iterable(map(_family_to_text, families)))


def _family_to_text(family: Metric) -> tuple[bytes, ...]:
    if not isinstance(family, StoredFamily):
        return (_format(generate_latest, [family]),)
    return _head(type_line_name(family), _escape_help(family.documentation), family.type), family.body


def _head(name: str, documentation: str, typ: str, unit: str = "") -> bytes:
    name = escape_metric_name(name)
    of_unit = f"# UNIT {name} {unit}\n" if unit else ""
    return f"# HELP {name} {documentation}\n# TYPE {name} {typ}\n{of_unit}".encode(errors="replace")


def _escape_help(text: str) -> str:
    return text.replace("\\", r"\\").replace("\n", r"\n")


def to_openmetrics(families: Snapshot) -> bytes:
    """OpenMetrics 1.0, with exemplars."""
    exemplars = store.exemplar_lines(metrics.REGISTRY, prometheus_client.REGISTRY)
    parts = chain.from_iterable(_family_to_openmetrics(family, exemplars) for family in families)
    return b"".join((*parts, END))


def _family_to_openmetrics(family: Metric, exemplars: store.Lines) -> tuple[bytes, ...]:
    if not isinstance(family, StoredFamily):
        return (_format(generate_openmetrics, [family]).removesuffix(END),)
    head = _head(family.name, _escape_help(family.documentation).replace('"', r"\""), family.type, family.unit)
    body = _exemplified(family.body, exemplars) if exemplars and family.type in WITH_EXEMPLARS else family.body
    return head, body


def _exemplified(body: bytes, exemplars: store.Lines) -> bytes:
    lines = body.decode().removesuffix("\n").split("\n")
    lines = [f"{line}{exemplars.get(line[: line.rfind(' ') + 1], '')}\n" for line in lines]
    return "".join(lines).encode(errors="replace")


def _format(generate: Callable[[CollectorRegistry], bytes], families: Snapshot) -> bytes:
    """A label value of the host's own that is no text must not end the scrape."""
    try:
        return generate(_Collected(families))
    except UnicodeEncodeError:
        return generate(_Collected([_encodable(family) for family in families]))


def _encodable(family: Metric) -> Metric:
    return _with(family, [sample._replace(labels=_valid(sample.labels)) for sample in family.samples])


def _valid(labels: dict[str, str]) -> dict[str, str]:
    return {name: value.encode("utf-8", "replace").decode() for name, value in labels.items()}


def to_dict(families: Snapshot) -> dict[str, Any]:
    """The JSON endpoint's content; numbers that strict JSON does not know are strings."""
    return {
        type_line_name(family): {
            "type": family.type,
            "help": family.documentation,
            "samples": [
                {"name": sample.name, "labels": sample.labels, "value": json_number(sample.value)}
                for sample in family.samples
            ],
        }
        for family in families
    }


def json_number(value: float) -> float | str:
    """A finite number as it is, others as ``"NaN"``, ``"+Inf"``, ``"-Inf"``."""
    if math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else "+Inf" if value > 0 else "-Inf"


@dataclass(frozen=True)
class Row:
    """One sample for people to read."""

    name: str
    type: str
    labels: str
    value: str


def to_rows(families: Snapshot) -> Iterator[Row]:
    """Table rows: a histogram's buckets are left out, its count and sum are there."""
    for family in families:
        for sample in family.samples:
            if not sample.name.endswith("_bucket"):
                pairs = ", ".join(f"{key}={_quoted(value)}" for key, value in sorted(sample.labels.items()))
                yield Row(sample.name, family.type, pairs, human_number(sample.value))


def _quoted(value: str) -> str:
    return '"' + value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n") + '"'


def human_number(value: float) -> str:
    """``1,284,310`` for whole and for large numbers, six significant digits for others."""
    if not math.isfinite(value):
        return str(json_number(value))
    whole = value == int(value) or abs(value) >= 1e6
    return f"{value:,.0f}" if whole and abs(value) < 1e15 else f"{value:,.6g}"


FORMATS: dict[str, Callable[[Snapshot], bytes]] = {"prometheus": to_text, "openmetrics": to_openmetrics}
