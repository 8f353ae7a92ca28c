"""``make prometheus``: a Prometheus and an Alertmanager that look at the running site, and nothing left of them."""

import shutil
import socket
import subprocess

import httpx2
import pytest

from tests.operations.rules import alerts
from tests.project.conftest import bare_environment
from tests.project.terminal import Terminal, free_port
from tests.project.test_run import nothing_is_left_in, parts, started
from tests.servers import new_folder, requires
from tests.site import eventually

needs_both = requires("prometheus", "prometheus-alertmanager")
COMMAND = ["make", "prometheus"]


def environment(**values):
    ports = {name: str(free_port()) for name in ("PORT", "PROMETHEUS_PORT", "ALERTMANAGER_PORT")}
    return bare_environment(**ports | values)


def answer(url):
    try:
        return httpx2.get(url, trust_env=False, timeout=5).json()["data"]
    except (httpx2.TransportError, ValueError):
        return None


@needs_both
def test_it_scrapes_the_site_evaluates_the_rules_and_ends_with_ctrl_c(used_checkout):
    with started(used_checkout) as site:
        env = environment(PORT=site.url.rpartition(":")[2])
        terminal = Terminal(COMMAND, used_checkout, env)
        terminal.shows("Ctrl-C ends both.")
        prometheus = f"http://127.0.0.1:{env['PROMETHEUS_PORT']}/api/v1"

        def targets():
            return [target["health"] for target in (answer(f"{prometheus}/targets") or {}).get("activeTargets", [])]

        eventually(targets, ["up"], seconds=40)
        groups = answer(f"{prometheus}/rules?type=alert")["groups"]
        assert {rule["name"] for group in groups for rule in group["rules"]} == alerts().keys()
        [found] = answer(f"{prometheus}/alertmanagers")["activeAlertmanagers"]
        assert f":{env['ALERTMANAGER_PORT']}/" in found["url"]
        status = httpx2.get(f"http://127.0.0.1:{env['ALERTMANAGER_PORT']}/api/v2/status", trust_env=False).json()
        assert "ErrorBudgetBurnFast" in status["config"]["original"]
        terminal.press_ctrl_c()
        terminal.exit_code()
        assert "Ending." in terminal.shown
        terminal.close_window()
        eventually(lambda: parts(used_checkout, "--web.listen-address"), [])
    nothing_is_left_in(used_checkout)


@needs_both
def test_a_taken_port_is_said_so_and_starts_nothing(used_checkout):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        done = run_to_its_end(used_checkout, ALERTMANAGER_PORT=str(port))
    assert done.returncode != 0
    assert f"Port {port} is taken by another program." in done.stdout
    assert f"make prometheus ALERTMANAGER_PORT={port + 1}" in done.stdout
    nothing_is_left_in(used_checkout)


def test_without_prometheus_it_says_what_to_install(used_checkout):
    bare = new_folder("bin")
    for program in ("make", "sh"):
        (bare / program).symlink_to(shutil.which(program))
    done = run_to_its_end(used_checkout, PATH=str(bare))
    assert done.returncode != 0
    assert done.stdout == (
        "prometheus is not installed. On Debian: sudo apt install prometheus prometheus-alertmanager\n"
    )


@needs_both
@pytest.mark.parametrize("variable", ["PORT", "PROMETHEUS_PORT", "ALERTMANAGER_PORT"])
def test_what_is_not_a_port_is_one_sentence(used_checkout, variable):
    done = run_to_its_end(used_checkout, **{variable: "http"})
    assert done.stdout == f"{variable}=http is not a port: give a number from 1 to 65535.\n"


def run_to_its_end(checkout, **values):
    return subprocess.run(COMMAND, cwd=checkout, env=environment(**values), capture_output=True, text=True, timeout=30)
