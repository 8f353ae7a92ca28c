"""Fixtures for tests of the reusable app."""

import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
from contextlib import ExitStack, contextmanager, suppress
from functools import partial

import pytest

from tests.processes import end_with_parent
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


class Recorder:
    """A process of the deployment whose store is in this folder; it does as it is told."""

    START = "import django; django.setup(); from tests.observability import recorder; recorder.obey()"

    def __init__(self, folder, prefix=()):
        self.log = new_folder("recorder") / "log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [*prefix, sys.executable, "-c", self.START],
                cwd=ROOT,
                env=os.environ
                | {
                    "DJANGO_SETTINGS_MODULE": "tests.observability.site_settings",
                    "PROMETHEUS_MULTIPROC_DIR": str(folder),
                },
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                preexec_fn=partial(end_with_parent, signal.SIGKILL),
            )

    def tell(self, code):
        """Have it start on something; ``answer`` waits for the end."""
        self.process.stdin.write(json.dumps(code).encode() + b"\n")
        self.process.stdin.flush()

    def answer(self, seconds=30):
        ready, _, _ = select.select([self.process.stdout], [], [], seconds)
        assert ready, f"No answer within {seconds} seconds"
        line = self.process.stdout.readline()
        assert line, f"It ended:\n{self.log.read_text()}"
        return json.loads(line)

    def do(self, code, seconds=30):
        """Have it do something, and return the value of what was an expression."""
        self.tell(code)
        return self.answer(seconds)

    def kill(self):
        self.process.kill()
        self.process.wait()
        with suppress(BrokenPipeError):
            self.process.stdin.close()
        self.process.stdout.close()


@pytest.fixture
def recorder():
    """``recorder(folder)`` starts a process that records; it ends with the test."""
    with ExitStack() as stack:

        def start(folder, prefix=()):
            started = Recorder(folder, prefix)
            stack.callback(started.kill)
            return started

        yield start


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
