"""How jobs and steps change their status: by conditional updates, of which one writer wins."""

from typing import Any

from django.utils import timezone

from automation.models import Job, JobStatus, Step, StepStatus
from observability.tracking import transition


def start_job(job: Job) -> bool:
    """Take a pending job; False when another worker has it already."""
    return transition(job, JobStatus.RUNNING, come_from=JobStatus.PENDING, started_at=timezone.now())


def finish_job(job: Job, status: JobStatus, *, duration: float, result: Any = None, error: str = "") -> bool:
    """End a running job (duration in seconds); False when it is not running any more."""
    outcome = {"finished_at": timezone.now(), "duration": duration, "result": result, "error": error}
    return transition(job, status, come_from=JobStatus.RUNNING, **outcome)


def start_step(job: Job, position: int, name: str, detail: str = "") -> Step:
    """Record that a step began; a second step at the same position is an IntegrityError."""
    return Step.objects.create(job=job, position=position, name=name, detail=detail)


def finish_step(step: Step, status: StepStatus, *, duration: float, error: str = "") -> bool:
    """End a running step (duration in seconds); False when it has ended already."""
    outcome = {"finished_at": timezone.now(), "duration": duration, "error": error}
    return transition(step, status, come_from=StepStatus.RUNNING, **outcome)
