"""``make run``: the whole site with one command, and nothing left of it after Ctrl-C."""

import json
import re
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager

import httpx2
import psutil
import pytest

from tests.project.conftest import bare_environment, processes_in
from tests.project.terminal import Terminal, free_port
from tests.site import eventually

STARTED = "Ctrl-C ends everything."
PARTS = ["gunicorn", "db_worker", "project.sandbox", "project.traffic"]
AGENT_STEPS = ["fetch_page", "plan", "generate_code", "review", "deploy", "verify"]
KEYS = dict.fromkeys(["NOTION_TOKEN", "VERCEL_TOKEN", "OPENAI_API_KEY", "ANTHROPIC_API_KEY"], "a key")


@contextmanager
def started(checkout, *command, **environment):
    """``make run`` on a free port, up to the point where it prints the addresses."""
    environment = bare_environment(PORT=str(free_port()), **environment)
    terminal = Terminal(command or ["make", "run"], checkout, environment)
    terminal.url = f"http://127.0.0.1:{environment['PORT']}"
    try:
        terminal.shows(STARTED)
        yield terminal
    finally:
        if terminal.process.poll() is None:
            terminal.process.kill()
            terminal.process.wait()
        terminal.close_window()
        nothing_is_left_in(checkout)  # it would keep the next site out


def parts(checkout, name):
    """The processes of a part of the site, the first one first."""
    found = [process for process in processes_in(checkout) if name in " ".join(process.info["cmdline"])]
    return sorted(found, key=psutil.Process.create_time)


def part(checkout, name):
    return parts(checkout, name)[0]


def suspend_worker(terminal, checkout):
    """Stop the worker where no signal but SIGKILL reaches it; before it handles signals itself, all would end it."""
    terminal.shows("Starting worker", times=len(parts(checkout, "db_worker")))
    part(checkout, "db_worker").suspend()


def nothing_is_left_in(checkout):
    eventually(lambda: processes_in(checkout), [])


def total(url, name, **labels):
    """The sum of a metric's samples as the running site shows them."""
    families = httpx2.get(f"{url}/api/metrics/json", trust_env=False, timeout=30).json()
    samples = (sample for family in families.values() for sample in family["samples"] if sample["name"] == name)
    return sum(sample["value"] for sample in samples if labels.items() <= sample["labels"].items())


def test_it_serves_the_site_and_works_off_jobs_until_ctrl_c(new_checkout):
    with started(new_checkout) as terminal:
        eventually(lambda: total(terminal.url, "http_requests_total", endpoint="/") > 0, True)
        eventually(lambda: total(terminal.url, "automation_jobs_total", status="success") > 0, True)
        eventually(lambda: total(terminal.url, "automation_jobs_total", status="failed") > 0, True, seconds=60)
        assert total(terminal.url, "automation_job_steps_total", step="fetch_path") >= 2
        terminal.press_ctrl_c()
        terminal.exit_code()
        assert "Ending." in terminal.shown
        assert "Traceback" not in terminal.shown
    nothing_is_left_in(new_checkout)


def test_the_agent_is_at_work_in_the_sandbox_before_a_minute_has_passed(used_checkout):
    alive = [
        ("automation_jobs_total", {"status": "success"}),
        ("automation_jobs_total", {"status": "cancelled"}),
        ("automation_job_duration_seconds_count", {"job_type": "notion_vercel"}),
        ("automation_job_cost_usd_sum", {"job_type": "notion_vercel", "status": "success"}),
        *(("automation_job_steps_total", {"step": step, "status": "success"}) for step in AGENT_STEPS),
        ("notion_requests_total", {"status": "success"}),
        ("notion_request_duration_seconds_count", {}),
        ("vercel_deployments_total", {}),
        ("vercel_deployment_duration_seconds_count", {}),
        ("ai_requests_total", {"status": "success"}),
        ("ai_tokens_total", {}),
        ("ai_cost_usd_sum", {}),
        ("ai_time_to_first_token_seconds_count", {}),
    ]
    with started(used_checkout) as terminal:
        assert "SANDBOX          http://localhost:" in terminal.shown
        assert "stands in for Notion, Vercel, OpenAI and Anthropic" in terminal.shown
        assert len(parts(used_checkout, "db_worker")) == 2
        eventually(lambda: [row for row in alive if not total(terminal.url, row[0], **row[1])], [], seconds=60)
        terminal.press_ctrl_c()
        terminal.exit_code()
        assert "Traceback" not in terminal.shown
    nothing_is_left_in(used_checkout)


