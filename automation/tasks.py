"""The queue: the task that a worker (`manage.py db_worker`) runs for each job, and the ways into it and out of it."""

import logging
from typing import Any
from uuid import UUID

import django
from django.db import DEFAULT_DB_ALIAS, transaction
from django.utils import timezone
from django_tasks_db.compat import TaskResultStatus
from django_tasks_db.models import DBTaskResult

from automation import engine
from automation.conf import max_attempts
from automation.errors import describe
from automation.leases import Lost
from automation.models import Job, JobStatus, Step
from automation.transitions import finish_step
from observability.correlation import bound
from observability.tracking import transition

if django.VERSION >= (6, 0):
    from django.tasks import task
else:
    from django_tasks import task  # type: ignore[no-redef,unused-ignore]

logger = logging.getLogger(__name__)


@task()
def run_job(job_id: str) -> None:
    """Run the job of this id; what became of it is in its row."""
    job = Job.from_db(DEFAULT_DB_ALIAS, ["id"], [UUID(job_id)])  # read when it is taken
    try:
        engine.run(job)
    except (KeyboardInterrupt, SystemExit) as exc:
        # A second signal: the worker ends after this task. It would take what is raised for a failure of the task.
        give_back(job, describe(exc))
        with bound(job_id=job.pk, request_id=job.request_id):
            logger.warning("Job %s (%s) was given up, and is %s now.", job.pk, job.job_type, job.status)


def enqueue(job: Job) -> None:
    """Hand the job to the workers and keep the task's id on it; the caller saves that in the same transaction.

    The queue is in the same database, so that job and task are committed together, or neither is.
    """
    job.task_id = UUID(run_job.enqueue(str(job.pk)).id)


def requeue(job: Job) -> None:
    """Hand a pending job to the workers anew."""
    enqueue(job)
    Job.objects.filter(pk=job.pk).update(task_id=job.task_id)


def end_tasks(why: str, *ids: UUID | None) -> None:
    """End those of these tasks that run: the queue would show the tasks of dead workers as running for ever."""
    DBTaskResult.objects.filter(pk__in=filter(None, ids), status=TaskResultStatus.RUNNING).update(
        status=TaskResultStatus.FAILED,
        finished_at=timezone.now(),
        exception_class_path=f"{Lost.__module__}.{Lost.__qualname__}",
        traceback=why,
    )


def give_back(job: Job, why: str, **still: Any) -> bool:
    """End an attempt at a running job, and queue the job anew if it may be; `still` are conditions on its row.

    It is cancelled when somebody asked for that. It fails when it was taken too often, or was not queued but run in
    the foreground. False: this attempt at it does not run any more.
    """
    to = _after(job)
    ended = {"finished_at": timezone.now(), "duration": _age(job), "error": why}
    where = {"attempts": job.attempts, "cancel_requested_at": job.cancel_requested_at, **still}
    task_id = job.task_id
    with transaction.atomic():
        outcome = {} if to == JobStatus.PENDING else ended
        if not transition(job, to, come_from=JobStatus.RUNNING, where=where, **outcome):
            return False
        for step in job.steps.filter(status=Step.Status.RUNNING):
            finish_step(step, Step.Status.FAILED, duration=_age(step), error=why)
        end_tasks(why, task_id)
        if to == JobStatus.PENDING:
            requeue(job)
    return True


def _after(job: Job) -> JobStatus:
    """Return what follows on an attempt that came to nothing."""
    if job.cancel_requested_at:
        return JobStatus.CANCELLED
    if job.task_id is None or job.attempts >= max_attempts():
        return JobStatus.FAILED
    return JobStatus.PENDING


def _age(row: Job | Step) -> float:
    """Return the seconds since its start, by the time of day: another process saw that."""
    return max(0.0, (timezone.now() - row.started_at).total_seconds()) if row.started_at else 0.0
