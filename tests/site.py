"""The site as it runs in production, for tests: web server, worker, Prometheus, each a process of its own."""

import json
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import httpx2
import psutil
import psycopg
from prometheus_client.parser import text_string_to_metric_families as parse
from psycopg import sql
from redis import Redis

from tests.processes import alive, running
from tests.servers import new_folder, redis_url, require, worker_number

ROOT = Path(__file__).resolve().parent.parent
AUTOMATION_TOKEN = "automation-token-of-the-tests"
METRICS_TOKEN = "metrics-token-of-the-tests"

# What lasts as long as the test process.
AT_END = ExitStack()


def eventually(look: Callable[[], Any], expected: Any, seconds: float = 15) -> None:
    """Assert that a look at a running system shows what is expected, now or before long."""
    deadline = time.monotonic() + seconds
    while (seen := look()) != expected and time.monotonic() < deadline:
        time.sleep(0.1)
    assert seen == expected


@contextmanager
def repeatedly(action: Callable[[], Any], threads: int = 1) -> Iterator[list[Any]]:
    """Call a function over and over, in threads, for the length of a block; yields the list of what it returned."""
    results: list[Any] = []
    over = threading.Event()

    def loop() -> None:
        while not over.is_set():
            results.append(action())

    with ThreadPoolExecutor(threads) as pool:
        loops = [pool.submit(loop) for _ in range(threads)]
        try:
            yield results
        finally:
            over.set()
        for each in loops:
            each.result()  # raises what the function raised


@dataclass
class Site:
    """A running site: ``url``, the environment for further commands on it, and a client."""

    url: str
    env: dict[str, str]
    folder: Path
    server: subprocess.Popen
    client: httpx2.Client = field(repr=False)

    @property
    def database_url(self) -> str:
        return self.env["DATABASE_URL"]

    @property
    def processes(self) -> list[int]:
        """The process ids of the web server: the master, then its workers."""
        children = psutil.Process(self.server.pid).children(recursive=True)
        return [self.server.pid, *(child.pid for child in children)]

    @property
    def log(self) -> str:
        """What the web server has written so far."""
        return (self.folder / "web.log").read_text()

    def lines(self, file: str = "web.log") -> list[dict[str, Any]]:
        """The log of the web server or, in ``worker.log``, of the worker; each line of it has to be one JSON object."""
        return [json.loads(line) for line in (self.folder / file).read_text().splitlines()]

    def request(self, method: str, path: str, **options: Any) -> httpx2.Response:
        """Send a request on a connection of its own, so that each worker gets its share."""
        try:
            return self.client.request(method, path, **options)
        except httpx2.TransportError as error:
            error.add_note(f"The web server's log:\n{self.log}")
            raise

    def get(self, path: str, **options: Any) -> httpx2.Response:
        return self.request("GET", path, **options)

    def post(self, path: str, **options: Any) -> httpx2.Response:
        return self.request("POST", path, **options)

    def start_job(self, job_type: str, **payload: Any) -> str:
        """Start a job over the API and return its id."""
        answer = self.post(
            "/api/automation/start",
            json={"job_type": job_type, "payload": payload},
            headers={"Authorization": f"Bearer {self.env['AUTOMATION_TOKEN']}"},
        )
        assert answer.status_code in {201, 202}, answer.text
        return answer.json()["id"]

    def metrics(self, path: str = "/api/metrics") -> httpx2.Response:
        """Read an endpoint that the metrics token opens."""
        return self.get(path, headers={"Authorization": f"Bearer {self.env['METRICS_TOKEN']}"})

    def samples(self) -> dict[tuple[str, frozenset], float]:
        """Every sample of a scrape, which has to succeed, by its name and labels."""
        answer = self.metrics()
        assert answer.status_code == 200, self.log[-2000:]
        return {(s.name, frozenset(s.labels.items())): s.value for family in parse(answer.text) for s in family.samples}

    def value(self, name: str, **labels: object) -> float:
        """The sum of a scrape's samples of this name that carry these labels; 0 when there is none."""
        wanted = {(label, str(value)) for label, value in labels.items()}
        return sum(value for (found, carried), value in self.samples().items() if found == name and wanted <= carried)

    def manage(self, *arguments: str, timeout: float = 60) -> subprocess.CompletedProcess[str]:
        """Run a management command on the same deployment; its exit code is the caller's to judge."""
        return manage(self.env, *arguments, timeout=timeout)

    @contextmanager
    def worker(self) -> Iterator[subprocess.Popen]:
        """Run the task worker for the length of a block; what it wrote is in ``worker.log`` of the folder."""
        command = [sys.executable, "manage.py", "db_worker", "--no-reload", "--no-startup-delay", "--interval=0.1"]
        with running(command, self.folder / "worker.log", cwd=ROOT, env=self.env) as process:
            yield process


