"""What can be asked for: a job, its end, another try at it."""

import json
import logging
from functools import partial
from hashlib import sha256
from typing import Any

import pydantic
from django.contrib.auth.base_user import AbstractBaseUser
from django.db import DataError, IntegrityError, transaction
from django.db.models.functions import Coalesce, Now
from django.utils import timezone

from automation import registry
from automation.errors import IdempotencyKeyTaken, InvalidPayload, NotEnded
from automation.models import MAX_ID, Job, JobStatus
from automation.tasks import enqueue
from observability import correlation
from observability.tracking import transition

logger = logging.getLogger(__name__)

NOT_STORABLE = {
    "type": "not_storable",
    "loc": [],
    "msg": "holds what the database cannot: NaN or infinity, a NUL character, half a surrogate pair, or lists too deep",
}


def create_job(
    name: str,
    payload: object,
    *,
    started_by: AbstractBaseUser | None = None,
    idempotency_key: str | None = None,
    queued: bool = True,
) -> Job:
    """Return a new pending job, queued for the workers; raises UnknownJobType and InvalidPayload.

    The same `idempotency_key` gives the same job again, also where the settings would refuse or fill in its payload
    otherwise by now, or raises IdempotencyKeyTaken when that one has another type or payload. `queued=False` is for a
    caller that runs the job by itself.
    """
    if idempotency_key is None:
        return _insert(_new_job(name, payload, started_by), queued)
    asked = {"idempotency_key": idempotency_key, "asked_digest": _digest(name, payload)}
    if same := Job.objects.filter(**asked).first():
        return same
    job = _new_job(name, payload, started_by, **asked)
    found = _insert_once(job, queued, idempotency_key=idempotency_key)
    if (found.job_type, found.payload) != (job.job_type, job.payload):
        raise IdempotencyKeyTaken("This idempotency key was given before, with another job type or payload.")
    return found


def retry_job(job: Job, *, started_by: AbstractBaseUser | None = None) -> Job:
    """Return the new job that tries a failed or cancelled one again, from its first step on.

    There is one at most for each job, which can be tried again in turn. Raises NotEnded, and what `create_job` raises.
    """
    if job.status not in {JobStatus.FAILED, JobStatus.CANCELLED}:
        raise NotEnded(f"Only a job that failed or was cancelled can be tried again; this one is {job.status}.")
    again = _new_job(job.job_type, job.payload, started_by)
    again.retry_of = job
    return _insert_once(again, True, retry_of=job)


def cancel_job(job: Job) -> bool:
    """Cancel a pending job now and a running one at its next checkpoint, if it has one; False: it has ended already."""
    # first the request, then the transition: whoever takes the job or gives it back in between sees the request
    active = Job.objects.filter(pk=job.pk, status__in=[JobStatus.PENDING, JobStatus.RUNNING])
    asked = active.update(cancel_requested_at=Coalesce("cancel_requested_at", Now()))
    transition(job, JobStatus.CANCELLED, come_from=JobStatus.PENDING, finished_at=timezone.now())
    return bool(asked)


def _digest(name: str, payload: object) -> str:
    """Return what tells apart what was asked for, as it was sent."""
    try:
        sent = json.dumps([name, payload], sort_keys=True, default=str)
    except (TypeError, ValueError, RecursionError):
        raise InvalidPayload([NOT_STORABLE]) from None
    return sha256(sent.encode()).hexdigest()


def _new_job(name: str, payload: object, started_by: AbstractBaseUser | None, **more: str) -> Job:
    """Return it with the ids of the request or the job in which it is asked for."""
    ids = correlation.current()
    return Job(
        job_type=name,
        payload=_storable(registry.get(name).validate(payload)),
        started_by=started_by,  # type: ignore[misc]  # which user model it is, the project says
        request_id=ids.get("request_id", "")[:MAX_ID],
        trace_id=ids.get("trace_id", "")[:MAX_ID],
        **more,
    )


def _storable(payload: pydantic.BaseModel) -> Any:
    """Return a payload as its row keeps it."""
    try:
        found = payload.model_dump(mode="json")
        json.dumps(found, allow_nan=False)
    except (ValueError, RecursionError):
        raise InvalidPayload([NOT_STORABLE]) from None
    return found


def _insert(job: Job, queued: bool) -> Job:
    try:
        with transaction.atomic():
            if queued:
                enqueue(job)
            job.save(force_insert=True)
            transaction.on_commit(partial(_log, job), robust=True)
    except DataError:  # PostgreSQL refuses characters that JSON can write
        raise InvalidPayload([NOT_STORABLE]) from None
    return job


def _log(job: Job) -> None:
    """Join the request and its job in the log, which goes on with the worker's lines."""
    with correlation.bound(job_id=job.pk):
        logger.info("Job %s (%s): %s.", job.pk, job.job_type, job.status)


def _insert_once(job: Job, queued: bool, **unique: Any) -> Job:
    """Return the job that has this already, or else insert this one."""
    if found := Job.objects.filter(**unique).first():
        return found
    try:
        return _insert(job, queued)
    except IntegrityError:
        if faster := Job.objects.filter(**unique).first():  # another request's
            return faster
        raise
