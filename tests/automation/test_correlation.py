"""A job is joined to the request, the trace and the job in which it was asked for, and its steps to the job."""

import pytest

from automation import engine, jobs
from automation.models import Job
from observability.correlation import bound, current

pytestmark = pytest.mark.django_db(transaction=True)


def ids(run):
    return current()


async def ids_of_async(run):
    return current()


def test_a_step_of_either_kind_runs_with_the_ids_of_its_job_and_its_request(job_type):
    with bound(request_id="b3f1"):
        job = jobs.create_job(job_type(ids, ids_of_async), {})

    engine.run(job)

    about = {"request_id": "b3f1", "job_id": str(job.pk)}
    outputs = list(job.steps.values_list("output", flat=True))
    assert outputs == [about | {"step": "first"}, about | {"step": "second"}]
    assert current() == {}


def test_a_job_that_a_step_starts_leads_to_the_same_request(job_type):
    def start_another(run):
        return str(jobs.create_job(run.job.job_type, {}).pk)

    with bound(request_id="b3f1"):
        job = jobs.create_job(job_type(start_another), {})

    assert Job.objects.get(pk=engine.run(job).result).request_id == "b3f1"


def test_a_job_keeps_the_trace_of_its_request_or_else_of_its_worker(job_type):
    name = job_type(ids)
    with bound(trace_id="of-the-request"):
        job = jobs.create_job(name, {})
    other = jobs.create_job(name, {})

    with bound(trace_id="of-the-worker"):
        engine.run(job)
        engine.run(other)

    assert Job.objects.get(pk=job.pk).trace_id == "of-the-request"
    assert Job.objects.get(pk=other.pk).trace_id == "of-the-worker"


def test_ids_of_the_hosts_own_that_are_too_long_are_cut_off(job_type):
    with bound(request_id="r" * 200, trace_id="t" * 200):
        job = engine.run(jobs.create_job(job_type(ids), {}))

    job.refresh_from_db()
    assert (job.request_id, job.trace_id, job.status) == ("r" * 128, "t" * 128, "success")
