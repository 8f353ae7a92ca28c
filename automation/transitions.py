"""How jobs, steps and AI requests change their status: by conditional updates, of which one writer wins.

The two that every job makes are in SQL, as PostgreSQL and SQLite have it: to write them, and to read the row that they
return, the ORM takes longer than the database takes to do them.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from datetime import timedelta
from decimal import Decimal
from functools import partial
from typing import Any

from django.db import connection, transaction
from django.db.models import Model
from django.db.models.functions import Now
from django.utils import timezone

from automation import budgets
from automation.conf import completion_timeout, lease
from automation.errors import BudgetExceeded
from automation.leases import worker_name
from automation.models import MAX_ID, AIRequest, AIRequestStatus, Job, JobStatus, PriceSource, Step, StepStatus
from automation.outages import outlast
from observability import correlation
from observability.metrics import MetricsCollector
from observability.tracking import announce, transition

DIED = "Its worker stopped without a word."
NOW = {"postgresql": "STATEMENT_TIMESTAMP()", "sqlite": "STRFTIME('%%Y-%%m-%%d %%H:%%M:%%f', 'NOW')"}

# The status is compared as an expression, for PostgreSQL: it would look for the job among all that have this status,
# which it takes for few when they were few at its last count, and not by the key.
#
# An end whose answer was lost with the connection is repeated: nobody else's is at the same microsecond.
TAKE = """
    UPDATE automation_job
    SET status = 'running', attempts = attempts + 1, worker = %(worker)s, heartbeat_at = {now},
        started_at = COALESCE(started_at, %(started_at)s), trace_id = COALESCE(NULLIF(trace_id, ''), %(trace_id)s)
    WHERE id = %(id)s AND status || '' = 'pending' AND cancel_requested_at IS NULL
    RETURNING job_type, status, payload, request_id, trace_id, task_id, created_at, started_at, heartbeat_at, attempts
"""
END = """
    UPDATE automation_job
    SET status = %(status)s, finished_at = %(finished_at)s, duration = %(duration)s, result = %(result)s,
        error = %(error)s, sentry_event_id = %(sentry_event_id)s
    WHERE id = %(id)s AND attempts = %(attempts)s AND (
        status || '' = 'running' OR status || '' = %(status)s AND finished_at = %(finished_at)s
    )
    RETURNING (
        SELECT CASE WHEN COUNT(*) = COUNT(cost) THEN SUM(cost) END
        FROM automation_airequest WHERE job_id = automation_job.id
    ) AS final_cost
"""
FIELDS = {field.attname: field for field in Job._meta.concrete_fields}
FIELDS["final_cost"] = AIRequest._meta.get_field("cost")


def start_job(job: Job) -> bool:
    """Take a pending job, and read it; False when another worker has it already, or somebody asked for its end."""
    take = TAKE.format(now=NOW[connection.vendor])
    trace_id = correlation.current().get("trace_id", "")[:MAX_ID]
    return _change(job, take, id=job.pk, worker=worker_name(), started_at=timezone.now(), trace_id=trace_id)


def finish_job(
    job: Job, status: JobStatus, *, duration: float, result: Any = None, error: str = "", event_id: str = ""
) -> bool:
    """End a running job (duration in seconds); False when this attempt at it does not run any more."""
    end = {"status": status, "finished_at": timezone.now(), "duration": duration, "result": result, "error": error}
    end["sentry_event_id"] = event_id
    return outlast(lambda: _change(job, END, id=job.pk, attempts=job.attempts, **end))


def _change(job: Job, statement: str, **values: Any) -> bool:
    """Change the job's row, and let the job have these values and those that the statement returns; False: no row."""
    parameters = {name: FIELDS[name].get_db_prep_save(value, connection) for name, value in values.items()}
    with _apart(), connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        row = cursor.fetchone()
        names = [column[0] for column in cursor.description]
    if row is None:
        return False
    vars(job).update(values | dict(zip(names, map(_converted, names, row), strict=True)))
    announce(job, using=connection.alias)
    return True


def _converted(name: str, value: Any) -> Any:
    """Return a value of the database as the ORM does."""
    column = FIELDS[name].cached_col
    for convert in (*connection.ops.get_db_converters(column), *column.get_db_converters(connection)):
        value = convert(value, column, connection)
    return value


