"""What dead workers left: rows as they leave them, and what becomes of these."""

from datetime import timedelta
from io import StringIO

import pytest
from django.core.management import call_command
from django.utils import timezone
from django_tasks_db.models import DBTaskResult

from automation import engine, jobs, reaper
from automation.models import AIRequest, Job
from automation.reaper import reap
from automation.transitions import start_job, start_step
from observability.correlation import bound, current
from observability.testing import assert_increases, metric_value
from tests.automation.conftest import at_once

pytestmark = pytest.mark.django_db(transaction=True)

LONG_AGO = timedelta(seconds=61)  # the lease is 60 seconds


def claimed(job, ago=LONG_AGO):
    """The job's task, as a worker took it so long ago."""
    DBTaskResult.objects.filter(pk=job.task_id).update(status="RUNNING", started_at=timezone.now() - ago)
    return job


def started(job, ago=LONG_AGO):
    """The job as a worker runs it that gave its last sign of life so long ago."""
    claimed(job, ago)
    assert start_job(job)
    Job.objects.filter(pk=job.pk).update(heartbeat_at=timezone.now() - ago, started_at=timezone.now() - ago)
    return job


@pytest.fixture
def job(job_type):
    """A queued job of one step."""
    return jobs.create_job(job_type(lambda run: 42), {})


def tasks():
    return sorted(DBTaskResult.objects.values_list("status", flat=True))


def test_a_job_without_a_sign_of_life_is_queued_again_and_its_step_has_failed(job, work):
    step = start_step(started(job), 1, "first")

    with (
        assert_increases("automation_job_steps_total", step="first", status="failed"),
        assert_increases("automation_jobs_total", by=0),
    ):
        assert reap() == 1

    job.refresh_from_db()
    step.refresh_from_db()
    assert (job.status, job.attempts) == ("pending", 1)
    assert (step.status, step.error) == ("failed", "Its worker stopped without a word.")
    assert DBTaskResult.objects.get(pk=job.task_id).status == "READY"
    assert tasks() == ["FAILED", "READY"]
    with assert_increases("automation_jobs_total", status="success"):
        work()
    job.refresh_from_db()
    assert (job.status, job.attempts, job.result) == ("success", 2, 42)


def test_a_job_whose_worker_gave_a_sign_of_life_lately_is_left_alone(job):
    started(job, timedelta(seconds=50))

    assert reap() == 0
    assert (Job.objects.get().status, tasks()) == ("running", ["RUNNING"])


def test_a_sign_of_life_that_comes_during_a_pass_is_heeded(job, monkeypatch):
    expired = [started(job)]
    Job.objects.update(heartbeat_at=timezone.now())
    monkeypatch.setattr(reaper, "_expired", lambda: expired)

    assert reap() == 0
    assert Job.objects.get().status == "running"


def test_a_cancellation_that_comes_during_a_pass_is_heeded(job, monkeypatch):
    expired = [started(job)]
    jobs.cancel_job(job)
    monkeypatch.setattr(reaper, "_expired", lambda: expired)

    assert reap() == 0
    monkeypatch.undo()
    assert reap() == 1
    assert Job.objects.get().status == "cancelled"


def test_a_job_that_outlives_its_task_by_far_keeps_it_while_its_worker_lives(job):
    started(job)
    Job.objects.update(heartbeat_at=timezone.now())

    assert reap() == 0
    assert tasks() == ["RUNNING"]


def test_the_setting_says_how_long_a_lease_is(job, settings):
    settings.AUTOMATION = {"LEASE_SECONDS": 600}
    started(job)

    assert reap() == 0


def test_a_job_that_was_taken_too_often_fails_and_counts_once(job):
    for attempt in (1, 2, 3):
        job.refresh_from_db()
        started(job)
        with assert_increases("automation_jobs_total", by=attempt == 3, status="failed"):
            assert (reap(), reap()) == (1, 0)

    job.refresh_from_db()
    assert (job.status, job.attempts, job.error) == ("failed", 3, "Its worker stopped without a word.")
    assert job.duration >= 61
    assert job.finished_at
    assert tasks() == ["FAILED"] * 3


def test_the_log_says_of_each_job_what_became_of_it_with_the_ids_that_lead_there(job_type, settings, caplog):
    settings.AUTOMATION = {"MAX_ATTEMPTS": 2}
    name = job_type(lambda run: 42)
    with bound(request_id="b3f1"):
        once, twice, ended = (started(jobs.create_job(name, {})) for _ in range(3))
        stranded = claimed(jobs.create_job(name, {}))
    Job.objects.filter(pk=twice.pk).update(attempts=2)
    Job.objects.filter(pk=stranded.pk).update(created_at=timezone.now() - LONG_AGO)
    jobs.cancel_job(ended)

    with caplog.filtering(lambda record: vars(record).update(current()) or True):
        reap()
        reap()

    told = [(r.job_id, r.request_id, r.getMessage()) for r in caplog.records if r.name == reaper.logger.name]
    assert sorted(told) == sorted(
        (str(job.pk), "b3f1", f"Job {job.pk} ({name}) lost its worker, and is {status} now.")
        for job, status in ((once, "pending"), (stranded, "pending"), (twice, "failed"), (ended, "cancelled"))
    )


def test_the_setting_says_how_often_a_job_may_be_taken(job, settings):
    settings.AUTOMATION = {"MAX_ATTEMPTS": 1}
    started(job)
    reap()

    assert Job.objects.get().status == "failed"


def test_a_job_that_was_to_be_cancelled_is_cancelled(job):
    jobs.cancel_job(started(job))

    with assert_increases("automation_jobs_total", status="cancelled"):
        assert reap() == 1
    assert Job.objects.get().status == "cancelled"


