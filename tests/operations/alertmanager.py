"""A real Alertmanager with the shipped routes, and the two receivers that they lead to."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import httpx2
import psutil
import yaml

from tests.processes import running
from tests.servers import new_folder, require
from tests.site import ROOT, eventually


@dataclass
class Alertmanager:
    """A running Alertmanager; ``received`` has the alerts that each receiver was told of, the newest last."""

    address: str
    received: dict[str, list[dict[str, Any]]] = field(default_factory=lambda: {"on-call": [], "team": []})

    def told(self, receiver: str, status: str) -> dict[str, dict[str, Any]]:
        """The alerts that a receiver was told of as "firing" or "resolved", by name."""
        return {alert["labels"]["alertname"]: alert for alert in self.received[receiver] if alert["status"] == status}

    def post(self, *alerts: dict[str, str]) -> None:
        """Raise alerts with these labels, as Prometheus does."""
        body = [{"labels": labels} for labels in alerts]
        answer = httpx2.post(f"http://{self.address}/api/v2/alerts", json=body, trust_env=False)
        assert answer.status_code == 200, answer.text


@contextmanager
def run_alertmanager() -> Iterator[Alertmanager]:
    """Run Alertmanager with the shipped configuration, but told within a second, to receivers of the test."""
    found = Alertmanager("")
    with receivers(found) as url:
        folder = new_folder("alertmanager")
        (folder / "alertmanager.yml").write_text(config(url))
        command = [
            require("prometheus-alertmanager"),
            f"--config.file={folder}/alertmanager.yml",
            f"--storage.path={folder}/data",
            "--cluster.listen-address=",
            "--web.listen-address=127.0.0.1:0",
        ]
        with running(command, folder / "log", cwd=folder) as process:
            eventually(lambda: len(ports(process.pid)), 1)
            found.address = f"127.0.0.1:{ports(process.pid)[0]}"
            yield found


def ports(pid: int) -> list[int]:
    return [one.laddr.port for one in psutil.Process(pid).net_connections() if one.status == "LISTEN"]


def config(url: str) -> str:
    shipped = yaml.safe_load((ROOT / "prometheus" / "alertmanager.yml").read_text())
    for route in (shipped["route"], *shipped["route"]["routes"]):
        route |= {"group_wait": "1s", "group_interval": "1s"}
    for receiver in shipped["receivers"]:
        receiver["webhook_configs"] = [{"url": f"{url}/{receiver['name']}"}]
    return yaml.safe_dump(shipped)


@contextmanager
def receivers(manager: Alertmanager) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            manager.received[self.path.strip("/")] += body["alerts"]
            self.send_response(200)
            self.end_headers()

        def log_message(self, *arguments):
            """Silent."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
