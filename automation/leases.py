"""Leases: a running job is its worker's as long as that gives signs of life, and never again after another took it."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from os import getpid

from django.db.models import QuerySet
from django.db.models.functions import Now

from automation.background import Background
from automation.models import Job, JobStatus
from automation.outages import outlast


class Stop(BaseException):
    """Ends a run at a checkpoint; no Exception, so that no step takes it for a failure of what it does."""


class Cancelled(Stop):
    """Somebody asked for the end of the job."""


class Lost(Stop):
    """The lease ended and the job was given to another worker."""


def worker_name() -> str:
    """Return host and process, for people to find."""
    return f"{socket.gethostname()}:{getpid()}"[:100]


def held(job: Job) -> QuerySet[Job]:
    """Return the job's row while this attempt at it runs: each worker that takes a job makes a new attempt."""
    return Job.objects.filter(pk=job.pk, status=JobStatus.RUNNING, attempts=job.attempts)


def hold(job: Job) -> None:
    """Give a sign of life; raises Cancelled when somebody asked for that, and Lost when another worker has the job."""
    if not outlast(lambda: held(job).filter(cancel_requested_at=None).update(heartbeat_at=Now())):
        raise Cancelled if outlast(held(job).exists) else Lost


_kept: dict[int, Job] = {}


def _extend_all() -> None:
    for job in list(_kept.values()):
        held(job).update(heartbeat_at=Now())


_keeper = Background("Leases of running jobs", _extend_all)


@contextmanager
def kept(job: Job) -> Iterator[None]:
    """Extend the lease in the background for the length of a block."""
    _kept[id(job)] = job
    _keeper.start()
    try:
        yield
    finally:
        del _kept[id(job)]