def start_step(job: Job, position: int, name: str, detail: str = "") -> Step:
    """Record that a step began; a second step at the same position is an IntegrityError."""
    step = Step(job=job, position=position, name=name, detail=detail)
    insert(step, job=job, position=position, started_at=step.started_at)
    return step


def finish_step(step: Step, status: StepStatus, *, duration: float, **outcome: Any) -> bool:
    """End a running step (duration in seconds); False when it has ended already."""
    outcome |= {"finished_at": timezone.now(), "duration": duration, "attempts": step.attempts}
    return _finish(step, status, "finished_at", outcome)


def start_request(job: Job | None, provider: str, model: str, most: Callable[[], Decimal | None]) -> AIRequest:
    """Record that a model is about to be asked: what that costs is owed from then on, whatever becomes of us.

    `most` tells what it may cost, in USD; it is asked for where there are budgets to hold that in. Where one has not so
    much left, the request is recorded as refused, and BudgetExceeded raised.
    """
    step = correlation.current().get("step", "")
    about = {"job": job, "step": step, "provider": provider, "model": model}
    concerned = budgets.concerning(job, model)
    if not concerned:
        return _insert_request(AIRequest(**about))
    amount, row = most(), AIRequest(**about)
    try:
        return _insert_request(row, partial(budgets.reserve, row, concerned, amount))
    except BudgetExceeded as refusal:
        end_lost_requests()  # what they hold is spent, also where no worker sees to that
        refused = {"status": AIRequestStatus.BUDGET_EXCEEDED, "cost": 0, "price_source": PriceSource.NOT_BILLED}
        row = AIRequest(**about, **refused, error=str(refusal))
        _insert_request(row, partial(budgets.warn_of_refusal, concerned, amount))
        MetricsCollector.record_budget_rejection(refusal.budget)
        raise


def _insert_request(row: AIRequest, then: Callable[[], None] | None = None) -> AIRequest:
    insert(row, then, job=row.job, created_at=row.created_at)
    return row


def finish_request(row: AIRequest, status: AIRequestStatus, *, duration: float | None, **outcome: Any) -> bool:
    """End a running request (duration in seconds), and what budgets hold for it; False when it has ended already."""
    return _finish(row, status, "duration", outcome | {"duration": duration}, partial(budgets.settle, row))


def end_lost_requests() -> int:
    """End requests to models that nobody can wait for any more; what they have cost, nobody knows.

    Not those of an expired job at once: a worker that only stood still has its answer yet to record.
    """
    unknown = {"error": DIED, "price_source": PriceSource.NO_USAGE}
    longest = timedelta(seconds=completion_timeout()) + lease()
    lost = AIRequest.objects.filter(status=AIRequestStatus.RUNNING, created_at__lt=Now() - longest)
    return sum(finish_request(row, AIRequestStatus.ERROR, duration=None, **unknown) for row in lost)


def _finish(
    row: Step | AIRequest, status: str, known_by: str, outcome: dict[str, Any], then: Callable[[], None] | None = None
) -> bool:
    """End a running row; an end with the same value in the field `known_by` is this one. `then` is part of it."""

    def end() -> bool:
        with transaction.atomic() if then else _apart():
            mine = transition(row, status, come_from="running", **outcome)
            if mine and then:
                then()
            return mine

    def ended() -> bool | None:
        same = {known_by: outcome[known_by]}
        mine = type(row)._base_manager.filter(pk=row.pk, status=status, **same).exists()
        return _adopt(row, status=status, **outcome) if mine else None

    return outlast(end, ended)


def insert(row: Model, then: Callable[[], None] | None = None, **known_by: Any) -> None:
    """Insert a row, once; no other row has the same values in these fields. `then` is part of it."""

    def save() -> bool:
        with transaction.atomic() if then else nullcontext():
            row.save(force_insert=True)
            if then:
                then()
        return True

    def saved() -> bool | None:
        mine = type(row)._base_manager.filter(**known_by).first()
        row._state.adding = mine is None
        return _adopt(row, pk=mine.pk) if mine else None

    outlast(save, saved)


def _adopt(row: Model, **values: Any) -> bool:
    """Let an instance have what an earlier try has written, and count that: it did not come so far."""
    for name, value in values.items():
        setattr(row, name, value)
    announce(row)
    return True


def _apart() -> AbstractContextManager[object]:
    """A value that the database refuses must break no transaction around; outside of one a statement stands alone."""
    return transaction.atomic() if connection.in_atomic_block else nullcontext()
