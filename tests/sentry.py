"""A real Sentry receiver, kent, and what came there; one that has a fault, and none at all."""

import gzip
import json
import socket
import sys
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.request import urlopen

import httpx2

from tests.servers import new_folder, start_on_free_port
from tests.site import eventually

Item = dict[str, Any]
KENT = [sys.executable, "-m", "flask", "--app", "kent.app", "run", "-h", "127.0.0.1", "-p"]


@dataclass
class Sentry:
    """A receiver; ``dsn`` leads to it."""

    port: int
    client: httpx2.Client

    @property
    def dsn(self) -> str:
        return f"http://public@127.0.0.1:{self.port}/1"

    def items(self, *kinds: str) -> list[Item]:
        """What came so far of these kinds, as event, transaction, check_in, log or span; of all where none is given."""
        found = self.client.get("/api/eventlist/").json()["events"]
        payloads = [self.client.get(f"/api/event/{one['event_id']}").json()["payload"] for one in found]
        return [payload["body"] for payload in payloads if not kinds or payload["header"]["type"] in kinds]

    def wait(self, *kinds: str, number: int = 1, seconds: float = 20) -> list[Item]:
        """So many items, and no more a moment later."""
        eventually(lambda: len(self.items(*kinds)) >= number, True, seconds)
        time.sleep(0.5)
        found = self.items(*kinds)
        assert len(found) == number, json.dumps(found, indent=1)[:5000]
        return found

    def clear(self) -> None:
        self.client.post("/api/flush/")


def start_sentry() -> Sentry:
    """A receiver that runs until the end of the tests."""

    def answers(port: int) -> None:
        urlopen(f"http://127.0.0.1:{port}/api/eventlist/", timeout=2).close()

    port = start_on_free_port(lambda port: [*KENT, str(port)], answers, new_folder("kent") / "log")
    client = httpx2.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=10)
    return Sentry(port, client)


def exception(event: Item) -> Item:
    """The last exception of an event, which has the others as its causes."""
    return event["exception"]["values"][-1]


def frames(event: Item) -> list[str]:
    """The functions in which it was raised, the innermost last."""
    return [frame["function"] for frame in exception(event)["stacktrace"]["frames"]]


class Receiver(ThreadingHTTPServer):
    """Takes a while for each envelope, and answers with a status; knows when each event came."""

    daemon_threads = True

    def __init__(self, status, seconds):
        super().__init__(("127.0.0.1", 0), Handler)
        self.status, self.seconds, self.came, self.bodies = status, seconds, [], []
        self.dsn = f"http://key@127.0.0.1:{self.server_port}/1"

    def handle_error(self, request, client_address):
        """A client that is killed while it sends is part of the tests."""


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        time.sleep(self.server.seconds)
        self.server.bodies.append(body)
        self.server.came += [time.monotonic()] * body.count(b'{"type":"event"')
        self.send_response(self.server.status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *args):
        pass


@contextmanager
def receiver(status=200, seconds=0.0):
    server = Receiver(status, seconds)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()


@contextmanager
def gone():
    """The address of a port where nobody listens."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        yield f"http://key@127.0.0.1:{listener.getsockname()[1]}/1"
