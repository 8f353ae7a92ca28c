"""The engine: what becomes of a job whose function does this or that."""

import logging
import time
from datetime import timedelta
from uuid import uuid4

import pytest
import time_machine
from django.db import IntegrityError, transaction

from automation import engine, jobs
from automation.errors import Failure
from automation.models import AIRequest, Job, Step
from automation.tasks import give_back
from automation.transitions import finish_job, finish_step, start_job, start_step
from tests.automation.conftest import at_once

pytestmark = pytest.mark.django_db


def test_what_the_function_returns_is_the_result(run_job, job_type):
    job = run_job(job_type(lambda run: {"answer": [42, None, "ü"]}))

    assert (job.status, job.result, job.error) == ("success", {"answer": [42, None, "ü"]}, "")


def test_an_exception_fails_the_job_with_its_class_and_message(run_job, job_type, caplog):
    def broken(run):
        return {}["key"]

    job = run_job(job_type(broken))

    assert (job.status, job.result, job.error) == ("failed", None, "KeyError: 'key'")
    (record,) = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert str(job.id) in record.getMessage()
    assert record.exc_info


def test_an_expected_failure_is_its_sentence_and_no_error_in_the_log(run_job, job_type, caplog):
    def failing(run):
        raise Failure("The page is empty.")

    assert run_job(job_type(failing)).error == "The page is empty."
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []


def test_an_exception_in_a_step_fails_the_step_and_the_job(run_job, job_type):
    def failing(run):
        raise ValueError("no such page")

    job = run_job(job_type(lambda run: "a page", failing, lambda run: "never"))

    assert (job.status, job.error) == ("failed", "ValueError: no such page")
    assert list(job.steps.values_list("position", "name", "status", "output", "error")) == [
        (1, "first", "success", "a page", ""),
        (2, "second", "failed", None, "ValueError: no such page"),
    ]


@pytest.mark.parametrize("result", [object(), {1, 2}, float("nan"), {"a": float("inf")}, b"bytes", "\x00", "\ud800"])
def test_a_result_that_cannot_be_stored_fails_the_job(run_job, job_type, result):
    job = run_job(job_type(lambda run: result))

    assert (job.status, job.result) == ("failed", None)
    assert job.error


@pytest.mark.parametrize(
    ("message", "stored"),
    [
        ("null \x00 byte", "null \ufffd byte"),
        ("half \ud800 pair", "half \ufffd pair"),
        ("\x1b[2Jgone", "\ufffd[2Jgone"),
        ("two\nlines", "two\nlines"),
        ("x" * 100_000, "x" * 2000),
    ],
)
def test_any_message_can_be_stored(run_job, job_type, message, stored):
    def failing(run):
        raise Failure(message)

    job = run_job(job_type(failing))

    step = job.steps.get()
    assert (job.status, job.error) == ("failed", stored)
    assert (step.status, step.error) == ("failed", stored)


def test_a_job_of_a_type_that_this_worker_does_not_know_fails():
    job = engine.run(Job.objects.create(job_type="of tomorrow"))

    assert job.status == "failed"
    assert job.error.startswith("Unknown job type 'of tomorrow'. Known job types: notion_vercel, site_check")


def test_a_payload_that_does_not_fit_any_more_fails_the_job(settings):
    job = engine.run(Job.objects.create(job_type="site_check", payload={"base_url": "http://x", "paths": ["/"]}))

    assert job.status == "failed"
    assert job.error.startswith("base_url: host 'x' is not allowed")


@pytest.mark.parametrize("status", ["running", "success", "failed", "cancelled"])
def test_a_job_that_is_not_pending_is_left_alone(job_type, status):
    calls = []
    job = Job.objects.create(job_type=job_type(lambda run: calls.append(1)), status=status)

    assert engine.run(job).status == status
    assert (calls, job.started_at, job.finished_at) == ([], None, None)


def test_durations_come_from_a_clock_that_nobody_sets_back(run_job, job_type):
    with time_machine.travel("2030-01-01 12:00", tick=True) as clock:

        def set_back(run):
            clock.shift(timedelta(hours=-1))

        job = run_job(job_type(set_back))

    assert job.finished_at < job.started_at
    assert 0 <= job.steps.get().duration <= job.duration < 10


def test_a_job_that_ended_otherwise_meanwhile_stays_as_it_is(run_job, job_type):
    def cancelled_meanwhile(run):
        assert finish_job(Job.objects.get(pk=run.job.pk), Job.Status.CANCELLED, duration=1)

    job = run_job(job_type(cancelled_meanwhile))

    assert (job.status, job.duration) == ("cancelled", 1)


def test_each_transition_happens_once():
    job = Job.objects.create(job_type="site_check")
    assert [start_job(job), start_job(job)] == [True, False]

    step = start_step(job, 1, "fetch_path")
    assert finish_step(step, Step.Status.SUCCESS, duration=1) is True
    assert finish_step(step, Step.Status.FAILED, duration=2, error="late") is False

    assert finish_job(job, Job.Status.SUCCESS, duration=3) is True
    assert finish_job(job, Job.Status.FAILED, duration=4, error="late") is False

    job.refresh_from_db()
    step.refresh_from_db()
    assert (job.status, job.duration, job.error) == ("success", 3, "")
    assert (step.status, step.duration, step.error) == ("success", 1, "")


def test_a_job_is_taken_as_it_is_now_whatever_was_known_of_it():
    job = Job.objects.create(job_type="site_check", task_id=uuid4())
    known = Job.objects.get(pk=job.pk)
    assert start_job(job)
    assert give_back(job, "Its worker ended.")

    assert start_job(known)
    assert (known.status, known.attempts, known.started_at) == ("running", 2, job.started_at)
    row = Job.objects.values().get()
    assert {name: vars(known)[name] for name in row} == row


def test_of_many_workers_one_runs_the_job(job_type, transactional_db):
    calls = []
    job = jobs.create_job(job_type(lambda run: calls.append(time.sleep(0.05))), {})

    assert at_once(lambda: engine.run(Job.objects.get(pk=job.pk)).pk, times=8) == [job.pk] * 8
    assert len(calls) == 1


@pytest.mark.parametrize(
    "row",
    [
        lambda job: Job(job_type="x", status="done"),
        lambda job: Job(job_type="x", duration=-1),
        lambda job: Step(job=job, position=1, name="x", status="pending"),
        lambda job: Step(job=job, position=1, name="x", duration=-1),
        lambda job: AIRequest(model="x", status="pending"),
        lambda job: AIRequest(model="x", status="success", cost=-1),
    ],
)
def test_the_database_refuses_a_row_that_cannot_be(row):
    job = Job.objects.create(job_type="site_check")

    with pytest.raises(IntegrityError), transaction.atomic():
        row(job).save()


def test_two_steps_cannot_have_the_same_position():
    job = Job.objects.create(job_type="site_check", status="running")
    start_step(job, 1, "fetch_path")

    with pytest.raises(IntegrityError), transaction.atomic():
        start_step(job, 1, "fetch_path")


def test_an_ai_request_outlives_its_job():
    job = Job.objects.create(job_type="site_check")
    AIRequest.objects.create(job=job, model="gpt-4", status="success", cost="0.5")

    job.delete()

    assert AIRequest.objects.get().job is None


def test_a_job_says_what_it_is():
    job = Job.objects.create(job_type="site_check", status="running")
    step = start_step(job, 1, "fetch_path", "/")

    assert str(job) == f"site_check {job.id} (running)"
    assert str(step) == "1. fetch_path / (running)"
    assert str(AIRequest(model="gpt-4", status="timeout")) == "gpt-4 (timeout)"
