"""Workers as processes of their own: killed, stopped and continued, told to end, left without a database."""

import json
import os
import signal
import sys
import time
from contextlib import ExitStack, contextmanager
from urllib.parse import urlsplit

import psycopg
import pytest

from tests.processes import running
from tests.servers import new_folder
from tests.site import ROOT, eventually

DATABASES = pytest.mark.parametrize("database", [True, False], ids=["PostgreSQL", "SQLite"])
COUNT = """
import json
from collections import Counter
from automation.models import Job, Step
from django_tasks_db.models import DBTaskResult
print(json.dumps({
    "jobs": Counter(Job.objects.values_list("status", flat=True)),
    "attempts": sorted(Job.objects.values_list("attempts", flat=True)),
    "steps": Counter(map(" ".join, Step.objects.values_list("name", "status"))),
    "errors": sorted(set(Step.objects.values_list("error", flat=True))),
    "tasks": Counter(DBTaskResult.objects.values_list("status", flat=True)),
}))
"""


class Gate:
    """Jobs that stand before a gate, and the workers that took them."""

    def __init__(self, site, stack):
        self.site = site
        self.stack = stack
        self.folder = new_folder("gate")
        self.hired = 0

    def start_jobs(self, number, job_type="gated"):
        return [self.site.start_job(job_type, folder=str(self.folder)) for _ in range(number)]

    def hire(self, number=1):
        """Start workers; each writes to a log of its own."""
        return [self.stack.enter_context(self._worker()) for _ in range(number)]

    @contextmanager
    def _worker(self):
        self.hired += 1
        options = "--no-reload --no-startup-delay --interval=0.1".split()
        command = [sys.executable, "manage.py", "db_worker", *options]
        log = self.folder / f"{self.hired}.log"
        with running(command, log, cwd=ROOT, env=self.site.env) as process:
            process.log = log
            yield process

    def wait_for(self, number):
        """Wait until so many arrivals were seen, each of a job and an attempt."""
        eventually(lambda: len(self.arrived()), number, seconds=60)

    def arrived(self):
        return sorted(path.name.removesuffix(".arrived") for path in self.folder.glob("*.arrived"))

    def open(self):
        (self.folder / "open").touch()

    def paid(self):
        return sorted((self.folder / "paid").read_text().split())

    def rows(self):
        done = self.site.manage("shell", "-v0", "-c", COUNT)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def counted(self, **statuses):
        """Wait until the metrics show so many jobs that ended."""
        eventually(
            lambda: {s: self.site.value("automation_jobs_total", status=s) for s in ("success", "failed", "cancelled")},
            {"success": 0, "failed": 0, "cancelled": 0} | statuses,
            seconds=60,
        )


@pytest.fixture
def gate(site):
    """`with gate(database=True, lease=2) as g:` a site whose jobs wait."""

    @contextmanager
    def run(database=True, lease=60.0):
        env = {"DJANGO_SETTINGS_MODULE": "tests.automation.gated_settings", "LEASE_SECONDS": str(lease)}
        with site(env=env, workers=1, database=database, redis=False) as s, ExitStack() as stack:
            yield Gate(s, stack)

    return run


def kill(*workers):
    for worker in workers:
        worker.kill()
        worker.wait()


@DATABASES
@pytest.mark.timeout(240)
def test_workers_killed_in_the_middle_of_50_jobs_lose_none_and_count_none_twice(gate, database):
    with gate(database, lease=2) as g:
        jobs = g.start_jobs(50)
        a, b, c, d = g.hire(4)
        g.wait_for(4)
        kill(a, b, c, d)
        a, b, c, d = g.hire(4)
        g.wait_for(8)
        kill(a, b)
        a, b = g.hire(2)
        g.wait_for(10)
        kill(b, c, d)
        g.hire(3)
        g.wait_for(13)
        g.open()
        g.counted(success=50)

        eventually(lambda: g.site.value("active_jobs"), 0)
        eventually(lambda: g.rows()["tasks"], {"SUCCESSFUL": 50, "FAILED": 9}, seconds=30)
        rows = g.rows()
        assert rows["jobs"] == {"success": 50}
        assert rows["attempts"] == [1] * 41 + [2] * 9
        assert rows["steps"] == {"pay success": 50, "wait success": 50, "wait failed": 9}
        assert g.paid() == sorted(jobs)
        assert {
            (step, status): g.site.value("automation_job_steps_total", step=step, status=status)
            for step in ("pay", "wait")
            for status in ("success", "failed")
        } == {("pay", "success"): 50, ("pay", "failed"): 0, ("wait", "success"): 50, ("wait", "failed"): 9}
        assert g.site.value("automation_job_duration_seconds_count", job_type="gated") == 50
        assert g.site.value("automation_job_queue_wait_seconds_count", job_type="gated") == 50
        assert g.site.value("automation_jobs_queued", job_type="gated") == 0


