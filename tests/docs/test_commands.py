"""Every command in the documentation works: most are run as they are printed, the rest are looked at."""

import os
import re
import shlex
import subprocess
import sys

import pytest
from django.core.management import get_commands, load_command_class
from django.core.management.base import BaseCommand
from uvicorn.main import main as uvicorn

from project.sandbox.__main__ import parse
from project.sandbox.addresses import SERVICES, variables
from tests.docs.pages import PAGES, Block, blocks, code_in, prose, rows
from tests.servers import new_folder, requires
from tests.site import ROOT

# Instead of the docs' own addresses and folders, those of the test; curl fails where the answer is an error.
SHELL = """
set -euo pipefail
curl() {{ command curl --fail --silent --show-error "$@"; }}
python() {{ {python} "$@"; }}
{line}
"""


def commands() -> list[tuple[Block, str]]:
    """Each command line, with those that a backslash continues in one piece."""
    return [
        (block, " ".join(line.split()))
        for block in blocks("bash")
        for line in block.code.replace("\\\n", " ").splitlines()
        if line.strip()
    ]


def lines(*starts: str) -> list:
    """The commands that begin so, as test cases; what several pages say is one."""
    found = {line: block for block, line in reversed(commands()) if line.startswith(starts)}
    assert found, f"No command begins with {starts}."
    return [pytest.param(line, id=f"{block}-{line[:40]}") for line, block in found.items()]


RUN = ("curl ", "python manage.py ", "python -c ", "cd ")
LOOKED_AT = {  # and why they are not run
    "python -m project.sandbox ": "its arguments are parsed; other tests start it",
    "gunicorn ": "it checks its configuration; other tests start it",
    "uvicorn ": "its arguments are parsed; other tests start it",
    "uwsgi ": "it is run by test_installation.py",
    "prometheus ": "its options are read; other tests start it",
    "promtool ": "it is run by tests/automation/test_history.py",
    "pip install ": "the folder is there; test_other_project.py installs the wheel",
    "python3.11 -m venv ": "it is what make does",
    ". ": "it sets up the shell of a person",
    ".venv/bin/python ": "it takes a minute and a half; the file is there",
}


def test_no_command_goes_unchecked():
    assert [line for _, line in commands() if not line.startswith(RUN + tuple(LOOKED_AT))] == []


@pytest.fixture(scope="module")
def deployment(site, running_sandbox):
    """The site as ``make run`` sets it up, a sandbox, and a folder for what commands write."""
    env = {"DEBUG": "1", "METRICS_TOKEN": "a token of the docs' tests", "SANDBOX": running_sandbox.url}
    env |= variables(running_sandbox.url, list(SERVICES))
    with site(env=env, redis=False) as running:
        (running.folder / "token").write_text(running.env["AUTOMATION_TOKEN"])
        (running.folder / "node-exporter").mkdir()
        yield running


