"""Schemathesis against the running site: no 500, and no answer that the OpenAPI document does not name.

It tries what the document says and what it does not, alone and in sequences: start, look, cancel, try again.
"""

import subprocess
import sys

import pytest

OPENAPI = "/api/automation/openapi.json"
EXAMPLES = 25  # for each operation, beside those that schemathesis makes of the document's every bound
# What a payload holds depends on the job type: the document says so, and /job-types says what.
NOT_ASKED = "positive_data_acceptance"


def schemathesis(site, folder, *options):
    document = site.get(OPENAPI, headers={"Authorization": f"Bearer {site.env['AUTOMATION_TOKEN']}"})
    (folder / "openapi.json").write_text(document.text)
    command = [sys.executable, "-m", "schemathesis.cli", "run", "openapi.json", "--url", site.url, *options]
    command += ["--checks=all", f"--exclude-checks={NOT_ASKED}", f"--max-examples={EXAMPLES}", "--warnings=off"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=110)


@pytest.mark.parametrize("postgres", [True, False], ids=["postgresql", "sqlite"])
def test_whoever_has_the_token_gets_only_documented_answers(site, tmp_path, postgres):
    with site(database=postgres) as running, running.worker():
        header = f"--header=Authorization: Bearer {running.env['AUTOMATION_TOKEN']}"
        done = schemathesis(running, tmp_path, header)

        assert done.returncode == 0, done.stdout + running.log
        assert "6 selected / 6 total" in done.stdout
        # it got as far as jobs that ran
        assert running.value("automation_jobs_total", status="success") > 0
        assert running.value("http_requests_total", endpoint="/api/automation/jobs/<uuid:job_id>", status=200) > 0


def test_whoever_has_no_token_gets_only_documented_answers(site, tmp_path):
    with site() as running:
        done = schemathesis(running, tmp_path)

        assert done.returncode == 0, done.stdout + running.log
        assert running.value("http_requests_total", endpoint="/api/automation/start", status=401) > 0
        assert running.value("http_requests_total", endpoint="/api/automation/start", status=202) == 0