def test_a_job_of_the_foreground_fails_since_nobody_waits_for_it(job_type):
    started(jobs.create_job(job_type(lambda run: 1), {}, queued=False))

    assert reap() == 1
    assert (Job.objects.get().status, tasks()) == ("failed", [])


def test_of_many_passes_at_the_same_time_one_sees_to_a_job(job):
    started(job)

    assert sorted(at_once(reap, times=8)) == [0] * 7 + [1]
    assert tasks() == ["FAILED", "READY"]


def test_of_many_passes_at_the_same_time_one_fails_a_job(job, settings):
    settings.AUTOMATION = {"MAX_ATTEMPTS": 1}
    start_step(started(job), 1, "first")

    with (
        assert_increases("automation_jobs_total", status="failed"),
        assert_increases("automation_job_steps_total", step="first", status="failed"),
    ):
        assert sorted(at_once(reap, times=8)) == [0] * 7 + [1]


def test_a_job_whose_worker_died_before_its_start_is_queued_again(job, work):
    claimed(job)
    Job.objects.update(created_at=timezone.now() - LONG_AGO)

    assert sorted(at_once(reap, times=8)) == [0] * 7 + [1]
    assert tasks() == ["FAILED", "READY"]
    work()
    assert Job.objects.get().status == "success"


def test_a_job_whose_task_was_lost_is_queued_again(job, work):
    DBTaskResult.objects.all().delete()
    Job.objects.update(created_at=timezone.now() - LONG_AGO)

    assert reap() == 1
    work()
    assert Job.objects.get().status == "success"


def test_a_job_whose_task_was_lost_is_found_behind_many_that_wait(job):
    for _ in range(reaper.BATCH):
        lost = jobs.create_job("test", {})
    DBTaskResult.objects.filter(pk=lost.task_id).delete()
    Job.objects.update(created_at=timezone.now() - 2 * LONG_AGO)
    Job.objects.filter(pk=lost.pk).update(created_at=timezone.now() - LONG_AGO)

    assert reap() == 1
    assert tasks() == ["READY"] * (reaper.BATCH + 1)


def test_a_job_that_waits_for_long_is_left_alone(job):
    Job.objects.update(created_at=timezone.now() - LONG_AGO)

    assert reap() == 0
    assert tasks() == ["READY"]


def test_a_job_that_is_about_to_be_started_is_left_alone(job):
    claimed(job, timedelta(seconds=1))
    Job.objects.update(created_at=timezone.now() - LONG_AGO)

    assert reap() == 0
    assert tasks() == ["RUNNING"]


def test_a_job_whose_cancellation_was_cut_short_is_cancelled(job):
    Job.objects.update(created_at=timezone.now() - LONG_AGO, cancel_requested_at=timezone.now())
    engine.run(claimed(job))

    assert reap() == 1
    assert Job.objects.get().status == "cancelled"


def test_a_task_whose_worker_died_when_the_job_had_ended_is_ended_too(job):
    engine.run(claimed(job))
    Job.objects.update(finished_at=timezone.now() - LONG_AGO)

    assert reap() == 0
    task = DBTaskResult.objects.get()
    assert (task.status, task.traceback) == ("FAILED", "Its worker stopped without a word.")
    assert task.task_result.errors[0].exception_class.__name__ == "Lost"


def test_a_task_whose_job_ended_just_now_is_left_to_its_worker(job):
    engine.run(claimed(job))

    reap()
    assert tasks() == ["RUNNING"]


def test_tasks_of_others_are_left_alone(job):
    other = DBTaskResult.objects.create(
        args_kwargs={"args": [], "kwargs": {}},
        task_path="others.tasks.work",
        backend_name="default",
        run_after=timezone.now(),
        status="RUNNING",
        started_at=timezone.now() - LONG_AGO,
    )

    reap()
    other.refresh_from_db()
    assert other.status == "RUNNING"


def test_the_command_tells_what_it_saw_to(job):
    started(job)
    out = StringIO()
    call_command("reap_jobs", stdout=out)

    assert out.getvalue() == "Jobs seen to: 1\n"


def test_the_age_of_the_oldest_sign_of_life_is_a_gauge(job, job_type):
    age = "automation_oldest_active_job_age_seconds"
    assert metric_value(age) == 0
    started(job, timedelta(seconds=300))
    started(jobs.create_job("test", {}), timedelta(seconds=100))
    Job.objects.create(job_type="test", status="failed", heartbeat_at=timezone.now() - timedelta(days=1))
    assert 300 <= metric_value(age) < 310

    reap()
    assert metric_value(age) == 0


def test_a_sign_of_life_from_a_clock_that_is_ahead_is_no_negative_age(job):
    started(job, timedelta(seconds=-300))

    assert metric_value("automation_oldest_active_job_age_seconds") == 0


def test_a_request_to_a_model_that_nobody_waits_for_any_more_is_an_error_of_unknown_cost(settings):
    settings.AUTOMATION = {"COMPLETION_TIMEOUT": 40}
    for ago in (99, 101):  # the time for an answer, and the lease
        AIRequest.objects.create(model=f"m-{ago}", created_at=timezone.now() - timedelta(seconds=ago))

    with assert_increases("ai_requests_total", model="m-101", status="error"):
        reap()
        reap()
    rows = AIRequest.objects.order_by("model").values_list("model", "status", "error", "cost")
    assert list(rows) == [
        ("m-101", "error", "Its worker stopped without a word.", None),
        ("m-99", "running", "", None),
    ]
