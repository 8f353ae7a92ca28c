"""A metric and all its series as text: what changed is formatted, the rest is kept from the scrape before."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from functools import lru_cache, partial
from itertools import chain, compress, count
from operator import is_not, ne

from prometheus_client.metrics_core import Metric
from prometheus_client.openmetrics.exposition import escape_label_name, escape_metric_name
from prometheus_client.samples import Sample
from prometheus_client.utils import floatToGoString

Labels = tuple[tuple[str, str], ...]  # pairs of name and value
Names = tuple[tuple[str, str], ...]  # of the samples of a series: the name, and the value of ``le`` or ""
ABSENT = float("-nan")  # stands for a value that is not shown; told by identity


class StoredFamily(Metric):
    """A metric as it was at one moment; its text is there, its samples are made when somebody asks for them."""

    series: Sequence[Labels]

    def __init__(self, of: Family | StoredFamily, names: Names, values: Sequence[float], body: bytes) -> None:
        self.name, self.documentation, self.type, self.unit = of.name, of.documentation, of.type, of.unit
        self.series, self.names, self.values, self.body = of.series, names, values, body

    @property
    def samples(self) -> list[Sample]:  # type: ignore[override]
        """What the text says."""
        lines = ((labels, name, le) for labels in self.series for name, le in self.names)
        return [
            Sample(name, dict(labels, le=le) if le else dict(labels), value)
            for (labels, name, le), value in zip(lines, self.values, strict=True)
            if value is not ABSENT
        ]

    def only(self, samples: Collection[str]) -> StoredFamily:
        """The samples of these names."""
        wanted = [name in samples for name, _ in self.names]
        of_all = wanted * len(self.series)
        of_shown = (one for one, value in zip(of_all, self.values, strict=True) if value is not ABSENT)
        body = b"".join(line + b"\n" for line in compress(self.body.split(b"\n"), of_shown))
        return StoredFamily(self, tuple(compress(self.names, wanted)), list(compress(self.values, of_all)), body)


class Family:
    """A metric that changes, from which snapshots are taken. All its series have samples of the same names."""

    def __init__(self, name: str, documentation: str, typ: str, unit: str = "") -> None:
        self.name, self.documentation, self.type, self.unit = name, documentation, typ, unit
        self.series: Sequence[Labels] = ()
        self.names: Names = ()
        self.values: list[float] = []  # never changed, only replaced: snapshots share it
        self._prefixes: list[str] = []  # of each line what precedes its value
        self._lines: list[str] = []
        self._may_be_absent = False
        self._snapshot: StoredFamily | None = None

    def arrange(self, series: Sequence[Labels], names: Names) -> None:
        """Have these series, in this order; what is known of them stays."""
        known = dict(zip(self.series, self._of_each_series(), strict=True)) if names == self.names else {}
        of_each = (known.get(labels) or prefixes(labels, names) for labels in series)
        self._prefixes = list(chain.from_iterable(of_each))
        self.series, self.names = series, names
        self.values = []
        self._snapshot = None

    def _of_each_series(self) -> Iterable[tuple[str, ...]]:
        return zip(*[iter(self._prefixes)] * len(self.names), strict=True)

    def put(self, values: list[float], *, may_be_absent: bool = False) -> None:
        """The values of all series, one for each name; only those that changed are formatted."""
        if len(values) != len(self.values):
            self._lines = list(map(_line, self._prefixes, values))
        else:
            for at in compress(count(), map(ne, self.values, values)):
                self._lines[at] = _line(self._prefixes[at], values[at])
        self.values, self._may_be_absent = values, may_be_absent
        self._snapshot = None

    def snapshot(self) -> StoredFamily:
        """The metric as it is now; the same object as before where nothing changed."""
        if self._snapshot is None:
            body = "".join(self._present() if self._may_be_absent else self._lines)
            self._snapshot = StoredFamily(self, self.names, self.values, body.encode(errors="replace"))
        return self._snapshot

    def _present(self) -> Iterator[str]:
        return compress(self._lines, map(partial(is_not, ABSENT), self.values))


def _line(prefix: str, value: float) -> str:
    """Numbers as Go writes them."""
    return f"{prefix}{value!r}\n" if -1e300 < value < 1e6 else f"{prefix}{floatToGoString(value)}\n"


def prefixes(labels: Labels, names: Names) -> tuple[str, ...]:
    """The lines of a series, each as far as its value."""
    if len(names) == 1:
        return (f"{_metric(names[0][0])}{_in_braces(dict(labels))} ",)
    given = dict(labels)
    shared = _in_braces(given)
    return tuple(f"{_metric(name)}{_in_braces({**given, 'le': le}) if le else shared} " for name, le in names)


def _in_braces(labels: dict[str, str]) -> str:
    pairs = ",".join([f'{_label(key)}="{escaped(value)}"' for key, value in sorted(labels.items())])
    return f"{{{pairs}}}" if pairs else ""


def escaped(value: str) -> str:
    """A value that is no valid text must not end the scrape."""
    if value.isascii() and value.isprintable() and "\\" not in value and '"' not in value:
        return value
    return value.encode("utf-8", "replace").decode().replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")


_label = lru_cache(maxsize=1024)(escape_label_name)
_metric = lru_cache(maxsize=1024)(escape_metric_name)
