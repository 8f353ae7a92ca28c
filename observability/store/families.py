"""A metric and all its series as text: what changed is formatted, the rest is kept from the scrape before."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cached_property, lru_cache

from prometheus_client.metrics_core import Metric
from prometheus_client.openmetrics.exposition import escape_label_name, escape_metric_name
from prometheus_client.samples import Sample
from prometheus_client.utils import floatToGoString

Labels = tuple[tuple[str, str], ...]  # pairs of name and value
Names = tuple[tuple[str, str], ...]  # of a series' samples: the name, and the value of ``le`` or ""
Layout = tuple[tuple[Labels, Names], ...]
ABSENT = float("-nan")  # stands for a value that is not shown; told by identity


class StoredFamily(Metric):
    """A metric as it was at one moment; its text is there, its samples are made when somebody asks for them."""

    def __init__(
        self, name: str, documentation: str, typ: str, body: str, layout: Layout, values: Sequence[float]
    ) -> None:
        super().__init__(name, documentation, typ)
        del self.samples
        self.body = body
        self._layout, self._values = layout, values

    def __bool__(self) -> bool:
        return bool(self.body)

    @property
    def size(self) -> int:
        """The number of samples, some of which may be absent."""
        return len(self._values)

    @cached_property
    def samples(self) -> list[Sample]:  # type: ignore[override]
        """What the text says."""
        values = iter(self._values)
        return [
            Sample(name, dict(labels, le=le) if le else dict(labels), value)
            for labels, names in self._layout
            for (name, le), value in zip(names, values, strict=False)
            if value is not ABSENT
        ]


class Family:
    """A metric that changes, from which snapshots are taken."""

    def __init__(self, name: str, documentation: str, typ: str) -> None:
        self.name, self.documentation, self.type = name, documentation, typ
        self.clear()

    def clear(self) -> None:
        """Forget all series."""
        self._parts: list[str] = []  # what precedes a value, and the value, in turn
        self._layout: list[tuple[Labels, Names]] = []
        self._values: list[float] = []
        self._snapshot: StoredFamily | None = None

    def add(self, labels: Labels, names: Names) -> int:
        """Make room for the samples of one series; the place of the first."""
        place = len(self._values)
        self._layout.append((labels, names))
        given = dict(labels)
        for name, le in names:
            self._parts += (_prefix(name, {**given, "le": le} if le else given), "")
            self._values.append(ABSENT)
        self._snapshot = None
        return place

    def put(self, place: int, values: Sequence[float]) -> None:
        """The values of one series."""
        end = place + len(values)
        self._values[place:end] = values
        self._parts[2 * place + 1 : 2 * end : 2] = map(number, values)
        self._snapshot = None

    def snapshot(self) -> StoredFamily:
        """The metric as it is now; the same object as before where nothing changed."""
        if self._snapshot is None:
            values = tuple(self._values)
            parts = self._parts if ABSENT not in values else self._present()
            self._snapshot = StoredFamily(
                self.name, self.documentation, self.type, "".join(parts), tuple(self._layout), values
            )
        return self._snapshot

    def _present(self) -> Iterable[str]:
        for place, value in enumerate(self._values):
            if value is not ABSENT:
                yield from self._parts[2 * place : 2 * place + 2]


def number(value: float) -> str:
    """A number as Go writes it, at the end of its line."""
    return f"{value!r}\n" if -1e300 < value < 1e6 else f"{floatToGoString(value)}\n"


def _prefix(name: str, labels: dict[str, str]) -> str:
    """A line of the text format as far as its value."""
    pairs = ",".join(f'{_label(key)}="{_escaped(value)}"' for key, value in sorted(labels.items()))
    return f"{_metric(name)}{{{pairs}}} " if pairs else f"{_metric(name)} "


def _escaped(value: str) -> str:
    """A value that is no valid text must not end the scrape."""
    valid = value if value.isascii() else value.encode("utf-8", "replace").decode()
    return valid.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")


_label = lru_cache(maxsize=1024)(escape_label_name)
_metric = lru_cache(maxsize=1024)(escape_metric_name)
