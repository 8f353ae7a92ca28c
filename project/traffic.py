"""A little traffic for ``make run``, so that there is something to see: requests, wrong addresses, jobs."""

import itertools
import os
import random
import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx2

from automation.conf import DEFAULT_MODELS
from project.sandbox.llm import UNPRICED
from project.sandbox.notion import PAGES as BRIEFS
from project.sandbox.notion import page_id

URL = f"http://127.0.0.1:{os.environ.get('PORT', '8000')}"
TOKEN = {"Authorization": f"Bearer {os.environ.get('AUTOMATION_TOKEN', '')}"}
WITH_AGENT = "AGENT_TRAFFIC" in os.environ  # not where its jobs would cost money
PAGES = ["/", "/api/health", "/admin/login/", "/api/automation/docs", "/api/metrics/health"]
WRONG = ["/old-address", "/wp-login.php", "/api/automation/jobs/00000000-0000-0000-0000-000000000000"]
MODELS = [*DEFAULT_MODELS * 2, UNPRICED]
JOBS = itertools.count(1)
WEBSITES = itertools.count(1)
AGENT_SECONDS = 11  # between two jobs of the agent
CANCELLED = {2, 9, 16}  # of so many


def visit(client: httpx2.Client) -> None:
    client.get(random.choice(PAGES))


def look_at_jobs(client: httpx2.Client) -> None:
    client.get("/api/automation/jobs", params={"limit": 10}, headers=TOKEN)


def get_lost(client: httpx2.Client) -> None:
    client.get(random.choice(WRONG), headers=TOKEN)
