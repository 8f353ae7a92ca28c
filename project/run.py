"""``make run``: the site on this machine, with workers, a sandbox and some traffic, until Ctrl-C.

The sandbox stands in for each of Notion, Vercel, OpenAI and Anthropic whose key is not in the environment.

Every child is a session of its own, so that Ctrl-C in a terminal reaches this process alone, and what it starts can be
ended as a whole. Should this process be killed, the kernel ends the children.
"""

import ctypes
import fcntl
import os
import secrets
import shlex
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

from project.sandbox.addresses import SERVICES, variables, without_key
from project.sandbox.llm import UNPRICED

BASE_DIR = Path(__file__).resolve().parent.parent
VAR_DIR = BASE_DIR / "var"
VARIABLES = VAR_DIR / "environment"
ENDING = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP}
PATIENCE_SECONDS, GRACE_SECONDS = 4, 6
SANDBOX_PORTS = 100  # above the site's
BUILD_SECONDS = 3  # of a deployment in the sandbox
MODELS = ["claude-sonnet-5", "claude-haiku-4-5", "gpt-5.5", "gpt-5.4-mini", UNPRICED]  # where they cost nothing
WORKERS = ("task worker", "other task worker")
LIBC = ctypes.CDLL(None)
PR_SET_PDEATHSIG = 1

STARTED = """
  The site         http://localhost:{port}/
  Metrics          http://localhost:{port}/api/metrics
  Admin            http://localhost:{port}/admin/
  Automation API   http://localhost:{port}/api/automation/docs

Next: look at a number, and start a job of your own.
  curl http://localhost:{port}/api/metrics/json
  curl http://localhost:{port}/api/automation/start -H "Authorization: Bearer $(cat {token})" \\
    -H "Content-Type: application/json" \\
    -d '{{"job_type": "site_check", "payload": {{"base_url": "http://localhost:{port}", "paths": ["/"]}}}}'

{services}{traffic}Ctrl-C ends everything.
"""
SANDBOX = """\
  SANDBOX          http://localhost:{port}/ stands in for {services}:
                   no AI, nothing deployed, failures by chance. It leaves the place to the real ones when you
                   start with {keys}.
"""


class CannotStart(Exception):
    """Why, in a sentence for the person at the terminal."""


class Family:
    """Processes that start one by one and end together."""

    def __init__(self, env: dict[str, str]) -> None:
        self.env = env
        self.members: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, name: str, *arguments: str, pass_fds: tuple[int, ...] = ()) -> None:
        """Start ``python ARGUMENTS``."""
        self.start_program(name, sys.executable, *arguments, pass_fds=pass_fds)

    def start_program(self, name: str, *command: str, pass_fds: tuple[int, ...] = ()) -> None:
        """Start any program."""
        self.members[name] = subprocess.Popen(
            command,
            cwd=BASE_DIR,
            env=self.env,
            stdin=subprocess.DEVNULL,
            pass_fds=pass_fds,
            start_new_session=True,
            preexec_fn=_as_child,
        )

    def ended(self) -> str | None:
        """The name of a process that ended by itself."""
        return next((name for name, member in self.members.items() if member.poll() is not None), None)

    def wait(self) -> str | None:
        """Wait until a process ends, and name it; None: a person asked for the end first."""
        in_terminal = os.isatty(0)
        while (name := self.ended()) is None:
            asked = signal.sigtimedwait(ENDING | {signal.SIGCHLD}, 1)
            # make does not pass on the signal that tells it that the terminal was closed.
            if (asked and asked.si_signo in ENDING) or (in_terminal and not os.isatty(0)):
                return None
        return name

    def stop(self) -> None:
        """End every process: politely, once more after a while, then or when asked again by force."""
        # The sandbox is ended last, since the jobs of the workers still ask it.
        asked = [member for name, member in self.members.items() if name != "sandbox"]
        if _are_left(asked, PATIENCE_SECONDS):
            _are_left(asked, GRACE_SECONDS)  # a worker that is asked twice gives its job back
        for member in self.members.values():
            with suppress(ProcessLookupError):
                os.killpg(member.pid, signal.SIGKILL)  # what a child left behind, too
            member.wait()


def _are_left(members: list[subprocess.Popen[bytes]], seconds: float) -> bool:
    """Ask processes to end; whether some run when the time is up. A person's signal ends the wait, and the patience."""
    for member in members:
        member.terminate()
    deadline = time.monotonic() + seconds
    while any(member.poll() is None for member in members):
        if (left := deadline - time.monotonic()) <= 0:
            return True
        asked = signal.sigtimedwait({signal.SIGINT, signal.SIGTERM, signal.SIGCHLD}, left)
        if asked and asked.si_signo in ENDING:
            return False
    return False


def _as_child() -> None:
    """Between fork and exec: undo what only this process wants, and end with it."""
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    if hasattr(LIBC, "prctl"):  # Linux
        LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def say(text: str) -> None:
    """Tell the terminal, which may be gone."""
    with suppress(OSError):
        os.write(sys.stdout.fileno(), f"{text}\n".encode())


def chosen_port(variable: str = "PORT", usual: int = 8000) -> int:
    given = os.environ.get(variable) or str(usual)
    if given.isdecimal() and 0 < int(given) < 65536:
        return int(given)
    raise CannotStart(f"{variable}={given} is not a port: give a number from 1 to 65535.")


