"""History from own samples, and the snapshot of now as the last one."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from itertools import groupby, pairwise

from . import ring
from .amounts import Amounts, Sample, Wanted, add, increase
from .ranges import Grid
from .ring import Tier
from .steps import Step, fold

GAP = 3  # steps without a sample
PARTS = 12  # of a time, of which one more or less does no harm
LOOKS = 24  # samples of an instance, at most, from which an increase over a long time is summed up


@dataclass(frozen=True)
class Placed:
    """A sample and the moment it stands for: samples are taken a little after it."""

    due: float
    unpack: Callable[[], Sample]

    @cached_property
    def sample(self) -> Sample:
        """Unpacked when it is looked at: of a long time, few are."""
        return self.unpack()


@dataclass(frozen=True)
class Own:
    """The samples of all instances; ``now`` are those of this moment, of this instance, by what they hold."""

    now: float
    live: Sequence[tuple[Wanted, Sample]]

    name = "own"

    def steps(self, grid: Grid) -> list[Step | None]:
        """What was added in each step."""
        found: dict[int, list[Step]] = defaultdict(list)
        tier = _finest(ring.TIERS[:3], grid.step, self.now - grid.start)
        for samples in self._samples(tier, grid.start - tier.step).values():
            for place, steps in _by_step(samples, tier, grid):
                if (whole := fold(steps)) is not None:
                    found[place].append(whole)
        return [_together(found[place]) if place in found else None for place in range(len(grid.starts))]

    def increase(self, wanted: Wanted, begin: float, end: float) -> Step | None:
        """What was added from a moment to another."""
        tiers = [tier for tier in ring.TIERS if wanted.items() <= tier.wanted.items()]
        tier = _finest(tiers, int(end - begin) // PARTS, self.now - begin)
        of_each = []
        for samples in self._samples(tier, begin).values():
            upto = [placed for placed in samples if placed.due <= end]
            looks = [*upto[:: max(1, len(upto) // LOOKS)], *upto[-1:]]
            if (whole := fold(_between(*pair, tier.wanted) for pair in pairwise(looks))) is not None:
                of_each.append(whole)
        before = _together(of_each) if of_each else None
        last = end // tier.step * tier.step
        rest = self.increase(wanted, last, end) if begin < last < end < self.now else None  # by finer samples
        return fold(step for step in (before, rest) if step)

    def _samples(self, tier: Tier, since: float) -> dict[str, list[Placed]]:
        """By instance, from the last one at or before a moment on."""
        backend = ring.backend()
        rows = backend.read(tier, tier.slot(since)) if backend else ()
        found: dict[str, list[Placed]] = defaultdict(list)
        for row in rows:
            found[row.instance].append(Placed(row.slot * tier.step, partial(Sample.unpack, row.data)))
        live = next(sample for wanted, sample in self.live if wanted is tier.wanted)
        found[ring.instance()].append(Placed(self.now, lambda: live))
        return found


def _finest(tiers: Sequence[Tier], step: int, age: float) -> Tier:
    """The coarsest that is fine enough, or the finest, of those that reach far enough back."""
    fitting = [tier for tier in tiers if tier.seconds >= age] or tiers[-1:]
    return next((tier for tier in reversed(fitting) if tier.step <= step), fitting[0])


def _by_step(samples: Iterable[Placed], tier: Tier, grid: Grid) -> Iterator[tuple[int, list[Step]]]:
    """What lies between two samples belongs to the step of the later one."""
    for place, pairs in groupby(pairwise(samples), key=lambda pair: grid.place(pair[1].due)):
        if 0 <= place < len(grid.starts):
            yield place, [_between(*ends, tier.wanted) for ends in _unbroken(pairs, tier)]


def _unbroken(pairs: Iterable[tuple[Placed, Placed]], tier: Tier) -> Iterator[tuple[Placed, Placed]]:
    """The first and the last of samples without a gap among them; nobody has to look at the others."""
    for is_near, found in groupby(pairs, key=lambda pair: pair[1].due - pair[0].due <= GAP * tier.step):
        if is_near:
            run = list(found)
            yield run[0][0], run[-1][1]


def _between(before: Placed, after: Placed, wanted: Wanted) -> Step:
    added = increase(before.sample.counters, after.sample.counters, wanted)
    return Step(after.sample.at - before.sample.at, added, after.sample.gauges)


def _together(steps: Sequence[Step]) -> Step:
    """The same time at several instances; a gauge describes the whole deployment."""
    gauges: dict[str, float] = {}
    for step in steps:
        for name, value in step.gauges.items():
            gauges[name] = max(value, gauges.get(name, value))
    counters: Amounts = add(*(step.counters for step in steps))
    return Step(max(step.seconds for step in steps), counters, gauges)
