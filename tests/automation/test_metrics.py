"""What jobs, steps and AI requests leave in the metrics: exactly."""

from contextlib import ExitStack
from decimal import Decimal

import pytest
import sentry_sdk
from django.db import IntegrityError
from sentry_sdk.transport import Transport

from automation import engine, jobs
from automation.errors import Failure
from automation.models import AIRequest, Job
from automation.tasks import give_back
from automation.transitions import finish_job, start_job
from observability.exposition import snapshot, to_openmetrics
from observability.testing import assert_increases, metric_value
from tests.automation.conftest import TOKEN, rolled_back
from tests.site import eventually

pytestmark = pytest.mark.django_db(transaction=True)


class Increases(ExitStack):
    """Many series, each with what it must grow by."""

    def __init__(self, *expected):
        super().__init__()
        self.expected = expected

    def __enter__(self):
        for name, by, labels in self.expected:
            self.enter_context(assert_increases(name, by=by, **labels))
        return super().__enter__()


def test_a_job_of_three_steps_is_counted_once_and_its_steps_thrice(check):
    with Increases(
        ("automation_jobs_total", 1, {}),
        ("automation_jobs_total", 1, {"status": "failed"}),
        ("automation_job_results_total", 1, {"job_type": "site_check", "status": "failed"}),
        ("automation_job_duration_seconds_count", 1, {"job_type": "site_check"}),
        ("automation_job_queue_wait_seconds_count", 1, {"job_type": "site_check"}),
        ("automation_job_cost_usd_count", 0, {}),
        ("automation_job_steps_total", 3, {}),
        ("automation_job_steps_total", 2, {"step": "fetch_path", "status": "success"}),
        ("automation_job_steps_total", 1, {"step": "fetch_path", "status": "failed"}),
        ("automation_step_duration_seconds_count", 3, {"step": "fetch_path"}),
    ):
        check("/", "/204", "/404")


def test_durations_are_those_of_the_rows(check):
    names = ["automation_job_duration_seconds_sum", "automation_step_duration_seconds_sum"]
    before = [metric_value(name) for name in names]

    job = check("/", "/204")

    grown = [metric_value(name) - value for name, value in zip(names, before, strict=True)]
    assert grown == pytest.approx([job.duration, sum(step.duration for step in job.steps.all())], abs=1e-9)


def test_jobs_of_the_worker_are_counted_like_those_of_the_command(client, web, work):
    for path in ("/", "/500", "/404"):
        body = {"job_type": "site_check", "payload": {"base_url": web.url, "paths": [path]}}
        headers = {"Authorization": f"Bearer {TOKEN}"}
        client.post("/api/automation/start", body, content_type="application/json", headers=headers)

    with Increases(
        ("automation_jobs_total", 1, {"status": "success"}),
        ("automation_jobs_total", 2, {"status": "failed"}),
        ("automation_job_steps_total", 3, {}),
        ("automation_job_queue_wait_seconds_count", 3, {"job_type": "site_check"}),
    ):
        work()


def test_a_job_that_was_rolled_back_counts_nothing(web):
    with (
        assert_increases("automation_jobs_total", by=0),
        assert_increases("automation_job_steps_total", by=0),
        assert_increases("automation_job_queue_wait_seconds_count", by=0),
        rolled_back(),
    ):
        engine.run(jobs.create_job("site_check", {"base_url": web.url, "paths": ["/", "/404"]}))

    assert not Job.objects.exists()


def test_a_job_that_ended_is_not_counted_again(check):
    job = check("/")

    with assert_increases("automation_jobs_total", by=0):
        job.save()
        finish_job(job, Job.Status.FAILED, duration=1)
        engine.run(job)


def test_running_jobs_are_active_jobs():
    job = Job.objects.create(job_type="site_check")
    assert metric_value("active_jobs") == 0

    start_job(job)
    assert metric_value("active_jobs") == 1

    finish_job(job, Job.Status.CANCELLED, duration=1)
    assert metric_value("active_jobs") == 0


@pytest.mark.parametrize("status", ["success", "error", "timeout", "rate_limited", "budget_exceeded"])
def test_an_ai_request_is_counted_with_its_tokens_cost_and_duration(status):
    model = {"model": "gpt-4"}
    with Increases(
        ("ai_requests_total", 1, {"status": status} | model),
        ("ai_requests_total", 1, {}),
        ("ai_tokens_total", 150, model),
        ("ai_token_usage_total", 100, {"type": "input"} | model),
        ("ai_token_usage_total", 50, {"type": "output"} | model),
        ("ai_token_usage_total", 40, {"type": "cached_input"} | model),
        ("ai_token_usage_total", 30, {"type": "cache_write"} | model),
        ("ai_token_usage_total", 20, {"type": "reasoning"} | model),
        ("ai_cost_usd_count", 1, model),
        ("ai_request_duration_seconds_sum", 1.5, model),
        ("ai_time_to_first_token_seconds_sum", 0.5, model),
        ("ai_unpriced_requests_total", 0, model),
    ):
        AIRequest.objects.create(
            model="gpt-4",
            status=status,
            input_tokens=100,
            output_tokens=50,
            cached_input_tokens=40,
            cache_write_tokens=30,
            reasoning_tokens=20,
            cost=Decimal("0.0125"),
            duration=1.5,
            time_to_first_token=0.5,
        )


