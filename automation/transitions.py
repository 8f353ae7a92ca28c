"""How jobs and steps change their status: by conditional updates, of which one writer wins."""

from contextlib import AbstractContextManager, nullcontext
from typing import Any

from django.db import connection, transaction
from django.db.models.functions import Now
from django.utils import timezone

from automation.leases import worker_name
from automation.models import MAX_ID, Job, JobStatus, Step, StepStatus
from observability import correlation
from observability.tracking import transition


def start_job(job: Job) -> bool:
    """Take a pending job; False when another worker has it already, or somebody asked for its end."""
    start = {
        "attempts": job.attempts + 1,
        "worker": worker_name(),
        "heartbeat_at": Now(),
        "started_at": job.started_at or timezone.now(),
        "trace_id": correlation.current().get("trace_id", job.trace_id)[:MAX_ID],
    }
    still = {"attempts": job.attempts, "cancel_requested_at": None}
    return transition(job, JobStatus.RUNNING, come_from=JobStatus.PENDING, where=still, **start)


def finish_job(
    job: Job, status: JobStatus, *, duration: float, result: Any = None, error: str = "", event_id: str = ""
) -> bool:
    """End a running job (duration in seconds); False when this attempt at it does not run any more."""
    outcome = {"finished_at": timezone.now(), "duration": duration, "result": result, "error": error}
    outcome["sentry_event_id"] = event_id
    with _apart():
        return transition(job, status, come_from=JobStatus.RUNNING, where={"attempts": job.attempts}, **outcome)


def start_step(job: Job, position: int, name: str, detail: str = "") -> Step:
    """Record that a step began; a second step at the same position is an IntegrityError."""
    return Step.objects.create(job=job, position=position, name=name, detail=detail)


def finish_step(step: Step, status: StepStatus, *, duration: float, **outcome: Any) -> bool:
    """End a running step (duration in seconds); False when it has ended already."""
    outcome |= {"finished_at": timezone.now(), "duration": duration, "attempts": step.attempts}
    with _apart():
        return transition(step, status, come_from=StepStatus.RUNNING, **outcome)


def _apart() -> AbstractContextManager[object]:
    """A value that the database refuses must break no transaction around; outside of one a statement stands alone."""
    return transaction.atomic() if connection.in_atomic_block else nullcontext()
