"""Where the money goes: each table ends with the sum of all its rows, which is the same in each."""

from collections.abc import Callable, Iterable, Sequence
from datetime import date
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.utils.html import format_html

from automation.admin import formats
from automation.admin.spend.chart import OTHER, roles
from automation.admin.spend.reading import Reading
from automation.daybook import Sums, add
from automation.models import Job, JobStatus
from observability.pages.formats import identifier, percent, usd
from observability.pages.sections import Cell, Column, Table

MOST = 10  # rows; the others together are one more
NONE = formats.NONE
SHARE = Column("Share", "meter")


def number(title: str, *, secondary: bool = True) -> Column:
    return Column(title, "number", secondary=secondary)


def tokens(amount: int) -> str:
    """``812``, ``61.2 M``"""
    return formats.count(amount) if amount < 100_000 else f"{amount / 1e6:,.1f} M"


def each(spent: Decimal | None, among: int) -> str:
    """What one has cost on average."""
    return NONE if spent is None or not among else formats.cost(spent / among)


def at_least(sums: Sums, mean: str) -> str:
    """A mean over jobs of which some have requests of unknown cost."""
    return f"≥ {mean}" if sums.unpriced and mean != NONE else mean


Named = tuple[Cell, Sums]
Amount = Callable[[Sums], str]

# Columns that several tables have, with what stands in them; a mean has no place in a sum.
REQUESTS = (number("Requests"), lambda sums: formats.count(sums.number))
TOKENS_IN = (number("Tokens in"), lambda sums: tokens(sums.tokens_in))
CACHED = (number("of them cached"), lambda sums: tokens(sums.tokens_cached))
TOKENS_OUT = (number("Tokens out"), lambda sums: tokens(sums.tokens_out))
PER_REQUEST = (number("Per request"), lambda sums: each(sums.spent, sums.number - sums.unpriced))
JOBS = (number("Jobs"), lambda sums: formats.count(sums.jobs) if sums.jobs else NONE)
PER_JOB = (number("Per job"), lambda sums: at_least(sums, each(sums.spent, sums.jobs)))
WASTED = (number("Wasted", secondary=False), lambda sums: usd(sums.wasted))
COST = (number("Cost", secondary=False), lambda sums: usd(sums.spent))
MEANS = (PER_REQUEST, PER_JOB)


def breakdowns(reading: Reading) -> list[Table]:
    """Return what was spent by model, job type, step, user and outcome."""
    return [
        _table(reading, "model", "By model", _models(reading), REQUESTS, TOKENS_IN, CACHED, TOKENS_OUT, PER_REQUEST),
        _table(reading, "job_type", "By job type", _types(reading), JOBS, PER_JOB, WASTED),
        _table(reading, "step", "By step", _steps(reading), REQUESTS, PER_REQUEST),
        _table(reading, "user", "By user", _users(reading), REQUESTS, WASTED),
        _table(reading, "outcome", "By outcome of the job", _outcomes(reading), JOBS),
    ]


def _table(reading: Reading, name: str, caption: str, named: Sequence[Named], *columns: Any) -> Table:
    columns = (*columns, COST)
    whole = reading.total.spent

    def row(cell: Cell, sums: Sums) -> list[Cell]:
        share = None if sums.spent is None or not whole else float(sums.spent / whole)
        return [cell, *(Cell(write(sums)) for _, write in columns), Cell(percent(share), share=share)]

    total = add(sums for _, sums in named)
    last = [Cell("All"), *(Cell("" if one in MEANS else one[1](total)) for one in columns)]
    last.append(Cell(percent(float(total.spent / whole)) if total.spent and whole else NONE))
    heads = (Column(name.replace("_", " ").capitalize()), *(column for column, _ in columns), SHARE)
    rows = [row(cell, sums) for cell, sums in _shortened(named, OTHER if name == "model" else 0)]
    return Table(f"spend-{name}", caption, heads, rows, "No requests in this time.", total=last if rows else ())


def _shortened(named: Sequence[Named], role: int) -> list[Named]:
    """Return the first, and the others as one."""
    if len(named) <= MOST + 1:
        return list(named)
    others = named[MOST:]
    return [*named[:MOST], (Cell(f"other ({len(others)})", role=role), add(sums for _, sums in others))]