def run(line: str, deployment) -> str:
    for shown, here in (
        ("http://localhost:8000", deployment.url),
        ("http://localhost:8100", deployment.env["SANDBOX"]),
        ("var/automation_token", f"{deployment.folder}/token"),
        ("/var/lib/prometheus/node-exporter", f"{deployment.folder}/node-exporter"),
        ("/var/lib/site", str(deployment.folder)),
        ("/srv/site", str(ROOT)),
        ("db_worker", "db_worker --no-reload --batch"),  # ends when there is nothing more to do
    ):
        line = line.replace(shown, here)
    script = SHELL.format(python=shlex.quote(sys.executable), line=line)
    done = subprocess.run(
        ["bash", "-c", script], cwd=ROOT, env=deployment.env, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@requires("curl")
@pytest.mark.parametrize("line", lines("curl "))
def test_curl_gets_an_answer(deployment, line):
    assert run(line, deployment).strip()


@pytest.mark.parametrize("line", lines("python manage.py ", "python -c ", "cd "))
def test_the_command_succeeds(deployment, line):
    run(line, deployment)


@requires("curl")
def test_the_job_of_the_readme_fails_and_is_counted_when_the_worker_has_run(deployment):
    start = next(line for _, line in commands() if "/api/automation/start" in line)
    run("python manage.py db_worker", deployment)
    failed = 'automation_jobs_total{status="failed"} '
    before = float(re.search(re.escape(failed) + "(.+)", deployment.get("/api/metrics").text)[1])
    run(start, deployment)
    run("python manage.py db_worker", deployment)
    assert f"{failed}{before + 1}" in deployment.get("/api/metrics").text


def test_the_textfiles_have_the_modes_that_are_promised(deployment):
    own, others = (line for _, line in commands() if "node-exporter" in line)
    file = deployment.folder / "node-exporter" / "site.prom"
    run(own, deployment)
    assert file.stat().st_mode & 0o777 == 0o600
    run(others, deployment)
    assert file.stat().st_mode & 0o777 == 0o644
    assert "automation_jobs_total" in file.read_text()
    assert list(file.parent.iterdir()) == [file]


def is_for_your_project(line):
    """Whether a command is for a project that followed the steps, and not for the site of this repository."""
    return "mysite" in line


@pytest.mark.parametrize("line", lines("gunicorn "))
def test_gunicorn_takes_the_command(deployment, readme_project, line):
    if is_for_your_project(line):
        readme_project.python("-m", *shlex.split(line), "--check-config")
    else:
        run(f"python -m {line} --check-config", deployment)


@pytest.mark.parametrize("line", lines("uvicorn "))
def test_uvicorn_takes_the_command(readme_project, line):
    program, *arguments = shlex.split(line)
    given = uvicorn.make_context(program, arguments).params
    module, _, name = given["app"].partition(":")
    folder = readme_project.folder if is_for_your_project(line) else ROOT
    assert f"\n{name} = " in (folder / f"{module.replace('.', '/')}.py").read_text()


@pytest.mark.parametrize("line", lines("python -m project.sandbox "))
def test_the_sandbox_takes_the_command(line):
    assert parse(shlex.split(line)[3:]).port == 8100


@requires("prometheus")
@pytest.mark.parametrize("line", lines("prometheus "))
def test_prometheus_takes_the_command(line):
    line = line.replace("var/prometheus", str(new_folder("data")))
    done = subprocess.run([*shlex.split(line), "--help"], cwd=ROOT, capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done.stderr
    assert (ROOT / re.search(r"--config.file=(\S+)", line)[1]).exists()


@pytest.mark.parametrize("line", lines("pip install ", ".venv/bin/python "))
def test_the_files_that_a_command_names_exist(line):
    _, *arguments = shlex.split(line)
    named = [argument.partition("[")[0] for argument in arguments if "." in argument]
    assert named
    assert [name for name in named if not (ROOT / name).exists()] == []


@pytest.mark.parametrize("document", PAGES, ids=lambda document: document.name)
def test_commands_within_sentences_exist_with_their_options(document):
    targets = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    text = prose(document)
    assert set(re.findall(r"`make ([a-z]+)", text)) <= set(targets)
    for command, arguments in re.findall(r"manage\.py ([a-z_]+)([^`\n]*)", text):
        assert set(re.findall(r"--[a-z-]+", arguments)) <= options_of(command) | {"--help"}, command


def own_commands():
    """The commands of both apps."""
    return [name for name, app in get_commands().items() if app in {"observability", "automation"}]


def options_of(command):
    """Those that a command has beside those of all."""
    parser = load_command_class(get_commands()[command], command).create_parser("manage.py", command)
    shared = BaseCommand().create_parser("manage.py", command)
    known = {option for action in shared._actions for option in action.option_strings}
    return {option for action in parser._actions for option in action.option_strings} - known


def test_every_command_is_on_its_page_with_its_options_and_no_others():
    text = (ROOT / "docs" / "commands.md").read_text()
    sections = dict(re.findall(r"^### `(\w+)`\n(.*?)(?=^##|\Z)", text, re.MULTILINE | re.DOTALL))
    assert sorted(sections) == sorted(own_commands())
    for command, section in sections.items():
        first_cells = re.findall(r"^\| (`--.*?) \|", section, re.MULTILINE)
        assert {option for cell in first_cells for option in code_in(cell)} == options_of(command), command
    for command, _ in rows("docs/commands.md", "command", "what it is needed for"):
        assert code_in(command)[0] in get_commands()


def width(picture):
    """In pixels; what is no PNG is an error."""
    header = picture.read_bytes()[:24]
    assert header[1:4] == b"PNG"
    return int.from_bytes(header[16:20], "big")


@pytest.mark.parametrize("name", ["metrics", "metrics-dark", "spend", "jobs", "job"])
def test_the_pictures_are_there_and_not_too_large(name):
    picture = ROOT / "docs" / "images" / f"{name}.png"
    assert width(picture) == 1300
    assert picture.stat().st_size < 200_000


@requires("chromium")
def test_the_pictures_can_be_taken_anew():
    folder = new_folder("pictures")
    names = ["metrics", "spend", "jobs"]  # a job need not have failed yet
    command = [sys.executable, "docs/screenshots.py", folder, "1", *names]
    env = {"PATH": os.environ["PATH"], "HOME": str(folder)}
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stdout + done.stderr
    assert [width(folder / f"{name}.png") for name in names] == [1300, 1300, 1300]