def listen(port: int) -> socket.socket:
    """A socket that the web server takes over: once we have it, nobody else can take the port."""
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(("127.0.0.1", port))
        listener.listen(128)
    except PermissionError as error:
        raise CannotStart(f"Port {port} is only for root: choose another, as in make run PORT=8001.") from error
    except OSError as error:
        raise CannotStart(
            f"Port {port} is taken by another program: end that one, or choose another port, "
            f"as in make run PORT={port % 65535 + 1}."
        ) from error
    return listener


def only_one() -> int:
    """A descriptor that keeps a second site out of this folder, whose database and store they would share."""
    descriptor = os.open(VAR_DIR / "run.lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        port = os.read(descriptor, 10).decode()
        raise CannotStart(f"The site already runs from this folder, on port {port}: end that one first.") from error
    return descriptor


def kept(name: str) -> str:
    """A random word, made at the first start and kept in ``var/`` for the next ones."""
    path = VAR_DIR / name
    if not path.exists():
        path.touch(mode=0o600)
        path.write_text(secrets.token_urlsafe(32))
    return path.read_text()


def environment(port: int) -> dict[str, str]:
    """What the site reads in ``project.settings``: what the person set, with our own defaults."""
    return {
        "SECRET_KEY": kept("secret_key"),
        "GUNICORN_LOG_LEVEL": "warning",
        "PYTHONUNBUFFERED": "1",
        **os.environ,
        "AUTOMATION_TOKEN": kept("automation_token"),
        "DEBUG": "1",
        "PORT": str(port),
    }


def start_sandbox(family: Family, port: int) -> str:
    """Have the sandbox stand in for services without a key, and say so."""
    services = without_key(family.env)
    if not services:
        return ""
    with sandbox_socket(port + SANDBOX_PORTS) as listener:
        number, port = listener.fileno(), listener.getsockname()[1]
        options = ["--fd", str(number), "--faults", "realistic", "--build-seconds", str(BUILD_SECONDS)]
        family.start("sandbox", "-m", "project.sandbox", *options, pass_fds=(number,))
    family.env |= variables(f"http://localhost:{port}", services)
    spared = family.env.get("no_proxy") or family.env.get("NO_PROXY")
    family.env["no_proxy"] = ",".join(filter(None, [spared, "localhost"]))  # where a proxy leads to the real ones
    if len(services) == len(SERVICES):
        family.env |= {"AI_MODELS": ",".join(MODELS), "AGENT_TRAFFIC": "1"}
    return SANDBOX.format(port=port, services=listed(services), keys=listed([SERVICES[name][0] for name in services]))


def sandbox_socket(port: int) -> socket.socket:
    try:
        return listen(port)
    except (CannotStart, OverflowError):
        return listen(0)


def listed(names: list[str]) -> str:
    *first, last = names
    return f"{', '.join(first)} and {last}" if first else last


def write_environment(env: dict[str, str]) -> None:
    """Write what the site has and the person's shell has not, for other commands on the same site."""
    VARIABLES.unlink(missing_ok=True)
    VARIABLES.touch(mode=0o600)
    ours = {name: value for name, value in env.items() if name == "PORT" or os.environ.get(name) != value}
    VARIABLES.write_text("".join(f"export {name}={shlex.quote(value)}\n" for name, value in ours.items()))


def start_site(family: Family, listener: socket.socket) -> None:
    number = listener.fileno()
    options = ["-c", "project/gunicorn.conf.py", "--bind", f"fd://{number}"]
    family.start("web server", "-m", "gunicorn", *options, "project.wsgi", pass_fds=(number,))
    for name in WORKERS:
        # Without --no-reload DEBUG would have it watch the source, in a child of its own.
        family.start(name, "manage.py", "db_worker", "--no-reload")
    if wants_traffic():
        family.start("traffic generator", "-m", "project.traffic")
    listener.close()


def wants_traffic() -> bool:
    return os.environ.get("TRAFFIC", "1").lower() not in {"0", "no", "off", "false"}


def started(port: int, services: str) -> str:
    traffic = "A few requests a second and a job now and then come by themselves; TRAFFIC=0 leaves them out.\n"
    return STARTED.format(
        port=port,
        services=f"{services}\n" if services else "",
        token=(VAR_DIR / "automation_token").relative_to(BASE_DIR),
        traffic=traffic if wants_traffic() else "",
    )


def run(family: Family, listener: socket.socket, port: int) -> int:
    """Run the site until a person ends it (0) or a part of it ended by itself (1)."""
    family.start("preparation", "-m", "project.prepare")
    if family.wait() is None:
        return 0
    if family.members.pop("preparation").returncode:
        say("The database could not be prepared: see above.")
        return 1
    services = start_sandbox(family, port)
    write_environment(family.env)
    start_site(family, listener)
    say(started(port, services))
    if (name := family.wait()) is None:
        say("\nEnding.")
        return 0
    say(f"The {name} ended by itself, with exit code {family.members[name].returncode}: ending everything.")
    return 1


def main() -> int:
    # Blocked, they wait until ``sigwait`` takes them: no handler that runs in the middle of something.
    signal.pthread_sigmask(signal.SIG_BLOCK, ENDING | {signal.SIGCHLD})
    VAR_DIR.mkdir(exist_ok=True)
    try:
        port = chosen_port()
        lock = only_one()
        listener = listen(port)
        os.truncate(lock, 0)
        os.pwrite(lock, str(port).encode(), 0)
    except CannotStart as error:
        say(str(error))
        return 1
    family = Family(environment(port))
    try:
        return run(family, listener, port)
    finally:
        family.stop()
        VARIABLES.unlink(missing_ok=True)


if __name__ == "__main__":
    sys.exit(main())
