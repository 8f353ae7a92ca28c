"""Steps of a pipeline: what they see of each other, when they are tried again, when they are not taken again."""

import asyncio
import time
from decimal import Decimal

import pytest
from asgiref.sync import sync_to_async
from django.core.exceptions import ImproperlyConfigured

from automation import engine, jobs
from automation.errors import Failure
from automation.models import Job, Step
from automation.registry import Pipeline
from automation.tasks import give_back
from automation.transitions import start_job
from observability.metrics import expected
from observability.testing import assert_increases
from tests.automation.conftest import Anything

pytestmark = pytest.mark.django_db(transaction=True)


class Passing(Exception):
    """An error of somebody's client, which knows nothing of this application."""

    retriable = True

    def __init__(self, retry_after=None):
        self.retry_after = retry_after


def failing_first(times, error=Passing):
    """A step that works after so many failures, and the moments at which it was tried."""
    moments = []

    def function(run):
        moments.append(time.monotonic())
        if len(moments) <= times:
            raise error()
        return len(moments)

    return function, moments


# What steps see


def test_a_step_sees_the_payload_the_job_and_what_earlier_steps_returned(run_job, pipeline):
    @pipeline.step()
    def collect(run):
        return {"pages": (1, 2)}

    @pipeline.step()
    def count(run):
        return [run.output("collect"), run.job.job_type, type(run.payload).__name__]

    job = run_job("test")

    assert job.result == [{"pages": [1, 2]}, "test", "Anything"]
    assert [step.output for step in job.steps.all()] == [{"pages": [1, 2]}, job.result]


def test_a_pipeline_may_make_its_result_of_all_outputs(run_job, pipeline):
    pipeline.step()(named("one", lambda run: 1))
    pipeline.step()(named("two", lambda run: 2))
    pipeline.result(lambda run: run.output("one") + run.output("two"))

    assert run_job("test").result == 3


def test_a_step_without_options_needs_no_parentheses(run_job, pipeline):
    @pipeline.step
    def one(run):
        return 1

    assert run_job("test").result == one(None) == 1


def test_the_output_of_a_step_that_was_not_taken_is_an_error(run_job, job_type):
    assert run_job(job_type(lambda run: run.output("second"))).error == "KeyError: 'second'"


def named(name, function):
    function.__name__ = name
    return function


@pytest.mark.parametrize("output", [object(), {1, 2}, float("nan"), b"bytes", "\x00", "\ud800"])
def test_an_output_that_cannot_be_stored_fails_the_step(run_job, job_type, output):
    job = run_job(job_type(lambda run: output, lambda run: "never"))

    assert [(step.name, step.status, step.output) for step in job.steps.all()] == [("first", "failed", None)]
    assert job.status == "failed"


def test_an_async_step_waits_and_reads_the_database(run_job, pipeline):
    @pipeline.step()
    async def look(run):
        await run.asleep(0.01)
        await run.acheckpoint()
        return await Job.objects.filter(status="running").acount()

    @pipeline.step()
    async def twice(run):
        return run.output("look") + sum(await asyncio.gather(one(), one()))

    async def one():
        return await sync_to_async(lambda: 1)()

    assert run_job("test").result == 3


def test_a_step_for_each_text_is_one_row_for_each(run_job, pipeline):
    @pipeline.step(each=lambda payload: ["a", "b", "a"])
    def visit(run, name):
        if name == "b":
            raise Failure("closed")
        return name.upper()

    job = run_job("test")

    assert [(step.detail, step.status, step.output) for step in job.steps.all()] == [
        ("a", "success", "A"),
        ("b", "failed", None),
        ("a", "success", "A"),
    ]
    assert job.error == "1 of 3 visit steps failed: b (closed)."


def test_an_unexpected_error_in_a_step_for_each_text_ends_the_job_at_once(run_job, pipeline):
    @pipeline.step(each=lambda payload: ["a", "b"])
    def visit(run, name):
        raise ZeroDivisionError

    job = run_job("test")

    assert (job.error, job.steps.count()) == ("ZeroDivisionError", 1)


def test_names_are_given_once(pipeline):
    pipeline.step()(named("one", lambda run: 1))

    with pytest.raises(ImproperlyConfigured, match="Job type 'test' has two steps 'one'"):
        pipeline.step()(named("one", lambda run: 1))
    with pytest.raises(ImproperlyConfigured, match="There are two job types 'test'"):
        Pipeline("test", payload=Anything)


def test_registered_job_types_and_steps_are_label_values_known_beforehand(pipeline):
    pipeline.step(named("known_step", lambda run: 1))

    assert {"site_check", "test"} <= set(expected("job_type"))
    assert {"fetch_path", "known_step"} <= set(expected("step"))


