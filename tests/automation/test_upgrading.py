"""Rows of the first version come through all migrations to the newest one, and back."""

import json
import os
import subprocess
import sys
from contextlib import contextmanager

import pytest

from tests.servers import new_folder
from tests.site import AUTOMATION_TOKEN, ROOT, fresh_postgres


@contextmanager
def fresh_sqlite():
    yield f"sqlite:///{new_folder('sqlite')}/db.sqlite3"


def upgraded(url):
    """What ``upgrade.py`` prints of a database."""
    env = os.environ | {
        "AUTOMATION_TOKEN": AUTOMATION_TOKEN,
        "DATABASE_URL": url,
        "DEBUG": "1",
        "DJANGO_SETTINGS_MODULE": "project.settings",
        "PROMETHEUS_MULTIPROC_DIR": str(new_folder("metrics")),
        "REDIS_URL": "",
    }
    code = "import django; django.setup(); from tests.automation import upgrade; upgrade.main()"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=env, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("database", [fresh_postgres, fresh_sqlite])
def test_rows_of_the_first_version_come_through_to_the_newest_and_back(database):
    with database() as url:
        seen = upgraded(url)
    assert [len(rows) for rows in seen["first"].values()] == [5, 3, 6, 1]
    assert seen["newest"] == seen["first"]
    unknown_is_shown_as_unknown(seen["shown"], seen["spent"])
    unfinished_jobs_are_seen_to(seen["shown"], seen["reaped"])
    assert seen["after"] == seen["before"]
    assert seen["columns"][0] == seen["columns"][1]


def unknown_is_shown_as_unknown(jobs, spent):
    assert {asked: job["status"] for asked, job in jobs.items()} == {asked: asked for asked in jobs}
    assert {job["cost"] for job in jobs.values()} == {None}  # one of the costs is unknown
    assert {(job["attempts"], job["request_id"], job["retry_of"]) for job in jobs.values()} == {(0, "", None)}
    assert [(step["attempts"], step["output"]) for step in jobs["failed"]["steps"]] == [(1, None)] * 3
    requests = jobs["success"]["ai_requests"]
    assert {(request["provider"], request["error"], request["step"]) for request in requests} == {("", "", "")}
    assert (spent["requests"], spent["cost"]) == (6, "1.00000008")


def unfinished_jobs_are_seen_to(before, after):
    assert (after["running"]["status"], after["running"]["error"]) == ("failed", "Its worker stopped without a word.")
    assert {status for status, job in after.items() if job != before[status]} == {"running"}