def manage(env: dict[str, str], *arguments: str, timeout: float = 60) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "manage.py", *arguments],
        cwd=ROOT,
        env=env,
        capture_output=True,
        text=True,
        timeout=timeout,
    )


def prepare(env: dict[str, str]) -> None:
    """Bring a new database to the point where the site can start."""
    for command in ("migrate", "createcachetable"):
        done = manage(env, command, "--verbosity=0")
        assert not done.returncode, done.stderr


@contextmanager
def run_site(
    env: dict[str, str] | None = None,
    workers: int = 2,
    asgi: bool = False,
    database: bool | str = True,
    redis: bool | str = True,
) -> Iterator[Site]:
    """Run the site on a free port.

    ``database``: True is a fresh, migrated PostgreSQL database, False such a SQLite file, a URL is used as it is.
    ``redis``: True is an empty database of the Redis server, False none, a URL is used as it is.
    """
    with ExitStack() as stack:
        listener = stack.enter_context(listening())
        folder = new_folder("site")
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        full = environment(folder, listener.getsockname()[1])
        full["DATABASE_URL"] = database if isinstance(database, str) else stack.enter_context(fresh(database, full))
        full["REDIS_URL"] = redis if isinstance(redis, str) else empty_redis() if redis else ""
        full |= env or {}
        command = server_command(listener.fileno(), workers, asgi)
        web = running(command, folder / "web.log", cwd=ROOT, env=full, pass_fds=[listener.fileno()])
        server = stack.enter_context(web)
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        listener.close()  # the server has it now; were it gone, a request should fail and not wait
        client = stack.enter_context(make_client(url))
        yield Site(url, full, folder, server, client)


