"""With 20,000 jobs in the table nothing that a scrape or a worker asks for reads all of it."""

import subprocess
import sys

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from automation import jobs
from automation.models import Job
from automation.tasks import run_job
from automation.transitions import finish_job, start_job
from tests.servers import new_folder
from tests.site import ROOT, environment, fresh


@pytest.mark.parametrize("postgres", [True, False], ids=["PostgreSQL", "SQLite"])
def test_no_query_reads_the_whole_table(postgres):
    env = environment(new_folder("queries"), 8000) | {"DJANGO_SETTINGS_MODULE": "project.settings", "REDIS_URL": ""}
    env["SITE_CHECK_HOSTS"] = "127.0.0.1:1"
    with fresh(postgres, env) as url:
        command = [sys.executable, "-m", "tests.automation.plans"]
        done = subprocess.run(
            command, cwd=ROOT, env=env | {"DATABASE_URL": url}, capture_output=True, text=True, timeout=110
        )
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""


@pytest.mark.django_db(transaction=True)
def test_a_job_makes_two_statements_beside_those_of_its_steps(job_type, django_assert_num_queries):
    job = jobs.create_job(job_type(), {})

    with django_assert_num_queries(2):
        run_job.func(str(job.pk))

    assert Job.objects.get().status == "success"


@pytest.mark.django_db
def test_a_worker_finds_its_job_by_its_key_however_many_wait():
    """PostgreSQL takes those that wait for few, since none did at its last count."""
    Job.objects.bulk_create(Job(job_type="site_check", status="success") for _ in range(2000))
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE automation_job")
    *_, job = Job.objects.bulk_create(Job(job_type="site_check") for _ in range(500))

    with CaptureQueriesContext(connection) as asked:
        assert start_job(job)
        assert finish_job(job, "success", duration=1)

    updates = [query["sql"] for query in asked if "UPDATE automation_job" in query["sql"]]
    assert len(updates) == 2
    for update in updates:
        with connection.cursor() as cursor:
            cursor.execute(f"EXPLAIN {update}")
            assert "Index Scan using automation_job_pkey" in str(cursor.fetchall())
