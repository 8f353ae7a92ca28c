"""A web server to check, job types of the tests' own, and hands that start jobs."""

import json
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pydantic
import pytest
from django.contrib.auth.models import Permission
from django.core.management import CommandError, call_command
from django.db import connection, transaction
from django.test import Client

from automation import registry
from automation.engine import Run
from automation.models import Job

TOKEN = "token-of-the-tests"


class Handler(BaseHTTPRequestHandler):
    """/200 … /599 answer with that status, /moved leads away, /slow and /drip take their time, /cut hangs up."""

    def do_GET(self) -> None:
        self.server.seen.append(self.path)
        name = self.path.partition("?")[0].strip("/")
        getattr(self, f"answer_{name}", self.answer_status)()

    def answer_status(self, body: bytes = b"hello") -> None:
        name = self.path.partition("?")[0].strip("/")
        self.send_response(int(name) if name.isdecimal() else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def answer_moved(self) -> None:
        self.send_response(302)
        self.send_header("Location", self.server.elsewhere)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def answer_slow(self) -> None:
        self.server.closing.wait(5)

    def answer_drip(self) -> None:
        self.send_response(200)
        self.end_headers()
        while not self.server.closing.wait(0.05):
            self.wfile.write(b".")

    def answer_cut(self) -> None:
        self.close_connection = True

    def log_message(self, *args: object) -> None:
        pass


class Server(ThreadingHTTPServer):
    """Knows what it was asked for."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.seen: list[str] = []
        self.elsewhere = ""
        self.closing = threading.Event()
        self.host = f"127.0.0.1:{self.server_port}"
        self.url = f"http://{self.host}"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that gave up waiting is part of the tests."""


@contextmanager
def rolled_back() -> Iterator[None]:
    """A transaction that is rolled back at its end."""
    with transaction.atomic():
        yield
        transaction.set_rollback(True)


def at_once(action: Callable[[], Any], times: int) -> list[Any]:
    """What a function returns that so many threads call at the same moment."""
    together = threading.Barrier(times)

    def act(_: int) -> Any:
        together.wait(10)
        try:
            return action()
        finally:
            connection.close()

    with ThreadPoolExecutor(times) as pool:
        return list(pool.map(act, range(times)))


@pytest.fixture
def make_server() -> Iterator[Callable[[], Server]]:
    servers: list[Server] = []

    def make() -> Server:
        servers.append(Server())
        threading.Thread(target=servers[-1].serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        return servers[-1]

    yield make
    for server in servers:
        server.closing.set()
        server.shutdown()
        server.server_close()


@pytest.fixture
def web(make_server: Callable[[], Server], settings: Any) -> Server:
    """A web server that site checks may ask."""
    server = make_server()
    settings.AUTOMATION = {"API_TOKEN": TOKEN, "SITE_CHECK_HOSTS": [server.host]}
    return server


@pytest.fixture
def run_job() -> Callable[..., Job]:
    """Run a job in the foreground and return its row, however it ended."""

    def run(job_type: str, **payload: Any) -> Job:
        try:
            call_command("run_job", job_type, *(f"{key}={json.dumps(value)}" for key, value in payload.items()))
        except CommandError:
            pass
        return Job.objects.latest("created_at")

    return run


@pytest.fixture
def check(web: Server, run_job: Callable[..., Job]) -> Callable[..., Job]:
    """Check these paths of the server."""
    return lambda *paths: run_job("site_check", base_url=web.url, paths=list(paths))


@pytest.fixture
def work() -> Iterator[Callable[[], None]]:
    """Have the task worker do all that is queued."""
    kept = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGQUIT)}
    yield lambda: call_command("db_worker", batch=True, interval=0, startup_delay=False, verbosity=0)
    for number, handler in kept.items():
        signal.signal(number, handler)


@pytest.fixture
def configured(settings: Any) -> None:
    """The API as it is in production: with a token, and DEBUG off."""
    settings.DEBUG = False
    settings.AUTOMATION = {"API_TOKEN": TOKEN, "SITE_CHECK_HOSTS": ["localhost:8000"]}


@pytest.fixture
def anyone(configured: None) -> Client:
    """A client as a browser is one: it enforces CSRF."""
    return Client(enforce_csrf_checks=True)


@pytest.fixture
def by_token(configured: None) -> Client:
    """A client with the token."""
    return Client(enforce_csrf_checks=True, headers={"Authorization": f"Bearer {TOKEN}"})


@pytest.fixture
def user(django_user_model: Any) -> Any:
    return django_user_model.objects.create_user("ada")


def permit(user: Any, *permissions: str) -> None:
    """Let the user have exactly these permissions."""
    user.user_permissions.set(Permission.objects.filter(codename__in=permissions))


@pytest.fixture
def signed_in(anyone: Client, user: Any) -> Client:
    """A client of the user, who may see and run jobs; it enforces CSRF."""
    permit(user, "view_job", "change_job")
    anyone.force_login(user)
    return anyone


@pytest.fixture
def body() -> dict[str, Any]:
    """What starts a job over the API."""
    return {"job_type": "site_check", "payload": {"base_url": "http://localhost:8000", "paths": ["/"]}}


class Anything(pydantic.BaseModel):
    """No payload."""


@pytest.fixture
def pipeline(monkeypatch: pytest.MonkeyPatch) -> registry.Pipeline:
    """A job type `test` without steps so far."""
    monkeypatch.setattr(registry, "_registry", dict(registry._registry))
    return registry.Pipeline("test", payload=Anything)


@pytest.fixture
def job_type(pipeline: registry.Pipeline) -> Callable[..., str]:
    """Make functions the steps `first`, `second`, … of a job type, and return its name."""

    def register(*functions: Callable[[Run], Any], **options: Any) -> str:
        for name, function in zip(("first", "second", "third"), functions, strict=False):
            function.__name__ = name
            pipeline.step(**options)(function)
        return pipeline.name

    return register


KEYS = {
    "NOTION_TOKEN": "ntn_key-of-the-tests",
    "VERCEL_TOKEN": "vercel-key-of-the-tests",
    "OPENAI_API_KEY": "sk-key-of-the-tests",
    "ANTHROPIC_API_KEY": "sk-ant-key-of-the-tests",
}


@pytest.fixture
def services(sandbox: Any, settings: Any) -> Any:
    """The sandbox, where the clients find all services."""
    settings.AUTOMATION = {
        **settings.AUTOMATION,
        **KEYS,
        "NOTION_URL": f"{sandbox.url}/notion",
        "VERCEL_URL": f"{sandbox.url}/vercel",
        "OPENAI_URL": f"{sandbox.url}/openai/v1",
        "ANTHROPIC_URL": f"{sandbox.url}/anthropic",
    }
    return sandbox


@pytest.fixture
def impatient(settings: Any) -> None:
    """Clients that give up soon; ask for it before the client."""
    settings.AUTOMATION = {**settings.AUTOMATION, "CALL_TIMEOUT": 0.3, "COMPLETION_TIMEOUT": 0.3}


@pytest.fixture
def waits() -> list[float]:
    """How long clients would have waited between their tries."""
    return []
