"""A little traffic for ``make run``, so that there is something to see: requests, wrong addresses, jobs."""

import itertools
import os
import random
import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx2

from project.sandbox.notion import PAGES as BRIEFS
from project.sandbox.notion import page_id

URL = f"http://127.0.0.1:{os.environ.get('PORT', '8000')}"
TOKEN = {"Authorization": f"Bearer {os.environ.get('AUTOMATION_TOKEN', '')}"}
PAGES = ["/", "/api/health", "/admin/login/", "/api/automation/docs", "/api/metrics/health"]
WRONG = ["/old-address", "/wp-login.php", "/api/automation/jobs/00000000-0000-0000-0000-000000000000"]
MODELS = os.environ.get("AI_MODELS", "").split(",")
JOBS, WEBSITES = itertools.count(1), itertools.count(1)


def visit(client: httpx2.Client) -> None:
    client.get(random.choice(PAGES))


def look_at_jobs(client: httpx2.Client) -> None:
    client.get("/api/automation/jobs", params={"limit": 10}, headers=TOKEN)


def get_lost(client: httpx2.Client) -> None:
    client.get(random.choice(WRONG), headers=TOKEN)


def start(client: httpx2.Client, job_type: str, **payload: Any) -> None:
    client.post("/api/automation/start", json={"job_type": job_type, "payload": payload}, headers=TOKEN)


def start_check(client: httpx2.Client) -> None:
    """Have a few pages checked; one check in four asks for a page that is missing, and fails."""
    paths = random.sample(PAGES, k=2) + (["/missing"] if next(JOBS) % 4 == 2 else [])
    start(client, "site_check", base_url=URL, paths=paths)


def start_website(client: httpx2.Client) -> None:
    """Have a website made of a page in the sandbox; before one in five, the one before is called off."""
    number = next(WEBSITES)
    if number % 5 == 3:
        call_off(client)
    start(
        client,
        "notion_vercel",
        page=page_id(random.randint(1, BRIEFS)),
        project=f"website-{number}",
        model=random.choice(MODELS),
        target=random.choice(["preview", "production"]),
    )


def call_off(client: httpx2.Client) -> None:
    newest: dict[str, str | int] = {"job_type": "notion_vercel", "limit": 1}
    for job in client.get("/api/automation/jobs", params=newest, headers=TOKEN).json()["items"]:
        client.post(f"/api/automation/jobs/{job['id']}/cancel", headers=TOKEN)


Action = Callable[[httpx2.Client], None]
FIRST: list[Action] = [start_check]
ACTIONS: dict[Action, int] = {visit: 75, look_at_jobs: 12, get_lost: 5, start_check: 6}
if "AGENT_TRAFFIC" in os.environ:  # set where its jobs cost nothing
    FIRST += [start_website] * 3
    ACTIONS[start_website] = 3  # about five a minute


def actions() -> Iterator[Action]:
    """Jobs at once, so that some are there to see; then a mix without end."""
    yield from FIRST
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
