"""How fast the admin's pages open with a large database, many series and a history over its whole length.

Through the whole of Django, in one process without a server before it, for somebody who is signed in; PostgreSQL
without fsync, and Redis, run beside it as the tests start them. Each round opens all pages in turn.
"""

import json
import os
import subprocess
import sys
from statistics import median, quantiles

from benchmarks.tables import at_most, table

JOBS, REQUESTS, SERIES, ROUNDS = 100_000, 1_000_000, 5_000, 40  # of fewer than 40 rounds the p95 is the slowest
GOAL = 300  # milliseconds, p95
HEADER = ["page", "median", "p95", "queries", "goal for p95"]


def visitor(env: dict[str, str], name: str, *numbers: int):
    """Have the process of ``benchmarks.visitor`` do something, and return what it prints."""
    command = [sys.executable, "-m", "benchmarks.visitor", name, *map(str, numbers)]
    return json.loads(subprocess.run(command, env=env, stdout=subprocess.PIPE, check=True).stdout)


def row(page: str, figures: dict[str, list[float]]) -> list[str]:
    times = [seconds * 1e3 for seconds in figures["seconds"]]
    p95 = quantiles(times, n=20)[-1]
    return [
        page,
        f"{median(times):.0f}",
        f"{p95:.0f}",
        f"{median(figures['queries']):.0f}",
        at_most(p95, GOAL, " ms"),
    ]


def report() -> list[str]:
    """A Markdown table."""
    os.environ |= {"DJANGO_SETTINGS_MODULE": "benchmarks.site_settings", "SECRET_KEY": "only for benchmarks"}
    from tests import servers, site

    servers.start_servers()
    env = site.environment(servers.new_folder("pages"), 0)
    with site.fresh_postgres() as url:
        env["DATABASE_URL"] = url
        site.prepare(env)
        visitor(env | {"REDIS_URL": ""}, "fill", JOBS, REQUESTS)
        in_redis = visitor(env | {"REDIS_URL": site.empty_redis()}, "visit", SERIES, ROUNDS)
        in_table = visitor(env | {"REDIS_URL": ""}, "watch", SERIES, ROUNDS)
    how = (
        f"Milliseconds, with {JOBS:,} jobs, {REQUESTS:,} AI requests, {SERIES:,} series and a history over its whole "
        f"length, through the whole of Django and on PostgreSQL without fsync ({ROUNDS} times, in rounds of an order "
        "of their own)."
    )
    with_redis = [row(page, figures) for page, figures in in_redis.items()]
    without = [row(f"{page}, no Redis", figures) for page, figures in in_table.items()]
    return table("The admin's pages", how, HEADER, with_redis + without)
