"""The course of a job on one axis of time: how long it waited, and each step that it took."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from django.utils.safestring import SafeString

from automation.admin import formats
from automation.models import Job, JobStatus, Step, StepStatus
from observability.pages.formats import identifier

MOST_TICKS = 6
THINNEST = 0.4  # percent of the axis, so that what took no time is seen
LAST_LABEL = 93  # percent of the axis, up to which a label has room
UNITS = {"d": 86_400, "h": 3600, "min": 60, "s": 1, "ms": 0.001}
TICKS = sorted(
    [number * size for size in (0.001, 0.01, 0.1, 1) for number in (1, 2, 5)]
    + [10, 20, *(minutes * 60 for minutes in (1, 2, 5, 10, 20, 30)), *(hours * 3600 for hours in (1, 2, 4, 8, 12))]
)
COLOURS = {"waiting": 6, StepStatus.RUNNING: 1, StepStatus.SUCCESS: 1, StepStatus.FAILED: 2}


@dataclass(frozen=True)
class Row:
    """One stretch of a job's time, in seconds after the job was created."""

    label: str | SafeString
    status: str
    begins: float
    lasts: float
    state: str | SafeString = "waiting"
    step: Step | None = None
    notes: list[str] = field(default_factory=list)
    is_over: bool = True

    @property
    def colour(self) -> int:
        """Return the number of the colour that all pages have for such a thing."""
        return COLOURS[self.status]

    @property
    def start(self) -> str:
        return f"+{formats.seconds(self.begins)}" if self.begins else "0 s"

    @property
    def duration(self) -> str:
        return f"{formats.seconds(self.lasts)}{'' if self.is_over else ' so far'}"


@dataclass(frozen=True)
class Tick:
    place: str
    label: str


@dataclass(frozen=True)
class Course:
    """The rows, from 0 to what ended last."""

    rows: list[Row]

    @property
    def length(self) -> float:
        return max(0.001, *(row.begins + row.lasts for row in self.rows), 0)

    @property
    def ticks(self) -> list[Tick]:
        """Return round times, few enough for their labels, with their place in percent."""
        apart = next((tick for tick in TICKS if self.length <= tick * MOST_TICKS), 0)
        days = UNITS["d"] * -(-self.length // (UNITS["d"] * MOST_TICKS))
        return list(self._ticks(apart or days))

    def _ticks(self, apart: float) -> Iterator[Tick]:
        unit, size = next(item for item in UNITS.items() if item[1] <= apart)
        for number in range(int(self.length / apart) + 1):
            place = 100 * number * apart / self.length
            label = f"{number * apart / size:.0f} {unit}" if number else "0"
            yield Tick(f"{place:.2f}%", label if place < LAST_LABEL else "")

    @property
    def bars(self) -> list[tuple[Row, str, str]]:
        """Return each row with where its bar begins and how long that is, in percent."""
        return [(row, *self._bar(row)) for row in self.rows]

    def _bar(self, row: Row) -> tuple[str, str]:
        width = max(THINNEST, 100 * row.lasts / self.length)
        return f"{min(100 * row.begins / self.length, 100 - width):.2f}%", f"{width:.2f}%"


def course(job: Job, steps: Iterable[Step], now: float) -> Course:
    """Return the wait for the first worker, and the steps as they began; `now` is in seconds since 1970."""
    return Course([_queued(job, now), *_taken(job, steps, now)])


def _queued(job: Job, now: float) -> Row:
    until = job.started_at or job.finished_at
    lasts = (until.timestamp() if until else now) - job.created_at.timestamp()
    is_over = job.started_at is not None or job.status != JobStatus.PENDING
    return Row("Queued", "waiting", 0, max(0, lasts), is_over=is_over)


def _taken(job: Job, steps: Iterable[Step], now: float) -> Iterator[Row]:
    """A step that did not succeed and comes once more is the attempt of another worker at it."""
    before: dict[tuple[str, str], int] = defaultdict(int)
    for step in steps:
        begins = max(0, (step.started_at - job.created_at).total_seconds())
        is_over = step.duration is not None
        lasts = step.duration if step.duration is not None else max(0, now - step.started_at.timestamp())
        notes = [f"attempt {before[step.name, step.detail] + 1}"] if before[step.name, step.detail] else []
        notes += [f"{step.attempts} tries"] if step.attempts > 1 else []
        state = formats.status(step.status, step.get_status_display())
        yield Row(identifier(step.name), step.status, begins, lasts, state, step, notes, is_over)
        before[step.name, step.detail] += step.status != StepStatus.SUCCESS


def unfinished(steps: Iterable[Step]) -> Step | None:
    """Return the step at which a job stands or ended: the last one that did not succeed, then or later."""
    left: dict[tuple[str, str], Step] = {}
    for step in steps:
        left.pop((step.name, step.detail), None)
        if step.status != StepStatus.SUCCESS:
            left[step.name, step.detail] = step
    return next(reversed(left.values()), None)
