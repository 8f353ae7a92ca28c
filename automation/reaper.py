"""Sees to what dead workers left: their jobs go back to the queue, or fail when that was tried often enough."""

import logging

from django.db import transaction
from django.db.models import Q
from django.db.models.expressions import Combinable
from django.db.models.functions import Now
from django.utils import timezone
from django_tasks_db.compat import TaskResultStatus
from django_tasks_db.models import DBTaskResult

from automation.background import PER_LEASE
from automation.conf import lease
from automation.leases import Lost
from automation.models import Job, JobStatus
from automation.tasks import give_back, requeue, run_job
from observability import sentry
from observability.tracking import transition

logger = logging.getLogger(__name__)

MONITOR = "automation-reaper"  # in Sentry
BATCH = 100  # waiting jobs that one pass looks at, the oldest first
DIED = "Its worker stopped without a word."


def reap() -> int:
    """Make one pass and return how many jobs it saw to; of several passes at the same time one sees to each job."""
    with sentry.check_in(MONITOR, seconds=lease().total_seconds() / PER_LEASE):
        number = sum(map(_end_attempt, _expired())) + sum(map(_queue_again, _stranded()))
        _end_tasks()
    if number:
        logger.warning("Saw to %d jobs that dead workers had left.", number)
    return number


def _lease_ago() -> Combinable:
    """Return the time by the database's clock, which is the same for all hosts."""
    return Now() - lease()


def _expired() -> list[Job]:
    """Return the running jobs without a sign of life."""
    return list(Job.objects.filter(status=JobStatus.RUNNING, heartbeat_at__lt=_lease_ago()))


def _end_attempt(job: Job) -> bool:
    return give_back(job, DIED, heartbeat_at__lt=_lease_ago())


def _stranded() -> list[Job]:
    """Return pending jobs that no task leads to any more: its worker died, or lost the database, before their start."""
    pending = Job.objects.filter(status=JobStatus.PENDING, created_at__lt=_lease_ago())
    oldest = list(pending.order_by("created_at", "id")[:BATCH])
    coming = Q(status=TaskResultStatus.READY) | Q(status=TaskResultStatus.RUNNING, started_at__gte=_lease_ago())
    tasks = DBTaskResult.objects.filter(coming, pk__in=[job.task_id for job in oldest if job.task_id])
    found = set(tasks.values_list("pk", flat=True))
    return [job for job in oldest if job.task_id not in found]


def _queue_again(job: Job) -> bool:
    same = {"task_id": job.task_id}
    if job.cancel_requested_at:
        return transition(job, JobStatus.CANCELLED, where=same, finished_at=timezone.now())
    with transaction.atomic():
        mine = Job.objects.filter(pk=job.pk, status=JobStatus.PENDING, **same).update(task_id=None)
        if mine:
            requeue(job)
    return bool(mine)


def _end_tasks() -> None:
    """End the tasks of dead workers: the queue would show them as running for ever."""
    at_work = Job.objects.filter(status=JobStatus.RUNNING, task_id__isnull=False).values("task_id")
    tasks = DBTaskResult.objects.filter(task_path=run_job.module_path, status=TaskResultStatus.RUNNING)
    tasks.filter(started_at__lt=_lease_ago()).exclude(pk__in=at_work).update(
        status=TaskResultStatus.FAILED,
        finished_at=timezone.now(),
        exception_class_path=f"{Lost.__module__}.{Lost.__qualname__}",
        traceback=DIED,
    )