# Trying again


def test_an_error_that_may_pass_is_tried_again_and_the_step_counts_once(run_job, job_type):
    function, moments = failing_first(2)
    kind = job_type(function, retries=3, backoff=0.02)

    with (
        assert_increases("automation_job_steps_total", by=0, status="failed"),
        assert_increases("automation_job_steps_total", step="first", status="success"),
    ):
        job = run_job(kind)

    step = job.steps.get()
    assert (job.result, step.status, step.attempts, step.error) == (3, "success", 3, "")
    assert moments[1] - moments[0] >= 0.01  # half of 0.02 at least
    assert moments[2] - moments[1] >= 0.02  # half of twice as much
    assert step.duration >= moments[2] - moments[0]


def test_after_the_last_try_the_step_fails_with_its_cause(run_job, job_type):
    function, moments = failing_first(9, lambda: Failure("The service is busy.", retriable=True))

    job = run_job(job_type(function, retries=2, backoff=0.001))

    step = job.steps.get()
    assert (job.error, len(moments), step.attempts, step.status) == ("The service is busy.", 3, 3, "failed")


@pytest.mark.parametrize("error", [lambda: Failure("It is wrong."), KeyError])
def test_an_error_that_will_not_pass_is_not_tried_again(run_job, job_type, error):
    function, moments = failing_first(9, error)

    assert run_job(job_type(function, retries=2, backoff=0.001)).status == "failed"
    assert len(moments) == 1


def test_without_retries_nothing_is_tried_again(run_job, job_type):
    function, moments = failing_first(9)

    assert run_job(job_type(function)).status == "failed"
    assert len(moments) == 1


def test_a_service_is_left_alone_as_long_as_it_asks_for(run_job, job_type):
    function, moments = failing_first(1, lambda: Passing(retry_after=0.2))

    assert run_job(job_type(function, retries=1, backoff=0.001)).status == "success"
    assert moments[1] - moments[0] >= 0.2


def test_a_service_that_asks_for_too_long_is_not_waited_for(run_job, job_type):
    function, moments = failing_first(1, lambda: Passing(retry_after=3600))

    assert run_job(job_type(function, retries=5)).error == "Passing"
    assert len(moments) == 1


def test_an_async_step_is_tried_again_too(run_job, pipeline):
    tries = []

    @pipeline.step(retries=1, backoff=0.001)
    async def flaky(run):
        tries.append(1)
        if len(tries) == 1:
            raise Passing

    assert run_job("test").status == "success"
    assert len(tries) == 2


# Cancelling


def test_a_pending_job_is_cancelled_at_once_and_never_runs(job_type):
    calls = []
    job = jobs.create_job(job_type(lambda run: calls.append(1)), {})

    with assert_cancelled():
        assert jobs.cancel_job(job)
        assert not jobs.cancel_job(job)
    engine.run(Job.objects.get(pk=job.pk))

    job.refresh_from_db()
    assert (job.status, calls, job.started_at, job.duration) == ("cancelled", [], None, None)
    assert job.finished_at


def assert_cancelled(by=1):
    return assert_increases("automation_jobs_total", by=by, status="cancelled")


@pytest.mark.parametrize("wait", [lambda run: run.checkpoint(), lambda run: run.sleep(30)])
def test_a_running_job_ends_at_its_next_checkpoint(run_job, job_type, monkeypatch, wait):
    monkeypatch.setattr(engine, "CHECK_SECONDS", 0.01)

    def waiting(run):
        assert jobs.cancel_job(run.job)
        time.sleep(0.02)
        wait(run)

    job = run_job(job_type(waiting, lambda run: "never"))

    assert (job.status, job.error, job.result) == ("cancelled", "", None)
    assert job.duration < 10
    assert [(step.name, step.status, step.error) for step in job.steps.all()] == [("first", "failed", "Cancelled")]


def test_an_async_step_ends_at_its_next_checkpoint_too(run_job, pipeline, monkeypatch):
    monkeypatch.setattr(engine, "CHECK_SECONDS", 0.01)

    @pipeline.step()
    async def waiting(run):
        await sync_to_async(jobs.cancel_job)(run.job)
        await run.asleep(30)

    assert run_job("test").status == "cancelled"


def test_async_tasks_of_a_step_end_at_their_next_checkpoint_too(run_job, pipeline, monkeypatch):
    monkeypatch.setattr(engine, "CHECK_SECONDS", 0.01)

    @pipeline.step()
    async def waiting(run):
        await sync_to_async(jobs.cancel_job)(run.job)
        async with asyncio.TaskGroup() as outer, asyncio.TaskGroup() as inner:
            inner.create_task(run.asleep(30))
            outer.create_task(run.asleep(30))

    assert run_job("test").status == "cancelled"


