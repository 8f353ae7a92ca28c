"""Sees to what dead workers left: their jobs go back to the queue, or fail when that was tried often enough."""

import logging
from datetime import timedelta
from uuid import UUID

from django.db import transaction
from django.db.models import Exists, OuterRef, Q
from django.db.models.expressions import Combinable
from django.db.models.functions import Now
from django.utils import timezone
from django_tasks_db.compat import TaskResultStatus
from django_tasks_db.models import DBTaskResult

from automation.background import PER_LEASE
from automation.budgets import warn_again
from automation.conf import lease
from automation.models import Job, JobStatus
from automation.tasks import end_tasks, give_back, requeue
from automation.transitions import DIED, end_lost_requests
from observability import sentry
from observability.correlation import bound
from observability.tracking import transition

logger = logging.getLogger(__name__)

BATCH = 100  # jobs without a task that one pass sees to, the oldest first
RECENT = timedelta(hours=1)  # since the end of a job, in which a task of it is looked for that still runs
MONITOR = "automation-reaper"  # in Sentry
GIVEN_UP = "A job has failed because its workers stopped without a word."


def reap() -> int:
    """Make one pass and return how many jobs it saw to; of several passes at the same time one sees to each job."""
    with sentry.check_in(MONITOR, seconds=lease().total_seconds() / PER_LEASE):
        number = sum(map(_end_attempt, _expired())) + sum(map(_queue_again, _stranded()))
        if left := _left():
            end_tasks(DIED, *left)
        end_lost_requests()
        warn_again()
    return number


def _lease_ago() -> Combinable:
    """Return the time by the database's clock, which is the same for all hosts."""
    return Now() - lease()


def _expired() -> list[Job]:
    """Return the running jobs without a sign of life."""
    return list(Job.objects.filter(status=JobStatus.RUNNING, heartbeat_at__lt=_lease_ago()))


def _end_attempt(job: Job) -> bool:
    with sentry.isolated(), bound(job_id=job.pk, request_id=job.request_id, trace_id=job.trace_id):
        if ended := give_back(job, DIED, heartbeat_at__lt=_lease_ago()):
            _log(job)
            if job.status == JobStatus.FAILED:
                _report(job)
    return ended


def _log(job: Job) -> None:
    logger.warning("Job %s (%s) lost its worker, and is %s now.", job.pk, job.job_type, job.status)


def _report(job: Job) -> None:
    about = {"job_type": job.job_type, "attempts": job.attempts, "worker": job.worker}
    event_id = sentry.capture_message(GIVEN_UP, level="error", context=about)
    Job.objects.filter(pk=job.pk).update(sentry_event_id=event_id or "")


def _stranded() -> list[Job]:
    """Return pending jobs that no task leads to any more: its worker died, or lost the database, before their start."""
    coming = Q(status=TaskResultStatus.READY) | Q(status=TaskResultStatus.RUNNING, started_at__gte=_lease_ago())
    task = DBTaskResult.objects.filter(coming, pk=OuterRef("task_id"))
    pending = Job.objects.filter(~Exists(task), status=JobStatus.PENDING, created_at__lt=_lease_ago())
    return list(pending.order_by("created_at", "id")[:BATCH])


def _queue_again(job: Job) -> bool:
    with transaction.atomic():
        task_id = job.task_id
        mine = _cancel(job) if job.cancel_requested_at else _requeue(job)
        if mine:
            end_tasks(DIED, task_id)
    if mine:
        with bound(job_id=job.pk, request_id=job.request_id):
            _log(job)
    return mine


def _cancel(job: Job) -> bool:
    return transition(job, JobStatus.CANCELLED, where={"task_id": job.task_id}, finished_at=timezone.now())


def _requeue(job: Job) -> bool:
    same = Job.objects.filter(pk=job.pk, status=JobStatus.PENDING, task_id=job.task_id)
    if mine := bool(same.update(task_id=None)):
        requeue(job)
    return mine


def _left() -> list[UUID]:
    """Return the tasks that still run a lease after the end of their jobs: their workers died in between."""
    ended = Job.objects.filter(finished_at__gte=Now() - RECENT, finished_at__lt=_lease_ago())
    tasks = DBTaskResult.objects.filter(pk__in=ended.values("task_id"), status=TaskResultStatus.RUNNING)
    return list(tasks.values_list("pk", flat=True))