@DATABASES
def test_a_worker_that_was_stopped_for_longer_than_its_lease_leaves_the_job_to_the_other(gate, database):
    with gate(database, lease=2) as g:
        g.start_jobs(1)
        [zombie] = g.hire()
        g.wait_for(1)
        zombie.send_signal(signal.SIGSTOP)
        [other] = g.hire()
        g.wait_for(2)
        g.open()
        g.counted(success=1)

        zombie.send_signal(signal.SIGCONT)
        eventually(lambda: "was given to another worker" in zombie.log.read_text(), True)
        assert g.rows()["steps"] == {"pay success": 1, "wait failed": 1, "wait success": 1}

        kill(other)
        g.start_jobs(1)
        g.counted(success=2)


def test_a_long_job_of_a_worker_that_lives_is_not_taken_by_others(gate):
    with gate(lease=1) as g:
        g.start_jobs(1)
        g.hire(2)
        g.wait_for(1)
        time.sleep(4)
        assert g.site.value("automation_oldest_active_job_age_seconds") < 1
        g.open()
        g.counted(success=1)
        assert g.rows()["attempts"] == [1]


def test_a_worker_that_is_told_to_end_ends_its_job_first(gate):
    with gate() as g:
        g.start_jobs(2)
        [worker] = g.hire()
        g.wait_for(1)
        worker.send_signal(signal.SIGTERM)
        eventually(lambda: "shutting down gracefully" in worker.log.read_text(), True)
        g.open()

        assert worker.wait(15) == 0
        g.counted(success=1)
        assert g.rows()["jobs"] == {"success": 1, "pending": 1}


def test_a_worker_that_is_told_twice_gives_its_job_back_at_once(gate):
    with gate() as g:
        g.start_jobs(1)
        [worker] = g.hire()
        g.wait_for(1)
        worker.send_signal(signal.SIGTERM)
        eventually(lambda: "shutting down gracefully" in worker.log.read_text(), True)
        worker.send_signal(signal.SIGTERM)

        worker.wait(15)
        assert g.rows()["jobs"] == {"pending": 1}
        g.hire()
        g.wait_for(2)
        g.open()
        g.counted(success=1)
        rows = g.rows()
        assert (rows["attempts"], rows["errors"]) == ([2], ["", "SystemExit: 1"])
        assert g.paid() == g.paid()[:1]


def test_a_worker_that_is_told_twice_ends_an_async_step_before_it_gives_the_job_back(gate):
    with gate() as g:
        g.start_jobs(1, "slow")
        [worker] = g.hire()
        g.wait_for(1)
        worker.send_signal(signal.SIGTERM)
        eventually(lambda: "shutting down gracefully" in worker.log.read_text(), True)
        worker.send_signal(signal.SIGTERM)

        worker.wait(15)
        assert (g.folder / "called off").read_text() == "running"
        rows = g.rows()
        assert (rows["jobs"], rows["errors"]) == ({"pending": 1}, ["SystemExit: 1"])


def test_a_job_that_runs_elsewhere_is_cancelled_within_seconds(gate):
    with gate() as g:
        [job] = g.start_jobs(1)
        g.hire()
        g.wait_for(1)
        code = f"from automation import jobs, models; print(jobs.cancel_job(models.Job.objects.get(pk='{job}')))"
        assert g.site.manage("shell", "-v0", "-c", code).stdout == "True\n"

        g.counted(cancelled=1)
        assert g.rows()["steps"] == {"pay success": 1, "wait failed": 1}


def allow_connections(url, allowed):
    name = urlsplit(url).path.lstrip("/")
    with psycopg.connect(os.environ["DATABASE_URL"], autocommit=True) as server:
        server.execute(f'ALTER DATABASE "{name}" WITH ALLOW_CONNECTIONS {allowed}')
        if not allowed:
            server.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [name])


@contextmanager
def away(url):
    """The database takes no connections, and those that were open are gone."""
    allow_connections(url, False)
    try:
        yield
    finally:
        allow_connections(url, True)


@pytest.mark.timeout(120)
def test_workers_outlive_a_database_that_is_away_for_seconds_idle_and_busy(gate):
    with gate() as g:
        g.start_jobs(1)
        workers = g.hire(2)
        g.wait_for(1)
        with away(g.site.database_url):
            time.sleep(3)
            g.open()
            time.sleep(1)
            assert [worker.poll() for worker in workers] == [None, None]
        g.counted(success=1)

        assert g.rows()["attempts"] == [1]
        assert g.rows()["steps"] == {"pay success": 1, "wait success": 1}
        eventually(lambda: g.rows()["tasks"], {"SUCCESSFUL": 1})
        g.start_jobs(2)
        g.counted(success=3)
        assert all("cannot be reached" in worker.log.read_text() for worker in workers)


@pytest.mark.timeout(120)
def test_jobs_stay_with_their_workers_when_the_database_was_away_for_longer_than_a_lease(gate):
    with gate(lease=6) as g:
        g.start_jobs(4, "slow")
        workers = g.hire(4)
        g.wait_for(4)
        with away(g.site.database_url):
            time.sleep(8)
        time.sleep(5)

        rows = g.rows()
        assert (rows["jobs"], rows["attempts"]) == ({"running": 4}, [1] * 4)
        kill(*workers)