def test_an_error_of_an_async_task_is_told_also_when_another_was_cancelled(run_job, pipeline, monkeypatch):
    monkeypatch.setattr(engine, "CHECK_SECONDS", 0.01)

    async def broken():
        try:
            await asyncio.sleep(30)
        finally:
            raise ValueError("no end of its own")

    @pipeline.step()
    async def waiting(run):
        await sync_to_async(jobs.cancel_job)(run.job)
        async with asyncio.TaskGroup() as group:
            group.create_task(run.asleep(30))
            group.create_task(broken())

    job = run_job("test")
    assert (job.status, job.error.partition(":")[0]) == ("failed", "BaseExceptionGroup")


def test_a_running_job_ends_between_two_steps(run_job, job_type, monkeypatch):
    monkeypatch.setattr(engine, "CHECK_SECONDS", 0)

    job = run_job(job_type(lambda run: jobs.cancel_job(run.job), lambda run: "never"))

    assert job.status == "cancelled"
    assert [(step.name, step.status) for step in job.steps.all()] == [("first", "success")]


def test_a_step_takes_its_cancellation_for_no_error_of_its_own(run_job, job_type, monkeypatch):
    monkeypatch.setattr(engine, "CHECK_SECONDS", 0)

    def stubborn(run):
        jobs.cancel_job(run.job)
        try:
            run.checkpoint()
        except Exception:
            return "went on"

    assert run_job(job_type(stubborn)).status == "cancelled"


def test_a_cancellation_is_seen_while_a_step_waits_for_its_next_try(run_job, job_type, monkeypatch):
    monkeypatch.setattr(engine, "CHECK_SECONDS", 0.01)

    def busy(run):
        jobs.cancel_job(run.job)
        raise Passing(retry_after=60)

    assert run_job(job_type(busy, retries=1)).status == "cancelled"


def test_a_running_job_that_is_cancelled_twice_keeps_when_that_was_first_asked_for(job_type):
    job = jobs.create_job(job_type(lambda run: 1), {})
    start_job(job)

    asked = [(jobs.cancel_job(job), Job.objects.get().cancel_requested_at) for _ in range(2)]

    assert asked[0] == asked[1]
    assert asked[0][1]


def test_a_job_that_has_ended_cannot_be_cancelled(run_job, job_type):
    job = run_job(job_type(lambda run: 1))

    with assert_cancelled(by=0):
        assert not jobs.cancel_job(job)
    assert Job.objects.get().status == "success"


def test_a_cancelled_job_whose_worker_gives_it_back_is_not_queued_again(job_type):
    job = jobs.create_job(job_type(interrupted), {})
    with pytest.raises(KeyboardInterrupt):
        engine.run(job)
    jobs.cancel_job(job)
    job.refresh_from_db()

    with assert_cancelled():
        assert give_back(job, "KeyboardInterrupt")


def interrupted(run):
    raise KeyboardInterrupt


# Taking a job up again


def test_completed_steps_are_not_taken_again_and_what_they_returned_is_there(job_type):
    calls = []

    def paid(run):
        calls.append("paid")
        return {"price": str(Decimal("0.25"))}

    def cut(run):
        calls.append("cut")
        if len(calls) == 2:
            raise KeyboardInterrupt
        return run.output("first")

    job = jobs.create_job(job_type(paid, cut), {})
    with pytest.raises(KeyboardInterrupt):
        engine.run(job)
    give_back(job, "KeyboardInterrupt")
    job = engine.run(Job.objects.get(pk=job.pk))

    assert calls == ["paid", "cut", "cut"]
    assert (job.status, job.result, job.attempts) == ("success", {"price": "0.25"}, 2)
    assert list(job.steps.values_list("position", "name", "status", "error")) == [
        (1, "first", "success", ""),
        (2, "second", "failed", "KeyboardInterrupt"),
        (3, "second", "success", ""),
    ]


def test_of_several_steps_of_one_name_those_that_completed_are_not_taken_again(pipeline):
    calls = []

    @pipeline.step(each=lambda payload: ["a", "b", "a", "c"])
    def visit(run, name):
        calls.append(name)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return len(calls)

    job = jobs.create_job("test", {})
    with pytest.raises(KeyboardInterrupt):
        engine.run(job)
    give_back(job, "KeyboardInterrupt")
    job = engine.run(Job.objects.get(pk=job.pk))

    assert calls == ["a", "b", "a", "c", "c"]
    assert job.result == [1, 2, 3, 5]


