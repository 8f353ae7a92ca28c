"""With 100,000 jobs in the table no page and no list with any of its filters reads all of it."""

import subprocess
import sys

import pytest

from tests.servers import new_folder
from tests.site import ROOT, environment, fresh


@pytest.mark.parametrize("postgres", [True, False], ids=["PostgreSQL", "SQLite"])
def test_no_page_reads_the_whole_table(postgres):
    env = environment(new_folder("pages"), 8000) | {"DJANGO_SETTINGS_MODULE": "project.settings", "REDIS_URL": ""}
    with fresh(postgres, env) as url:
        command = [sys.executable, "-m", "tests.automation.page_plans"]
        done = subprocess.run(
            command, cwd=ROOT, env=env | {"DATABASE_URL": url}, capture_output=True, text=True, timeout=110
        )
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
