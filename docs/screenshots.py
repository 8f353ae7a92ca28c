"""Take the pictures of the docs: the pages of the admin, of a site that ran with traffic for a while.

``python docs/screenshots.py [FOLDER [SECONDS [NAME…]]]``, with Debian's Chromium. The site is that of ``make run``,
with a database and a store of its own; nothing of it stays. It has no days before, so each gets copies of what this one
has cost, and its budget is so small that one sees what is spent of it. For the page of a failed job one has to have
failed.
"""

# ruff: noqa: INP001  # a script, not a package

import os
import re
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import sync_playwright

ROOT = Path(__file__).resolve().parent.parent
SIZE = {"width": 1300, "height": 860}
LIGHT, DARK = "light", "dark"
PAGES = {  # the picture's name: the address, or what leads there from one, and the scheme
    "metrics": ("/admin/observability/metric/?range=15m", "", LIGHT),
    "metrics-dark": ("/admin/observability/metric/?range=15m", "", DARK),
    "spend": ("/admin/automation/spend/?range=30d", "", LIGHT),
    "jobs": ("/admin/automation/job/", "", LIGHT),
    "job": ("/admin/automation/job/?job_type=notion_vercel&status__exact=failed", "#result_list a", LIGHT),
}
DAYS_BEFORE = """
from datetime import timedelta
from automation.models import AIRequest, Budget
Budget.objects.update(limit="0.5")
asked = list(AIRequest.objects.exclude(status="running").values())
for day in range(1, 30):
    before = timedelta(days=day)
    some = asked[:: 1 + day * 3 % 5]
    AIRequest.objects.bulk_create(
        AIRequest(**row | {"id": None, "job_id": None, "created_at": row["created_at"] - before}) for row in some
    )
"""


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@contextmanager
def site(env: dict[str, str]) -> Iterator[tuple[str, str]]:
    """The address of a running site and the password of its account ``admin``."""
    command = [sys.executable, "-m", "project.run"]
    quiet = {"stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(command, cwd=ROOT, env=env, text=True, **quiet) as process:
        try:
            yield f"http://localhost:{env['PORT']}", _password(process)
        finally:
            process.terminate()


def _password(process: "subprocess.Popen[str]") -> str:
    shown = []
    for line in process.stdout or []:
        shown.append(line)
        if found := re.search(r"with the password (\S+)", line):
            return found[1]
    raise SystemExit("".join(shown))


def environment(folder: str) -> dict[str, str]:
    return os.environ | {
        "PORT": str(free_port()),
        "DATABASE_URL": f"sqlite:///{folder}/db.sqlite3",
        "PROMETHEUS_MULTIPROC_DIR": f"{folder}/metrics",
    }


def manage(env: dict[str, str], *arguments: str) -> None:
    """Run a command on the running site, as a person at a terminal would."""
    command = ["sh", "-c", '. var/environment && exec "$0" manage.py "$@"', sys.executable, *arguments]
    subprocess.run(command, cwd=ROOT, env=env, check=True)


def photograph(url: str, password: str, names: Iterable[str], folder: Path) -> None:
    """Sign in and look at some of the pages."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
        page = browser.new_page(viewport=SIZE, base_url=url)
        page.goto("/admin/login/")
        page.fill("#id_username", "admin")
        page.fill("#id_password", password)
        page.click("[type=submit]")
        for name in names:
            address, link, scheme = PAGES[name]
            page.emulate_media(color_scheme=scheme)
            page.goto(address)
            if link:
                page.locator(link).first.click()
                page.wait_for_load_state()
            for plot in page.locator(".plot:not(.empty)").all():
                plot.locator("canvas").wait_for()
            page.screenshot(path=folder / f"{name}.png")
        browser.close()


def main(pictures: str = str(ROOT / "docs" / "images"), seconds: str = "300", *names: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        env = environment(folder)
        with site(env) as (url, password):
            time.sleep(float(seconds))
            manage(env, "shell", "--no-imports", "-c", DAYS_BEFORE)
            photograph(url, password, names or PAGES, Path(pictures))


if __name__ == "__main__":
    main(*sys.argv[1:])