def test_what_has_a_key_is_not_stood_in_for_and_the_traffic_spends_no_money_there(used_checkout):
    with started(used_checkout, OPENAI_API_KEY="a key") as terminal:
        assert "stands in for Notion, Vercel and Anthropic:" in terminal.shown
        [worker, _] = parts(used_checkout, "db_worker")
        seen = worker.environ()
        assert seen["OPENAI_API_KEY"] == "a key"
        assert "OPENAI_URL" not in seen
        assert seen["NOTION_URL"] == seen["DEPLOYMENT_ADDRESS"].replace("/_deployments/{host}/", "/notion")
        assert "AGENT_TRAFFIC" not in part(used_checkout, "project.traffic").environ()
    with started(used_checkout, **KEYS) as terminal:
        assert "SANDBOX" not in terminal.shown
        assert parts(used_checkout, "project.sandbox") == []


def test_other_commands_get_the_environment_of_the_site_from_a_file(used_checkout):
    file = used_checkout / "var" / "environment"
    with started(used_checkout, TRAFFIC="0") as terminal:
        show = "import json, os; print(json.dumps(dict(os.environ)))"
        shell = ["sh", "-c", f". {file}; exec {sys.executable} -c '{show}'"]
        seen = json.loads(subprocess.check_output(shell, env={}, timeout=30))
        expected = part(used_checkout, "db_worker").environ()
        assert {"DEBUG", "PORT", "SECRET_KEY", "NOTION_TOKEN", "DEPLOYMENT_ADDRESS", "AI_MODELS"} <= seen.keys()
        assert {name: seen[name] for name in seen.keys() & expected.keys() - {"PWD"}}.items() <= expected.items()
        assert file.stat().st_mode & 0o777 == 0o600
        terminal.press_ctrl_c()
        terminal.exit_code()
    assert not file.exists()


def test_a_key_may_come_from_a_file(used_checkout):
    (used_checkout / "key").write_text("a key")
    with started(used_checkout, NOTION_TOKEN_FILE=str(used_checkout / "key")) as terminal:
        assert "stands in for Vercel, OpenAI and Anthropic:" in terminal.shown


def test_the_password_is_shown_once_and_opens_the_admin(new_checkout):
    with started(new_checkout, TRAFFIC="0") as terminal:
        password = re.search(r"with the password (\S+)", terminal.shown)[1]
        with httpx2.Client(base_url=terminal.url, trust_env=False, timeout=30) as client:
            token = client.get("/admin/login/").cookies["csrftoken"]
            form = {"username": "admin", "password": password, "csrfmiddlewaretoken": token}
            assert client.post("/admin/login/?next=/admin/", data=form).status_code == 302
            assert client.get("/admin/observability/metric/").status_code == 200
        terminal.press_ctrl_c()
        terminal.exit_code()
    with started(new_checkout, TRAFFIC="0") as terminal:
        assert password not in terminal.shown
        assert "Sign in as admin." in terminal.shown


def test_without_traffic_nothing_asks_the_site(used_checkout):
    with started(used_checkout, TRAFFIC="0") as terminal:
        before = total(terminal.url, "http_requests_total")
        time.sleep(2)
        assert total(terminal.url, "http_requests_total") == before + 1  # the look before


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_to_it_alone_ends_everything(used_checkout, number):
    with started(used_checkout, sys.executable, "-m", "project.run") as terminal:
        terminal.process.send_signal(number)
        assert terminal.exit_code() == 0
    nothing_is_left_in(used_checkout)


