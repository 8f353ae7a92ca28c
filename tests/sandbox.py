"""The sandbox that stands in for Notion, Vercel, OpenAI and Anthropic, as a process that tests control."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx2

from tests.processes import alive, running
from tests.servers import new_folder
from tests.site import ROOT


@dataclass
class Sandbox:
    """A running sandbox: each service is below ``url``, as ``{url}/notion`` or ``{url}/openai/v1``."""

    url: str
    pid: int
    client: httpx2.Client = field(repr=False)

    def faults(self, service: str, fault: str | int, **options: Any) -> None:
        """What goes wrong next, once unless ``times`` says otherwise; further options in docs/operations.md."""
        answer = self.client.post("/_sandbox/faults", json=[{"service": service, "fault": fault, **options}])
        assert answer.status_code == 200, answer.text

    def requests(self, **values: Any) -> list[dict[str, Any]]:
        """The log: requests in the order in which they came, those that have these values."""
        entries = self.client.get("/_sandbox/requests").json()
        return [entry for entry in entries if values.items() <= entry.items()]

    def clear(self) -> None:
        """Forget the log and all faults to come."""
        self.client.delete("/_sandbox/requests")
        self.client.delete("/_sandbox/faults")


@contextmanager
def run_sandbox(*options: str) -> Iterator[Sandbox]:
    """Run a sandbox on a free port; ``options`` are those of ``python -m project.sandbox``."""
    log = new_folder("sandbox") / "log"
    command = [sys.executable, "-m", "project.sandbox", "--port", "0", *options]
    with running(command, log, cwd=ROOT) as process:
        url = announced(process.pid, log)
        with httpx2.Client(base_url=url, trust_env=False, timeout=10) as client:
            yield Sandbox(url, process.pid, client)


def announced(pid: int, log, seconds: float = 20) -> str:
    """The address that a starting sandbox prints."""
    deadline = time.monotonic() + seconds
    while alive(pid) and time.monotonic() < deadline:
        line = log.read_text()
        if line.endswith("\n") and "http://" in line:
            return line.split()[-1]
        time.sleep(0.02)
    raise AssertionError(f"The sandbox did not start:\n{log.read_text()}")
