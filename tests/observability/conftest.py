"""Fixtures for tests of the reusable app."""

import json
import os
import socket
import subprocess
import sys
import threading
from contextlib import contextmanager, suppress

import pytest

from tests.servers import new_folder
from tests.site import ROOT


@pytest.fixture(scope="session")
def own_process():
    """``own_process("code that prints JSON")``: the printed value, from a process with a store of its own."""

    def run(code, **environment):
        prelude = "import json, django\ndjango.setup()\n"
        env = os.environ | {
            "DJANGO_SETTINGS_MODULE": "tests.observability.site_settings",
            "PROMETHEUS_MULTIPROC_DIR": str(new_folder("metrics")),
            **environment,
        }
        command = [sys.executable, "-W", "error::RuntimeWarning", "-c", prelude + code]
        done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=100)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout.splitlines()[-1])

    return run


@contextmanager
def silent_server():
    """A port that accepts and never answers, as a server does whose disk hangs or whose host is stopped."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=128)
    accepted = []

    def accept():
        with suppress(OSError):
            while True:
                accepted.append(listener.accept()[0])

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield listener.getsockname()[1]
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        for connection in accepted:
            connection.close()


@pytest.fixture(scope="session")
def silent():
    """The port of a server that accepts and never answers."""
    with silent_server() as port:
        yield port