def test_what_a_step_noted_is_there_when_it_is_tried_again(run_job, job_type):
    seen = []

    def order(run):
        seen.append(run.noted)
        run.note({"order": len(seen)})
        if len(seen) < 3:
            raise Passing
        return "delivered"

    job = run_job(job_type(order, lambda run: [run.noted, run.output("first")], retries=2, backoff=0.01))

    assert seen == [None, {"order": 1}, {"order": 2}]
    assert job.result == [None, "delivered"]
    assert job.steps.get(name="first").output == "delivered"


def test_an_async_step_notes_too(run_job, pipeline):
    seen = []

    @pipeline.step(retries=1, backoff=0.01)
    async def order(run):
        seen.append(run.noted)
        await run.anote("order 1")
        if len(seen) < 2:
            raise Passing

    assert run_job("test").status == "success"
    assert seen == [None, "order 1"]


def test_what_a_step_noted_is_there_when_the_job_is_taken_up_again_and_again(job_type):
    seen = []

    def order(run):
        seen.append(run.noted)
        if len(seen) == 1:
            run.note("order 1")
        if len(seen) < 3:
            raise KeyboardInterrupt
        return run.noted

    job = jobs.create_job(job_type(order), {})
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            engine.run(job)
        give_back(job, "KeyboardInterrupt")
        job = Job.objects.get(pk=job.pk)

    assert engine.run(job).result == "order 1"
    assert seen == [None, "order 1", "order 1"]


def test_the_time_of_a_job_that_is_taken_up_again_begins_with_its_first_start(job_type):
    calls = []

    def cut(run):
        calls.append(time.sleep(0.05))
        if len(calls) == 1:
            raise KeyboardInterrupt

    job = jobs.create_job(job_type(cut), {})
    with (
        assert_increases("automation_job_queue_wait_seconds_count", job_type="test"),
        assert_increases("automation_job_duration_seconds_count", job_type="test"),
    ):
        with pytest.raises(KeyboardInterrupt):
            engine.run(job)
        first = job.started_at
        give_back(job, "KeyboardInterrupt")
        job = engine.run(Job.objects.get(pk=job.pk))

    assert job.started_at == first
    assert job.duration >= 0.1


def take_over(job):
    """What happens to a job whose worker sleeps for too long; returns the job as another worker has it."""
    assert give_back(Job.objects.get(pk=job.pk), "Its worker stopped without a word.")
    other = Job.objects.get(pk=job.pk)
    assert start_job(other)
    return other


def assert_running_for_another(job):
    job.refresh_from_db()
    assert (job.status, job.attempts, job.result, job.finished_at) == ("running", 2, None, None)


def test_a_worker_whose_job_another_has_stops_after_its_step(job_type):
    job = jobs.create_job(job_type(lambda run: take_over(run.job) and 1, lambda run: "never"), {})

    with assert_increases("automation_job_steps_total", by=0, status="success"):
        engine.run(job)

    assert_running_for_another(job)
    assert [(step.name, step.status) for step in Step.objects.all()] == [("first", "failed")]


def test_a_worker_whose_job_another_has_stops_at_its_next_checkpoint(job_type, monkeypatch):
    monkeypatch.setattr(engine, "CHECK_SECONDS", 0)
    seen = []

    def asleep(run):
        seen.append(take_over(run.job).heartbeat_at)
        run.checkpoint()
        seen.append("went on")

    job = jobs.create_job(job_type(asleep), {})
    engine.run(job)

    assert_running_for_another(job)
    assert seen == [job.heartbeat_at]


def succeed(run):
    return 1


def fail(run):
    raise Failure("not today")


def be_cancelled(run):
    jobs.cancel_job(run.job)
    run.checkpoint()


@pytest.mark.parametrize("end", [succeed, fail, be_cancelled])
def test_a_worker_whose_job_another_has_cannot_end_it(job_type, monkeypatch, end):
    """The last step has ended, the job has not, and there the worker sleeps."""
    monkeypatch.setattr(engine, "CHECK_SECONDS", 0)

    def sleep(step):
        if step.finished_at:
            Job.objects.update(cancel_requested_at=None)
            take_over(step.job)

    job = jobs.create_job(job_type(end), {})
    with assert_increases("automation_jobs_total", by=0):
        engine.run(job, watch=sleep)

    assert_running_for_another(job)


def test_a_job_that_another_has_cannot_be_given_back(job_type):
    job = jobs.create_job(job_type(interrupted), {})
    with pytest.raises(KeyboardInterrupt):
        engine.run(job)
    take_over(job)

    assert not give_back(job, "KeyboardInterrupt")
    assert_running_for_another(job)
