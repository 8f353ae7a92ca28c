"""With 100,000 jobs in the table nothing that a scrape or a worker asks for reads all of it."""

import subprocess
import sys

import pytest

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
