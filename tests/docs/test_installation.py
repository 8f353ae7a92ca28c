"""What the page about installation says of servers and containers."""

import json
import os
import re
import shlex
import signal
import sys
from pathlib import Path

import psutil
import pytest
import yaml

from tests.docs.pages import blocks
from tests.docs.test_commands import commands, lines
from tests.processes import running
from tests.servers import new_folder
from tests.site import ROOT, eventually, listening, make_client

PAGE = ROOT / "docs" / "installation.md"


@pytest.mark.parametrize("line", lines("uwsgi "))
def test_under_uwsgi_counts_are_exact_though_a_process_is_killed(readme_project, line):
    endpoint = "/admin/login/"
    with listening() as listener:
        command = shlex.split(line.replace("127.0.0.1:8000", f"fd://{listener.fileno()}"))
        program = Path(sys.executable).with_name(command[0])
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        options = {"cwd": readme_project.folder, "env": readme_project.env, "pass_fds": [listener.fileno()]}
        with (
            running([program, *command[1:]], new_folder("uwsgi") / "log", **options) as server,
            make_client(url) as client,
        ):
            listener.close()
            before = count(client, endpoint)
            for _ in range(2):
                for _ in range(20):
                    assert client.get(endpoint).status_code == 200
                worker = psutil.Process(server.pid).children()[0]
                os.kill(worker.pid, signal.SIGKILL)
                eventually(worker.is_running, False)
            assert count(client, endpoint) - before == 40


def count(client, endpoint):
    text = client.get("/api/metrics").text
    found = re.search(rf'^http_requests_total{{endpoint="{endpoint}",.*}} (.+)', text, re.MULTILINE)
    return float(found[1]) if found else 0


def test_the_image_copies_what_there_is_and_starts_what_the_docs_start():
    [block] = blocks("dockerfile", pages=[PAGE])
    lines = [line.split(maxsplit=1) for line in block.code.splitlines()]
    copied = [arguments.split()[0] for instruction, arguments in lines if instruction == "COPY"]
    assert [name for name in copied if not (ROOT / name).exists()] == []
    [command] = [json.loads(arguments) for instruction, arguments in lines if instruction == "CMD"]
    assert " ".join(command) in [line for _, line in commands()]


def test_the_containers_share_the_folder_that_they_record_into():
    [block] = blocks("yaml", pages=[PAGE])
    compose = yaml.safe_load(block.code)
    for service in compose["services"].values():
        assert service.get("command", "python manage.py db_worker") in [line for _, line in commands()]
        [(volume, folder)] = [volume.split(":") for volume in service["volumes"]]
        assert volume in compose["volumes"]
        assert service["environment"]["PROMETHEUS_MULTIPROC_DIR"] == folder
