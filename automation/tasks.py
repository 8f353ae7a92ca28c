"""What the task worker (`manage.py db_worker`) runs."""

from functools import partial

import django
from django.db import transaction

from automation import jobs
from automation.models import Job

if django.VERSION >= (6, 0):
    from django.tasks import task
else:
    from django_tasks import task  # type: ignore[no-redef,unused-ignore]


@task()
def run_job(job_id: str) -> str:
    """Run the job of this id and return its status; what became of it is in its row."""
    return str(jobs.run(Job.objects.get(pk=job_id)).status)


def enqueue(job: Job) -> None:
    """Hand the job to the workers once the surrounding transaction has committed."""
    transaction.on_commit(partial(run_job.enqueue, str(job.pk)))