@pytest.mark.parametrize("command", ["make run", "make run; true"], ids=["of make", "of a shell"])
def test_closing_the_terminal_ends_everything(used_checkout, command):
    with started(used_checkout, "sh", "-c", command) as terminal:
        terminal.close_window()
        terminal.exit_code()
    nothing_is_left_in(used_checkout)


def test_a_second_ctrl_c_ends_what_does_not_listen(used_checkout):
    with started(used_checkout) as terminal:
        suspend_worker(terminal, used_checkout)
        terminal.press_ctrl_c()
        terminal.shows("Ending.")
        with pytest.raises(subprocess.TimeoutExpired):
            terminal.process.wait(2)
        terminal.press_ctrl_c()
        terminal.exit_code(seconds=4)
    nothing_is_left_in(used_checkout)


def test_what_does_not_listen_is_ended_after_a_while_anyway(used_checkout):
    with started(used_checkout) as terminal:
        suspend_worker(terminal, used_checkout)
        terminal.press_ctrl_c()
        terminal.exit_code(seconds=20)
    nothing_is_left_in(used_checkout)


@pytest.mark.parametrize(("name", "called"), [("gunicorn", "web server"), ("db_worker", "task worker")])
def test_when_a_part_dies_everything_ends_and_says_which(used_checkout, name, called):
    with started(used_checkout, sys.executable, "-m", "project.run") as terminal:
        part(used_checkout, name).kill()
        assert terminal.exit_code() == 1
        assert f"The {called} ended by itself, with exit code -9: ending everything." in terminal.shown
    nothing_is_left_in(used_checkout)


def test_nothing_outlives_a_supervisor_that_was_killed(used_checkout):
    with started(used_checkout, sys.executable, "-m", "project.run") as terminal:
        assert all(part(used_checkout, name) for name in PARTS)
        terminal.process.kill()
        terminal.exit_code()
        nothing_is_left_in(used_checkout)


def test_ctrl_c_during_the_preparation_ends_everything(new_checkout):
    terminal = Terminal(["make", "run"], new_checkout, bare_environment(PORT=str(free_port())))
    eventually(lambda: bool(parts(new_checkout, "project.prepare")), True)
    terminal.press_ctrl_c()
    terminal.exit_code()
    terminal.close_window()
    assert STARTED not in terminal.shown
    nothing_is_left_in(new_checkout)


def test_a_taken_port_is_one_sentence_and_starts_nothing(new_checkout):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        done = run_to_its_end(new_checkout, PORT=str(port))
    assert done.returncode == 1
    assert done.stdout.startswith(f"Port {port} is taken by another program: ")
    assert len(done.stdout.splitlines()) == 1
    assert not (new_checkout / "var" / "db.sqlite3").exists()


def test_a_second_site_from_the_same_folder_is_one_sentence(used_checkout):
    with started(used_checkout, sys.executable, "-m", "project.run") as terminal:
        done = run_to_its_end(used_checkout, PORT=str(free_port()))
        port = terminal.url.rpartition(":")[2]
        assert done.stdout == f"The site already runs from this folder, on port {port}: end that one first.\n"
        assert done.returncode == 1
        assert terminal.process.poll() is None


@pytest.mark.parametrize("port", ["0", "65536", "-1", "http", "80 80", "²"])
def test_what_is_not_a_port_is_one_sentence(used_checkout, port):
    done = run_to_its_end(used_checkout, PORT=port)
    assert done.returncode == 1
    assert done.stdout == f"PORT={port} is not a port: give a number from 1 to 65535.\n"


def test_a_database_that_cannot_be_prepared_is_said_so(used_checkout):
    done = run_to_its_end(used_checkout, PORT=str(free_port()), DATABASE_URL="sqlite:////nowhere/db.sqlite3")
    assert done.returncode == 1
    assert "unable to open database file" in done.stderr
    assert "The database could not be prepared" in done.stdout
    nothing_is_left_in(used_checkout)


def run_to_its_end(checkout, **environment):
    command = [sys.executable, "-m", "project.run"]
    return subprocess.run(
        command, cwd=checkout, env=bare_environment(**environment), capture_output=True, text=True, timeout=30
    )
