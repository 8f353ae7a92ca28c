"""``make prometheus``: Prometheus and Alertmanager beside the site that ``make run`` started, until Ctrl-C.

They read the files in ``prometheus/``, and keep their data below ``var/``.
"""

import os
import shutil
import signal
import socket
import sys
from dataclasses import dataclass

from project.run import BASE_DIR, ENDING, VAR_DIR, CannotStart, Family, chosen_port, say

FILES = BASE_DIR / "prometheus"
CONFIG = VAR_DIR / "prometheus.yml"

STARTED = """
  Prometheus       http://localhost:{prometheus}/alerts
  Alertmanager     http://localhost:{alertmanager}/

They look at the site on http://localhost:{site}/, which make run starts. Ctrl-C ends both.
"""
MISSING = "{} is not installed. On Debian: sudo apt install prometheus prometheus-alertmanager"
TAKEN = """\
Port {port} is taken by another program. When it is the service of Debian's package, this ends it:
  sudo systemctl disable --now prometheus prometheus-alertmanager
Or choose another port, as in make prometheus {variable}={other}."""


@dataclass(frozen=True)
class Server:
    """A program under its names, and the variable that has its port."""

    names: tuple[str, ...]
    variable: str
    usual: int

    def path(self) -> str:
        """Where the program is."""
        for name in self.names:
            if path := shutil.which(name):
                return path
        raise CannotStart(MISSING.format(self.names[0]))

    def port(self) -> int:
        """A port that nobody listens at."""
        port = chosen_port(self.variable, self.usual)
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError as error:
                raise CannotStart(TAKEN.format(port=port, variable=self.variable, other=port % 65535 + 1)) from error
        return port


PROMETHEUS = Server(("prometheus",), "PROMETHEUS_PORT", 9090)
ALERTMANAGER = Server(("prometheus-alertmanager", "alertmanager"), "ALERTMANAGER_PORT", 9093)


def write_config(site: int, alertmanager: int) -> None:
    """Write the file that the repository has, for these ports and for a place in another folder."""
    text = (FILES / "prometheus.yml").read_text()
    for name in ("rules.yml", "alerts.yml"):
        text = text.replace(name, str(FILES / name))
    text = text.replace("localhost:8000", f"localhost:{site}").replace("localhost:9093", f"localhost:{alertmanager}")
    CONFIG.write_text(text)


def start(family: Family) -> str:
    """Start both, and return what a person should know."""
    programs = PROMETHEUS.path(), ALERTMANAGER.path()
    site, prometheus, alertmanager = chosen_port(), PROMETHEUS.port(), ALERTMANAGER.port()
    VAR_DIR.mkdir(exist_ok=True)
    write_config(site, alertmanager)
    family.start_program(
        "Alertmanager",
        programs[1],
        f"--config.file={FILES / 'alertmanager.yml'}",
        f"--storage.path={VAR_DIR / 'alertmanager'}",
        "--cluster.listen-address=",
        *_where(alertmanager),
    )
    family.start_program(
        "Prometheus",
        programs[0],
        f"--config.file={CONFIG}",
        f"--storage.tsdb.path={VAR_DIR / 'prometheus'}",
        *_where(prometheus),
    )
    return STARTED.format(site=site, prometheus=prometheus, alertmanager=alertmanager)


def _where(port: int) -> list[str]:
    return [
        f"--web.listen-address=127.0.0.1:{port}",
        f"--web.external-url=http://localhost:{port}",
        "--log.level=warn",
    ]


def main() -> int:
    signal.pthread_sigmask(signal.SIG_BLOCK, ENDING | {signal.SIGCHLD})
    family = Family(dict(os.environ))
    try:
        say(start(family))
        if (name := family.wait()) is None:
            say("\nEnding.")
            return 0
        say(f"{name} ended by itself, with exit code {family.members[name].returncode}: ending everything.")
    except CannotStart as error:
        say(str(error))
    finally:
        family.stop()
    return 1


if __name__ == "__main__":
    sys.exit(main())
