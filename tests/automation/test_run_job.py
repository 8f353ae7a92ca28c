"""`manage.py run_job`: one job in the foreground."""

import io
import subprocess
import sys
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from automation.models import Job

ROOT = Path(__file__).resolve().parents[2]


def run(*arguments: str) -> str:
    out = io.StringIO()
    call_command("run_job", *arguments, stdout=out, no_color=True)
    return out.getvalue()


@pytest.mark.django_db
def test_it_shows_each_step_and_the_result(web):
    shown = run("site_check", f"base_url={web.url}", 'paths=["/", "/204"]').splitlines()

    assert shown[0] == f"site_check {Job.objects.get().id}"
    assert shown[1].startswith("  fetch_path / ... ok (0.")
    assert shown[2].startswith("  fetch_path /204 ... ok (0.")
    assert shown[3].startswith("success in 0.")
    assert '"status": 204' in "".join(shown[4:])


@pytest.mark.django_db
def test_a_failed_job_shows_its_steps_and_ends_with_code_1_and_a_sentence(web):
    out = io.StringIO()
    with pytest.raises(CommandError) as failure:
        call_command("run_job", "site_check", f"base_url={web.url}", 'paths=["/404", "/"]', stdout=out)

    assert failure.value.returncode == 1
    assert str(failure.value) == "site_check failed: 1 of 2 fetch_path steps failed: /404 (HTTP 404)."
    assert "fetch_path /404 ... failed (0." in out.getvalue()
    assert "s): HTTP 404" in out.getvalue()
    assert "fetch_path / ... ok" in out.getvalue()


@pytest.mark.django_db
def test_it_needs_no_worker_and_leaves_nothing_in_the_queue(web):
    from django_tasks_db.models import DBTaskResult

    run("site_check", f"base_url={web.url}", 'paths=["/"]')

    assert Job.objects.get().status == "success"
    assert not DBTaskResult.objects.exists()


@pytest.mark.django_db
def test_an_unknown_job_type_lists_the_known_ones():
    with pytest.raises(CommandError, match=r"^Unknown job type 'nope'. Known job types: notion_vercel, site_check\.$"):
        run("nope")


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ([], "base_url: Field required; paths: Field required"),
        (["base_url={url}"], "paths: Field required"),
        (["base_url={url}", "paths=/"], "paths: Input should be a valid list"),
        (["base_url={url}", 'paths=["x"]'], 'paths.0: must start with a single "/"'),
        (["base_url={url}", 'paths=["/"]', "colour=red"], "colour: Extra inputs are not permitted"),
        (["base_url=http://evil.example", 'paths=["/"]'], "base_url: host 'evil.example' is not allowed"),
    ],
)
def test_a_payload_that_does_not_fit_names_the_field(web, arguments, problem):
    with pytest.raises(CommandError) as failure:
        run("site_check", *(argument.replace("{url}", web.url) for argument in arguments))

    assert str(failure.value).startswith(f"The payload does not fit site_check: {problem}")
    assert not Job.objects.exists()


@pytest.mark.parametrize("argument", ["paths", "=x", ""])
def test_an_argument_that_is_not_key_value_is_named(argument):
    with pytest.raises(CommandError, match="is not KEY=VALUE"):
        run("site_check", argument)


@pytest.mark.django_db
def test_a_key_given_twice_is_refused(web):
    with pytest.raises(CommandError, match="base_url is given twice"):
        run("site_check", f"base_url={web.url}", 'paths=["/"]', f"base_url={web.url}")


@pytest.mark.django_db
def test_ctrl_c_fails_the_job_and_ends_with_code_130(job_type):
    def interrupted(run):
        raise KeyboardInterrupt

    with pytest.raises(CommandError) as failure:
        run(job_type(interrupted))

    job = Job.objects.get()
    assert failure.value.returncode == 130
    assert (job.status, job.error) == ("failed", "KeyboardInterrupt")
    assert job.steps.get().status == "failed"


def test_the_process_ends_with_code_1_and_no_traceback():
    command = [sys.executable, str(ROOT / "manage.py"), "run_job", "nope"]

    done = subprocess.run(command, capture_output=True, text=True, timeout=60)

    assert done.returncode == 1
    assert done.stdout == ""
    assert (
        done.stderr.splitlines()[-1]
        == "CommandError: Unknown job type 'nope'. Known job types: notion_vercel, site_check."
    )
    assert "Traceback" not in done.stderr
