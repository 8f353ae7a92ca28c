"""How jobs come to be: once for each idempotency key, and again for each that failed."""

import pytest
from django_tasks_db.models import DBTaskResult

from automation import engine, jobs
from automation.errors import Failure, IdempotencyKeyTaken, InvalidPayload, NotEnded
from automation.models import Job
from observability.correlation import bound
from observability.testing import assert_increases
from tests.automation.conftest import at_once, rolled_back

pytestmark = pytest.mark.django_db(transaction=True)

PAYLOAD = {"base_url": "http://localhost:8000", "paths": ["/"]}


def start(key=None, payload=PAYLOAD, name="site_check", **options):
    return jobs.create_job(name, payload, idempotency_key=key, **options)


def test_a_job_keeps_who_started_it_and_from_which_request(admin_user):
    with bound(request_id="4f1c"):
        job = start(started_by=admin_user)

    job.refresh_from_db()
    assert (job.started_by, job.request_id, job.attempts) == (admin_user, "4f1c", 0)


def test_a_job_and_its_task_are_there_together_or_not_at_all():
    with rolled_back():
        start()
    assert (Job.objects.count(), DBTaskResult.objects.count()) == (0, 0)

    job = start()
    assert job.task_id == DBTaskResult.objects.get().pk


def test_the_same_key_gives_the_same_job_again():
    first = start("key")

    assert start("key") == first
    assert start("key", {"base_url": "http://localhost:8000/", "paths": ["/"]}) == first  # the same, once it is read
    assert (Job.objects.count(), DBTaskResult.objects.count()) == (1, 1)


@pytest.mark.parametrize("models", [["claude-haiku-4-5", "claude-sonnet-5"], ["gpt-5.5"]])
@pytest.mark.parametrize("chosen", [{}, {"model": "claude-sonnet-5"}])
def test_the_same_key_gives_the_same_job_also_when_the_settings_have_changed(settings, models, chosen):
    asked = {"page": "https://www.notion.so/Bakery-9a9e0000000040008000000000000001", "project": "bakery", **chosen}
    first = start("key", asked, "notion_vercel")
    settings.AUTOMATION = {**settings.AUTOMATION, "MODELS": models}

    assert start("key", dict(reversed(asked.items())), "notion_vercel") == first
    with pytest.raises((IdempotencyKeyTaken, InvalidPayload)):
        start("key", asked | {"project": "other"}, "notion_vercel")


@pytest.mark.parametrize("payload", [{1: "a", "b": 2}, {"anything": float("nan")}, "text", None])
def test_an_odd_payload_is_refused_with_a_key_as_without(payload):
    for key in (None, "key"):
        with pytest.raises(InvalidPayload):
            start(key, payload)


def test_another_key_and_none_give_new_jobs():
    assert len({start("key").pk, start("other").pk, start().pk, start().pk}) == 4


def test_the_same_key_with_another_payload_or_type_is_refused(job_type):
    start("key")

    with pytest.raises(IdempotencyKeyTaken, match="another job type or payload"):
        start("key", PAYLOAD | {"paths": ["/other"]})
    with pytest.raises(IdempotencyKeyTaken):
        start("key", {}, name=job_type(lambda run: 1))
    assert Job.objects.count() == 1


def test_of_many_starts_with_the_same_key_at_the_same_time_there_is_one_job():
    started = at_once(lambda: start("key").pk, times=16)

    assert set(started) == {Job.objects.get().pk}
    assert DBTaskResult.objects.count() == 1


def test_the_same_key_after_a_rollback_is_a_new_job():
    with rolled_back():
        start("key")

    assert start("key") == Job.objects.get()


def failing(run):
    raise Failure("not today")


def test_a_failed_job_is_tried_again_as_a_new_one(job_type, admin_user):
    job = engine.run(jobs.create_job(job_type(failing), {}))

    with bound(request_id="5a2d"):
        again = jobs.retry_job(job, started_by=admin_user)

    assert (again.status, again.retry_of, again.payload) == ("pending", job, job.payload)
    assert (again.started_by, again.request_id) == (admin_user, "5a2d")
    with assert_increases("automation_jobs_total", status="failed"):
        engine.run(again)
    assert Job.objects.get(pk=job.pk).status == "failed"
    assert [step.job for step in again.steps.all()] == [again]


def test_a_job_is_tried_again_once_however_often_that_is_asked_for(job_type):
    job = engine.run(jobs.create_job(job_type(failing), {}))

    asked = at_once(lambda: jobs.retry_job(Job.objects.get(pk=job.pk)).pk, times=8)

    assert set(asked) == {Job.objects.get(pk=job.pk).retry.pk}
    assert Job.objects.count() == 2


def test_a_job_that_was_cancelled_can_be_tried_again():
    job = start()
    jobs.cancel_job(job)
    job.refresh_from_db()

    assert jobs.retry_job(job).status == "pending"


@pytest.mark.parametrize("status", ["pending", "running", "success"])
def test_a_job_that_is_under_way_or_succeeded_is_not_tried_again(status):
    with pytest.raises(NotEnded, match=f"this one is {status}"):
        jobs.retry_job(Job.objects.create(job_type="site_check", status=status))
    assert Job.objects.count() == 1


def test_a_job_whose_payload_is_not_allowed_any_more_is_not_tried_again(settings):
    job = start()
    jobs.cancel_job(job)
    job.refresh_from_db()
    settings.AUTOMATION = {"SITE_CHECK_HOSTS": []}

    with pytest.raises(InvalidPayload, match="is not allowed"):
        jobs.retry_job(job)
