"""One metric over all files: its series in the order of the files, their values added up column by column."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import reduce
from itertools import accumulate, chain, repeat
from operator import add, itemgetter, or_
from typing import Protocol

from prometheus_client.utils import floatToGoString

from .families import ABSENT, Family, Labels, Names

Slot = str | float  # of a sample within its series: its name, or the upper bound of its bucket
Source = tuple["Numbers", int]  # a file, and the number of an entry in it
NO_VALUE = -1


class Numbers(Protocol):
    """What a file holds."""

    rank: int
    newness: tuple[bool, float]
    values: Sequence[float]
    stamps: Sequence[float]

    def pad(self) -> None:
        """Have one value more, at the end, which stands for what it does not have."""


class Column:
    """What one file has of one metric: of each sample the series, the slot, and the number of its entry."""

    __slots__ = ("help", "numbers", "picks", "series", "slots")

    def __init__(self, documentation: str) -> None:
        self.help = documentation
        self.series, self.slots, self.numbers = array("i"), array("i"), array("i")
        self.picks: list[Pick] = []

    def add(self, series: int, slot: int, number: int) -> None:
        """One more entry; series and slots are those that the family numbers."""
        self.series.append(series)
        self.slots.append(slot)
        self.numbers.append(number)


OfBuckets = Callable[[Sequence[float]], list[float]]
Pick = Callable[[Sequence[float]], Sequence[float]]  # the values of a family, in its order, from those of a file


class MergedFamily(Family):
    """A metric over all files."""

    def __init__(self, name: str, documentation: str, typ: str, mode: str) -> None:
        super().__init__(name, documentation, typ)
        self.columns: dict[Numbers, Column] = {}
        self.changed = self.rearranged = True
        self._choose = CHOICES.get(mode.removeprefix("live"))  # None: values are added up
        self._numbers: dict[Labels, int] = {}
        self._slots: dict[Slot, int] = {}
        self._shape: list[Slot] = []  # what the files have of a series
        self._bounds = 0  # how many of the shape are bounds of buckets
        self._absent: list[bool] = []  # which of the shown values no file has, where files differ
        self._sources: list[list[Source]] = []

    def number(self, labels: Labels) -> int:
        """The number of a series."""
        return self._numbers.setdefault(labels, len(self._numbers))

    def slot(self, slot: Slot) -> int:
        """The number of a slot."""
        return self._slots.setdefault(slot, len(self._slots))

    def order(self) -> tuple[int, int]:
        """Where it comes first in the files."""
        file, column = next(iter(self.columns.items()))
        return file.rank, column.numbers[0]

    def newness(self) -> tuple[bool, float]:
        """Of its newest file, to choose among metrics of one name."""
        return max(file.newness for file in self.columns)

    def render(self) -> None:
        """Format what changed."""
        if self.rearranged:
            self._rearrange()
        if self.changed:
            self.put(self._merged(), may_be_absent=bool(self._choose or self._absent))
        self.changed = self.rearranged = False

    # Which series there are, and which samples they have

    def _rearrange(self) -> None:
        """Series in the order in which they come in the files, as prometheus_client has it."""
        self.columns = dict(sorted(self.columns.items(), key=lambda item: item[0].rank))
        self.documentation = next(iter(self.columns.values())).help
        self._reshape()
        order = dict.fromkeys(chain.from_iterable(column.series for column in self.columns.values()))
        by_number = list(self._numbers)
        self.arrange([by_number[number] for number in order], self._sample_names())
        if len(by_number) > 2 * len(order):
            order = self._renumber(order)
        bases = {number: place * len(self._shape) for place, number in enumerate(order)}
        self._find(bases) if self._choose else self._align(bases)
        self.changed = True

    def _renumber(self, order: Iterable[int]) -> dict[int, None]:
        """Forget series that no file has any longer, as those of gauges of dead processes."""
        numbers = {before: number for number, before in enumerate(order)}
        self._numbers = {labels: number for number, labels in enumerate(self.series)}
        for column in self.columns.values():
            column.series = array("i", map(numbers.__getitem__, column.series))
        return dict.fromkeys(numbers.values())

    def _reshape(self) -> None:
        """All sample names, and after them all bounds of buckets in their order."""
        by_number = list(self._slots)
        used = dict.fromkeys(chain.from_iterable(column.slots for column in self.columns.values()))
        slots = [by_number[number] for number in used]
        bounds = sorted(slot for slot in slots if isinstance(slot, float))
        self._shape = [*(slot for slot in slots if isinstance(slot, str)), *bounds]
        self._bounds = len(bounds)

    def _sample_names(self) -> Names:
        names = [(slot, "") for slot in self._shape if isinstance(slot, str)]
        bounds = [(f"{self.name}_bucket", floatToGoString(slot)) for slot in self._shape if isinstance(slot, float)]
        return (*names, *bounds, *([(f"{self.name}_count", "")] if bounds else []))

    def _places(self, column: Column, bases: dict[int, int]) -> list[int]:
        """Of each sample of a column, where it is shown."""
        ranks = {self._slots[slot]: rank for rank, slot in enumerate(self._shape)}
        return list(map(add, map(bases.__getitem__, column.series), map(ranks.__getitem__, column.slots)))

    def _find(self, bases: dict[int, int]) -> None:
        """Where each value is, in the order of the files."""
        self._sources = [[] for _ in range(len(bases) * len(self._shape))]
        for file, column in self.columns.items():
            for place, number in zip(self._places(column, bases), column.numbers, strict=True):
                self._sources[place].append((file, number))

    def _align(self, bases: dict[int, int]) -> None:
        """Have each column know where it has the values in the order of the series."""
        everything = list(range(len(bases) * len(self._shape)))
        found = bytearray(len(everything))
        for file, column in self.columns.items():
            first, end = column.numbers[0], column.numbers[-1] + 1
            places = self._places(column, bases)
            if places == everything and end - first == len(everything):
                column.picks = [itemgetter(slice(first, end))]
                found = bytearray(b"\1" * len(everything))
            else:
                file.pad()
                layers = list(_layers(places, column.numbers, len(everything)))
                column.picks = list(map(_pick, layers))
                found = bytearray(map(or_, found, map(NO_VALUE.__ne__, layers[0])))
        self._absent = [] if all(found) else [not at for at in self._shown(found, _found)]

    # Their values

    def _merged(self) -> list[float]:
        if self._choose:
            return list(map(self._choose, self._sources))
        totals = _added_up([pick(file.values) for file, column in self.columns.items() for pick in column.picks])
        shown = self._shown(totals, _cumulated)
        if self._absent:
            return [ABSENT if absent else value for absent, value in zip(self._absent, shown, strict=True)]
        return shown

    def _shown(self, values: Sequence[float], buckets_and_count: OfBuckets) -> list[float]:
        """What is shown of a series: a histogram has its count after its buckets."""
        if not self._bounds:
            return list(values)
        names = len(self._shape) - self._bounds
        shown: list[float] = []
        for start in range(0, len(values), len(self._shape)):
            shown += values[start : start + names]
            shown += buckets_and_count(values[start + names : start + len(self._shape)])
        return shown


def _layers(places: Iterable[int], numbers: Iterable[int], size: int) -> Iterator[list[int]]:
    """For each place the number of its entry; of several, as with two help texts, each but the first in a new layer."""
    entries = list(zip(places, numbers, strict=True))
    while entries:
        layer, others = [NO_VALUE] * size, []
        for place, number in entries:
            if layer[place] == NO_VALUE:
                layer[place] = number
            else:
                others.append((place, number))
        yield layer
        entries = others


def _pick(numbers: Sequence[int]) -> Pick:
    return itemgetter(*numbers) if len(numbers) > 1 else itemgetter(slice(numbers[0], numbers[0] + 1 or None))


def _added_up(columns: list[Sequence[float]]) -> list[float]:
    """The sums of columns, each added to those before: ``sum`` rounds in another way since Python 3.12."""
    totals: Iterable[float] = repeat(0.0)
    while len(columns) >= 4:  # at once, which is faster than one by one
        totals = [t + a + b + c + d for t, a, b, c, d in zip(totals, *columns[:4], strict=False)]
        columns = columns[4:]
    for column in columns:
        totals = map(add, totals, column)
    return list(totals)


def _cumulated(buckets: Sequence[float]) -> list[float]:
    """Each bucket with all below it, and the count of all."""
    cumulated = list(accumulate(buckets))
    return [*cumulated, cumulated[-1]]


def _found(buckets: Sequence[float]) -> list[float]:
    """Which buckets there are, and whether there is a count."""
    return [*buckets, max(buckets)]


def _least(sources: list[Source]) -> float:
    return reduce(lambda best, value: value if value < best else best, _values(sources))


def _greatest(sources: list[Source]) -> float:
    return reduce(lambda best, value: value if value > best else best, _values(sources))


def _values(sources: list[Source]) -> list[float]:
    return [file.values[number] for file, number in sources]


def _last(sources: list[Source]) -> float:
    return _values(sources)[-1]


def _most_recent(sources: list[Source]) -> float:
    """The value with the highest time stamp; none while nobody has set it."""
    latest, found = 0.0, ABSENT
    for file, number in sources:
        if file.stamps[number] > latest:
            latest, found = file.stamps[number], file.values[number]
    return found


CHOICES: dict[str, Callable[[list[Source]], float]] = {
    "min": _least,
    "max": _greatest,
    "all": _last,
    "mostrecent": _most_recent,
}