def listening() -> socket.socket:
    """A socket that listens on a free port: handed over by its number, so that no other program can take the port."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(512)
    return listener


def server_command(number: int, workers: int, asgi: bool) -> list[str]:
    if asgi:
        options = f"--fd {number} --workers {workers} --lifespan on --log-level warning".split()
        return [sys.executable, "-m", "uvicorn", *options, "project.asgi:application"]
    options = f"-c project/gunicorn.conf.py --bind fd://{number} --workers {workers}".split()
    return [sys.executable, "-m", "gunicorn", *options, "project.wsgi"]


@contextmanager
def served(python: str | Path, folder: Path, env: dict[str, str]) -> Iterator[tuple[subprocess.Popen, httpx2.Client]]:
    """Run the project ``mysite`` in a folder under gunicorn, with two workers; yields the server and a client."""
    with listening() as listener:
        number, url = listener.fileno(), f"http://127.0.0.1:{listener.getsockname()[1]}"
        command = [
            python,
            "-m",
            "gunicorn",
            "--workers=2",
            "--no-control-socket",
            f"--bind=fd://{number}",
            "mysite.wsgi",
        ]
        process = running(command, folder / "log", cwd=folder, env=env, pass_fds=[number])
        with process as server, make_client(url) as client:
            listener.close()
            yield server, client


def make_client(url: str) -> httpx2.Client:
    no_reuse = httpx2.Limits(max_keepalive_connections=0)
    return httpx2.Client(base_url=url, trust_env=False, timeout=30, limits=no_reuse, headers={"Connection": "close"})


def environment(folder: Path, port: int) -> dict[str, str]:
    hosts = f"127.0.0.1:{port},localhost:{port}"
    return os.environ | {
        "ALLOWED_HOSTS": "127.0.0.1,localhost",
        "AUTOMATION_TOKEN": AUTOMATION_TOKEN,
        "METRICS_TOKEN": METRICS_TOKEN,
        "PROMETHEUS_MULTIPROC_DIR": str(folder / "metrics"),
        "SITE_CHECK_HOSTS": hosts,
    }


def empty_redis() -> str:
    url = redis_url(2 * worker_number() + 1)
    with Redis.from_url(url) as client:
        client.flushdb()
    return url


@contextmanager
def fresh(postgres: bool, env: dict[str, str]) -> Iterator[str]:
    """A migrated database that is gone after the block."""
    if postgres:
        with fresh_postgres(like=template_database()) as url:
            yield url
    else:
        url = f"sqlite:///{new_folder('sqlite')}/db.sqlite3"
        prepare(env | {"DATABASE_URL": url, "REDIS_URL": ""})
        yield url


@contextmanager
def fresh_postgres(like: str = "template1") -> Iterator[str]:
    """A PostgreSQL database, a copy of another one, for the length of a block."""
    name = f"site_{new_folder('name').name.replace('-', '_')}".lower()
    server = os.environ["DATABASE_URL"]
    on_server(server, "CREATE DATABASE {} TEMPLATE {}", name, like)
    try:
        yield urlunsplit(urlsplit(server)._replace(path=f"/{name}"))
    finally:
        on_server(server, "DROP DATABASE {} WITH (FORCE)", name)


@cache
def template_database() -> str:
    """The name of a migrated database that each site gets a copy of: a copy takes 0.1 s, migrations take seconds."""
    url = AT_END.enter_context(fresh_postgres())
    prepare(os.environ | {"DATABASE_URL": url, "REDIS_URL": ""})
    return urlsplit(url).path.lstrip("/")


def on_server(url: str, statement: str, *names: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(sql.SQL(statement).format(*map(sql.Identifier, names)))


@dataclass
class Prometheus:
    """A running Prometheus server."""

    url: str
    process: subprocess.Popen

    def api(self, path: str, **parameters: str) -> Any:
        answer = httpx2.get(f"{self.url}/api/v1/{path}", params=parameters, trust_env=False, timeout=10)
        assert answer.status_code == 200, answer.text
        return answer.json()["data"]

    def query(self, expression: str) -> list[float]:
        """The values of an instant query, in the order of the answer."""
        return [float(sample["value"][1]) for sample in self.api("query", query=expression)["result"]]

    def table(self, expression: str, *labels: str) -> dict[tuple[str, ...], float]:
        """The values of an instant query by the values of these labels."""
        rows = self.api("query", query=expression)["result"]
        return {tuple(row["metric"].get(name, "") for name in labels): float(row["value"][1]) for row in rows}

    def targets(self) -> list[dict[str, Any]]:
        """The targets it scrapes: ``health`` is "up", "down" or "unknown"."""
        return self.api("targets", state="active")["activeTargets"]


@contextmanager
def run_prometheus(config: str, *options: str, data: Path | None = None) -> Iterator[Prometheus]:
    """Run Prometheus with a configuration file of this text, on a free port; ``data``: with these blocks."""
    folder = new_folder("prometheus")
    if data:
        shutil.copytree(data, folder / "data")
    (folder / "prometheus.yml").write_text(config)
    command = [
        require("prometheus"),
        f"--config.file={folder}/prometheus.yml",
        f"--storage.tsdb.path={folder}/data",
        "--web.listen-address=127.0.0.1:0",
        *options,
    ]
    with running(command, folder / "log", cwd=folder) as process:
        yield Prometheus(f"http://127.0.0.1:{chosen_port(process, folder / 'log')}", process)
    shutil.rmtree(folder, ignore_errors=True)


def chosen_port(process: subprocess.Popen, log: Path, seconds: float = 20) -> int:
    """The port that Prometheus took for itself, from its log."""
    deadline = time.monotonic() + seconds
    while alive(process.pid) and time.monotonic() < deadline:
        for line in log.read_text().splitlines():
            if "Server is ready" in line:
                return next(c.laddr.port for c in psutil.Process(process.pid).net_connections() if c.status == "LISTEN")
        time.sleep(0.05)
    raise AssertionError(f"Prometheus did not start:\n{log.read_text()}")
