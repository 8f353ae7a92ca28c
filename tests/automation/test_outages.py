"""Connections to the database are lost, and answers with them: nothing paid is lost, and nothing counts twice."""

import os

import psycopg
import pytest
from django.db import connection

from automation import engine, jobs
from automation.clients import Anthropic
from automation.models import AIRequest, Job, Step
from observability.testing import assert_increases
from tests.automation.proxy import Proxy

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def proxy(transactional_db, monkeypatch):
    """The database behind a proxy that can lose its answers."""
    settings = connection.settings_dict
    connection.close()
    with Proxy(settings["HOST"], int(settings["PORT"])) as proxy:
        monkeypatch.setitem(settings, "HOST", "127.0.0.1")
        monkeypatch.setitem(settings, "PORT", proxy.port)
        yield proxy
        connection.close()


def end_connection():
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        (number,) = cursor.fetchone()
    with psycopg.connect(os.environ["DATABASE_URL"], autocommit=True) as other:
        other.execute("SELECT pg_terminate_backend(%s)", [number])


def new_job():
    return jobs.create_job("test", {}, queued=False)


def say_hello(run, watch):
    with Anthropic(run.sleep) as model:
        return model.complete(run.job, "claude-sonnet-5", [{"role": "user", "content": "Hello"}], watch=watch).text


def test_a_connection_that_ends_in_the_middle_of_an_answer_costs_neither_the_job_nor_what_was_paid(services, pipeline):
    ended = []

    def watch(text):
        if not ended:
            ended.append(end_connection())

    @pipeline.step
    def first(run):
        return say_hello(run, watch)

    with (
        assert_increases("automation_jobs_total", status="success"),
        assert_increases("automation_job_steps_total", step="first", status="success"),
        assert_increases("ai_requests_total", status="success"),
    ):
        assert engine.run(new_job()).status == "success"
    assert len(ended) == AIRequest.objects.count() == len(services.requests(service="anthropic")) == 1


def test_a_note_a_checkpoint_and_the_next_step_outlive_their_connection(pipeline):
    @pipeline.step
    def first(run):
        end_connection()
        run.note("halfway")
        end_connection()
        run.sleep(1)
        end_connection()

    @pipeline.step
    def second(run):
        end_connection()

    job = engine.run(new_job())
    assert [(step.name, step.status) for step in job.steps.all()] == [("first", "success"), ("second", "success")]


def test_an_end_whose_answer_was_lost_is_this_workers_and_counts_once(proxy, pipeline):
    @pipeline.step
    def first(run):
        proxy.lose(b"UPDATE 1")

    @pipeline.result
    def result(run):
        proxy.lose(b"UPDATE 1")
        return 42

    with (
        assert_increases("automation_jobs_total", status="success"),
        assert_increases("automation_job_steps_total", step="first", status="success"),
    ):
        job = engine.run(new_job())
    assert proxy.lost == 2
    assert (job.status, job.result, Step.objects.get().status) == ("success", 42, "success")
    assert Job.objects.get().duration == job.duration


def test_a_row_whose_answer_was_lost_is_there_once_and_counts_once(proxy, services, pipeline):
    @pipeline.step
    def first(run):
        proxy.lose(b"INSERT 0 1")
        text = say_hello(run, lambda text: proxy.lost == 1 and proxy.lose(b"UPDATE 1"))
        assert proxy.lost == 2
        return text

    def begin(step):
        if step.name == "first" and step.status == "success":
            proxy.lose(b"INSERT 0 1")

    @pipeline.step
    def second(run):
        return run.step.pk

    with assert_increases("ai_requests_total", status="success"):
        job = engine.run(new_job(), watch=begin)
    assert (job.status, proxy.lost, AIRequest.objects.count()) == ("success", 3, 1)
    assert [step.pk for step in job.steps.all()][1:] == [job.result]