def _models(reading: Reading) -> list[Named]:
    colours = roles(reading)
    return [
        (
            Cell(identifier(model), reading.rows_url("airequest", model=model), role=colours.get(model, OTHER)),
            sums,
        )
        for model, sums in reading.ranked("model")
    ]


def _types(reading: Reading) -> list[Named]:
    return [
        (Cell(identifier(name), reading.rows_url("job", job_type=name)) if name else Cell("no job"), sums)
        for name, sums in reading.ranked("job_type")
    ]


def _steps(reading: Reading) -> list[Named]:
    address = "step_changelist"
    return [
        (Cell(identifier(name), reading.url("automation", address, name=name)) if name else Cell("no step"), sums)
        for name, sums in reading.ranked("step")
    ]


def _users(reading: Reading) -> list[Named]:
    return [
        (Cell(identifier(name), reading.rows_url("job", started_by=key)) if key else Cell("nobody"), sums)
        for key, name, sums in reading.users
    ]


ORDER = (JobStatus.SUCCESS, JobStatus.FAILED, JobStatus.CANCELLED, JobStatus.RUNNING, JobStatus.PENDING)


def _outcomes(reading: Reading) -> list[Named]:
    found = reading.book.by["outcome"]
    rows = [
        (Cell(_outcome(status), reading.rows_url("job", status__exact=status)), found[status])
        for status in ORDER
        if status in found
    ]
    return [*rows, (Cell("no job"), found[""])] if "" in found else rows


def _outcome(status: JobStatus) -> str:
    words = {JobStatus.RUNNING: "Still running", JobStatus.PENDING: "To go on"}
    return formats.status(status, words.get(status, status.label))


def costliest_jobs(reading: Reading) -> Table:
    """Return the jobs that cost most in this time."""
    found = reading.book.costliest_jobs()
    jobs = Job.objects.defer("payload", "result").in_bulk([UUID(key) for key, _ in found])
    columns = (
        Column("Job"),
        Column("Outcome"),
        Column("Started"),
        number("Duration", secondary=False),
        number("Requests", secondary=False),
        number("Tokens", secondary=False),
        number("Cost", secondary=False),
    )
    rows = [_job(reading, jobs[UUID(key)], sums) for key, sums in found if UUID(key) in jobs]
    return Table("spend-jobs", "Costliest jobs", columns, rows, "No job has cost anything in this time.", wide=True)


def _job(reading: Reading, job: Job, sums: Sums) -> list[Cell]:
    name = format_html("{} {}", identifier(job.job_type), str(job.pk)[:8])
    return [
        Cell(name, reading.url("automation", "job_change", job.pk)),
        Cell(formats.status(job.status, job.get_status_display())),
        Cell(formats.moment(job.started_at or job.created_at)),
        Cell(formats.seconds(job.duration)),
        Cell(formats.count(sums.number)),
        Cell(tokens(sums.tokens_in + sums.tokens_out)),
        Cell(formats.cost(sums.spent)),
    ]


def unpriced(reading: Reading) -> Table:
    """Return the models whose requests have no cost, and why."""
    columns = (
        Column("Model"),
        Column("Why"),
        number("Requests", secondary=False),
        number("Tokens in", secondary=False),
        number("Tokens out", secondary=False),
        number("First", secondary=False),
        number("Last", secondary=False),
    )
    rows = [*_without(reading, "no_price", "no price"), *_without(reading, "no_usage", "tokens unknown")]
    return Table("spend-unpriced", "Models", columns, rows, "Each request has a cost.", wide=True)


def _without(reading: Reading, dimension: str, why: str) -> Iterable[list[Cell]]:
    for model, sums in sorted(reading.book.by[dimension].items(), key=lambda item: (-item[1].number, item[0])):
        yield [
            Cell(identifier(model), reading.rows_url("airequest", model=model)),
            Cell(why),
            Cell(formats.count(sums.number)),
            Cell(formats.count(sums.tokens_in)),
            Cell(formats.count(sums.tokens_out)),
            Cell(_day(sums.first)),
            Cell(_day(sums.last)),
        ]


def _day(day: date | None) -> str:
    return f"{day.day} {day:%b}" if day else NONE
