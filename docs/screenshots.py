"""Take the README's picture: the page "Observability › Metrics" of a site that ran with traffic for a minute.

``python docs/screenshots.py [FILE [SECONDS]]``, with Debian's Chromium. The site is that of ``make run``, with a
database and a store of its own; nothing of it stays.
"""

# ruff: noqa: INP001  # a script, not a package

import os
import re
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import sync_playwright

ROOT = Path(__file__).resolve().parent.parent
PICTURE = ROOT / "docs" / "images" / "metrics.png"
SIZE = {"width": 1300, "height": 860}
PAGE = "/admin/observability/metric/?range=15m"


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@contextmanager
def site(folder: Path) -> Iterator[tuple[str, str]]:
    """The address of a running site and the password of its account ``admin``."""
    port = free_port()
    env = os.environ | {
        "PORT": str(port),
        "DATABASE_URL": f"sqlite:///{folder}/db.sqlite3",
        "PROMETHEUS_MULTIPROC_DIR": str(folder / "metrics"),
    }
    command = [sys.executable, "-m", "project.run"]
    quiet = {"stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(command, cwd=ROOT, env=env, text=True, **quiet) as process:
        try:
            yield f"http://localhost:{port}", _password(process)
        finally:
            process.terminate()


def _password(process: "subprocess.Popen[str]") -> str:
    shown = []
    for line in process.stdout or []:
        shown.append(line)
        if found := re.search(r"with the password (\S+)", line):
            return found[1]
    raise SystemExit("".join(shown))


def photograph(url: str, password: str, picture: str, seconds: float) -> None:
    """Sign in, let the site work for a while, and look at it."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
        page = browser.new_page(viewport=SIZE, color_scheme="light", base_url=url)
        page.goto("/admin/login/")
        page.fill("#id_username", "admin")
        page.fill("#id_password", password)
        page.click("[type=submit]")
        time.sleep(seconds)
        page.goto(PAGE)
        page.locator(".plot canvas").first.wait_for()
        page.screenshot(path=picture)
        browser.close()


def main(picture: str = str(PICTURE), seconds: str = "60") -> None:
    with tempfile.TemporaryDirectory() as folder, site(Path(folder)) as (url, password):
        photograph(url, password, picture, float(seconds))


if __name__ == "__main__":
    main(*sys.argv[1:])