@pytest.mark.parametrize(
    "wrong",
    [
        {"cached_input_tokens": 6, "cache_write_tokens": 5, "input_tokens": 10},
        {"reasoning_tokens": 6, "output_tokens": 5},
        {"cost": Decimal("-0.01")},
        {"duration": -1},
        {"time_to_first_token": -1},
    ],
    ids=lambda wrong: next(iter(wrong)),
)
def test_an_ai_request_that_cannot_be_is_not_kept(wrong):
    with assert_increases("ai_requests_total", by=0), pytest.raises(IntegrityError):
        AIRequest.objects.create(model="gpt-4", status="success", **wrong)


def test_the_cost_of_ai_requests_adds_up():
    before = metric_value("ai_cost_usd_sum", model="gpt-4")

    for cost in ("0.0125", "0", "1.25"):
        AIRequest.objects.create(model="gpt-4", status="success", cost=Decimal(cost))

    assert metric_value("ai_cost_usd_sum", model="gpt-4") - before == pytest.approx(1.2625)


def test_an_unknown_cost_is_not_zero():
    with Increases(
        ("ai_requests_total", 1, {"model": "new-model", "status": "success"}),
        ("ai_tokens_total", 15, {"model": "new-model"}),
        ("ai_unpriced_requests_total", 1, {"model": "new-model"}),
        ("ai_cost_usd_count", 0, {}),
    ):
        AIRequest.objects.create(model="new-model", status="success", input_tokens=10, output_tokens=5)


def test_ai_requests_that_were_rolled_back_count_nothing():
    with (
        assert_increases("ai_requests_total", by=0),
        rolled_back(),
    ):
        AIRequest.objects.create(model="gpt-4", status="success", cost=1)


def spend(run, *costs):
    for cost in costs:
        AIRequest.objects.create(job=run.job, model="gpt-4", status="success", cost=cost)


@pytest.mark.parametrize("status", ["success", "failed"])
def test_what_a_job_spent_is_recorded_by_outcome(run_job, job_type, status):
    def spending(run):
        spend(run, Decimal("0.25"), Decimal("0.5"))
        if status == "failed":
            raise Failure("It was for nothing.")

    labels = {"job_type": "test", "status": status}
    before = metric_value("automation_job_cost_usd_sum", **labels)
    with assert_increases("automation_job_cost_usd_count", **labels):
        run_job(job_type(spending))

    assert metric_value("automation_job_cost_usd_sum", **labels) - before == pytest.approx(0.75)


def test_what_a_job_spent_is_all_of_it_whichever_attempt_and_statement_made_the_request(job_type):
    def spending(run):
        spend(run, Decimal("0.25"))
        if run.job.attempts == 1:
            raise KeyboardInterrupt
        AIRequest.objects.bulk_create([AIRequest(job=run.job, model="gpt-4", status="success", cost=Decimal("0.5"))])

    job = jobs.create_job(job_type(spending), {})
    with pytest.raises(KeyboardInterrupt):
        engine.run(job)
    give_back(job, "KeyboardInterrupt")
    with assert_increases("automation_job_cost_usd_sum", by=1, job_type="test", status="success"):
        engine.run(job)
    assert job.final_cost == job.ai_cost() == 1


def test_a_job_with_a_request_of_unknown_cost_has_no_known_cost(run_job, job_type):
    with (
        assert_increases("automation_job_cost_usd_count", by=0),
        assert_increases("automation_jobs_total", status="success"),
    ):
        run_job(job_type(lambda run: spend(run, Decimal("0.25"), None)))


def test_the_duration_of_a_job_is_shown_with_the_job_as_its_example(check):
    def is_shown():
        """At most one a second is kept of each bucket."""
        job = check("/")
        return f'# {{job_id="{job.pk}"}}' in to_openmetrics(snapshot(["automation_job_duration_seconds"])).decode()

    eventually(is_shown, True)


@pytest.fixture
def sentry():
    """The real SDK, which sends nothing and patches nothing; it is off again after the test."""
    sentry_sdk.init(
        dsn="http://key@127.0.0.1:9/1",
        transport=Unsent,
        traces_sample_rate=1.0,
        default_integrations=False,
        auto_enabling_integrations=False,
    )
    yield
    sentry_sdk.get_client().close()
    sentry_sdk.get_global_scope().set_client(None)


class Unsent(Transport):
    def capture_envelope(self, envelope):
        pass


def test_a_job_within_a_trace_is_shown_with_both(check, sentry):
    def is_shown():
        """At most one a second is kept of each bucket."""
        with sentry_sdk.start_transaction(name="a job") as transaction:
            job = check("/")
        both = f'# {{job_id="{job.pk}",trace_id="{transaction.trace_id}"}}'
        return both in to_openmetrics(snapshot(["automation_job_duration_seconds"])).decode()

    eventually(is_shown, True)
