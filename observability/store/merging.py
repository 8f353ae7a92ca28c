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
Shape = tuple[Slot, ...]
Source = tuple["Numbers", int]  # a file, and the number of an entry in it
NO_VALUE = -1
DEPTH = 32  # iterators within each other, at most


class Numbers(Protocol):
    """What a file holds; the last value stands for what it does not have."""

    rank: int
    newness: tuple[bool, float]
    values: Sequence[float]
    stamps: Sequence[float]


class Column:
    """What one file has of one metric: series by their number in the family, and where their samples begin."""

    __slots__ = ("help", "pick", "series", "shapes", "starts")

    def __init__(self, documentation: str) -> None:
        self.help = documentation
        self.series, self.starts = array("i"), array("i")
        self.shapes: list[Shape] = []  # one where all series have the same
        self.pick: Pick = tuple

    def add(self, series: int, start: int, shape: Shape) -> None:
        """Samples of one series that follow each other."""
        if self.shapes != [shape]:
            if len(self.shapes) <= 1 and len(self.series):
                self.shapes = self.shapes * len(self.series)
            self.shapes.append(shape)
        self.series.append(series)
        self.starts.append(start)

    def runs(self) -> Iterator[tuple[int, int, Shape]]:
        """All that was added."""
        shapes = self.shapes if len(self.shapes) == len(self.series) else repeat(self.shapes[0], len(self.series))
        return zip(self.series, self.starts, shapes, strict=True)

    def is_aligned(self, shape: Shape, places: dict[int, int]) -> bool:
        """Whether it has all series in their order, one after another."""
        first, width, count = self.starts[0], len(shape), len(places)
        return (
            self.shapes == [shape]
            and self.starts == array("i", range(first, first + width * count, width))
            and list(map(places.__getitem__, self.series)) == list(range(count))
        )


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
        self._shape: Shape = ()
        self._bounds = 0  # how many of the shape are bounds of buckets
        self._absent: list[bool] = []  # which of the shown values no file has, where files differ
        self._sources: list[list[Source]] = []

    def number(self, labels: Labels) -> int:
        """The number of a series."""
        return self._numbers.setdefault(labels, len(self._numbers))

    def order(self) -> tuple[int, int]:
        """Where it comes first in the files."""
        file, column = next(iter(self.columns.items()))
        return file.rank, column.starts[0]

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
        places = {number: place for place, number in enumerate(order)}
        if len(by_number) > 2 * len(places):
            places = self._renumber(places)
        self._find(places) if self._choose else self._align(places)
        self.changed = True

    def _renumber(self, places: dict[int, int]) -> dict[int, int]:
        """Forget series that no file has any longer, as those of gauges of dead processes."""
        self._numbers = {labels: number for number, labels in enumerate(self.series)}
        for column in self.columns.values():
            column.series = array("i", map(places.__getitem__, column.series))
        return {number: number for number in places.values()}

    def _reshape(self) -> None:
        """All sample names, and after them all bounds of buckets in their order."""
        shapes = dict.fromkeys(shape for column in self.columns.values() for shape in column.shapes)
        slots = dict.fromkeys(chain.from_iterable(shapes))
        bounds = sorted(slot for slot in slots if isinstance(slot, float))
        self._shape = (*(slot for slot in slots if isinstance(slot, str)), *bounds)
        self._bounds = len(bounds)

    def _sample_names(self) -> Names:
        names = [(slot, "") for slot in self._shape if isinstance(slot, str)]
        bounds = [(f"{self.name}_bucket", floatToGoString(slot)) for slot in self._shape if isinstance(slot, float)]
        return (*names, *bounds, *([(f"{self.name}_count", "")] if bounds else []))

    def _find(self, places: dict[int, int]) -> None:
        """Where each value is, in the order of the files."""
        self._sources = [[] for _ in places]
        for file, column in self.columns.items():
            for series, start, _ in column.runs():
                self._sources[places[series]].append((file, start))

    def _align(self, places: dict[int, int]) -> None:
        """Have each column know where it has the values in the order of the series."""
        size = len(self._shape) * len(places)
        found = bytearray(size)
        for column in self.columns.values():
            if column.is_aligned(self._shape, places):
                column.pick = itemgetter(slice(column.starts[0], column.starts[0] + size))
                found = bytearray(b"\1" * size)
            else:
                numbers = self._aligned(column, places, [NO_VALUE] * size)
                column.pick = itemgetter(*numbers) if size > 1 else itemgetter(slice(numbers[0], None))
                found = bytearray(map(or_, found, map(NO_VALUE.__ne__, numbers)))
        self._absent = [] if all(found) else [not at for at in self._shown(found, _found)]

    def _aligned(self, column: Column, places: dict[int, int], numbers: list[int]) -> list[int]:
        width = len(self._shape)
        slots = {slot: at for at, slot in enumerate(self._shape)}
        for series, start, shape in column.runs():
            base = places[series] * width
            if shape is self._shape or shape == self._shape:
                numbers[base : base + width] = range(start, start + width)
            else:
                for number, slot in enumerate(shape, start):
                    numbers[base + slots[slot]] = number
        return numbers

    # Their values

    def _merged(self) -> list[float]:
        if self._choose:
            return list(map(self._choose, self._sources))
        totals: Iterable[float] = repeat(0.0, len(self._shape) * len(self.series))
        for number, (file, column) in enumerate(self.columns.items()):
            totals = map(add, totals, column.pick(file.values))  # ``sum`` rounds in another way since Python 3.12
            if number % DEPTH == DEPTH - 1:
                totals = list(totals)
        shown = self._shown(list(totals), _cumulated)
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
