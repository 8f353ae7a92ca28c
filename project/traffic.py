"""A little traffic for ``make run``, so that there is something to see: requests, wrong addresses, jobs."""

import itertools
import os
import random
import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx2

URL = f"http://127.0.0.1:{os.environ.get('PORT', '8000')}"
TOKEN = {"Authorization": f"Bearer {os.environ.get('AUTOMATION_TOKEN', '')}"}
PAGES = ["/", "/api/health", "/admin/login/", "/api/automation/docs", "/api/metrics/health"]
WRONG = ["/old-address", "/wp-login.php", "/api/automation/jobs/00000000-0000-0000-0000-000000000000"]
JOBS = itertools.count(1)


def visit(client: httpx2.Client) -> None:
    client.get(random.choice(PAGES))


def look_at_jobs(client: httpx2.Client) -> None:
    client.get("/api/automation/jobs", params={"limit": 10}, headers=TOKEN)


def get_lost(client: httpx2.Client) -> None:
    client.get(random.choice(WRONG), headers=TOKEN)


def start_job(client: httpx2.Client) -> None:
    """Have a few pages checked; one check in four asks for a page that is missing, and fails."""
    paths = random.sample(PAGES, k=2) + (["/missing"] if next(JOBS) % 4 == 2 else [])
    job: dict[str, Any] = {"job_type": "site_check", "payload": {"base_url": URL, "paths": paths}}
    client.post("/api/automation/start", json=job, headers=TOKEN)


Action = Callable[[httpx2.Client], None]
ACTIONS: dict[Action, int] = {visit: 75, look_at_jobs: 12, get_lost: 5, start_job: 8}


def actions() -> Iterator[Action]:
    """A job at once, so that one is there to see; then a mix without end."""
    yield start_job
    while True:
        yield random.choices(list(ACTIONS), list(ACTIONS.values()))[0]


def main() -> None:
    with httpx2.Client(base_url=URL, timeout=10, trust_env=False) as client:
        for action in actions():
            try:
                action(client)
            except httpx2.HTTPError:
                pass  # the site is starting or busy
            time.sleep(random.uniform(0.25, 0.5))


if __name__ == "__main__":
    main()
