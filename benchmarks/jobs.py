"""What the engine adds to a job, beside the bare task backend, and what starting a job costs when there are many.

On a PostgreSQL as the tests start it, without fsync, so that less time of the task backend itself hides the engine's.
Workers are processes that run already; each round gives them so many tasks, jobs and jobs with a step, one kind after
the other. Figures are medians over the rounds, those of what is added too: other work on the machine comes and goes.
"""

import json
import os
import subprocess
import sys
from contextlib import ExitStack
from statistics import median, quantiles
from time import perf_counter

WORKERS = (1, 2, 4)
COUNT, ROUNDS = 400, 7
ROWS, STARTS = 100_000, 500


def backlog(site, name: str, *numbers: int):
    """Have the process of ``benchmarks.backlog`` do something, and return what it prints."""
    command = [sys.executable, "-m", "benchmarks.backlog", name, *map(str, numbers)]
    return json.loads(subprocess.run(command, env=site.env, stdout=subprocess.PIPE, check=True).stdout)


def throughput(site, workers: int) -> str:
    with ExitStack() as stack:
        for _ in range(workers):
            stack.enter_context(site.worker())
        times = backlog(site, "work", COUNT, ROUNDS)
    task, *jobs = times.values()
    return " | ".join([f"| {workers}", per_second(task), *(compared(job, task) for job in jobs), "≤ 50 % |"])


def per_second(times: list[float]) -> str:
    return f"{COUNT / median(times):.0f}"


def compared(jobs: list[float], tasks: list[float]) -> str:
    added = median(job - task for job, task in zip(jobs, tasks, strict=True)) / COUNT * 1e3
    more = median(job / task - 1 for job, task in zip(jobs, tasks, strict=True))
    return f"{per_second(jobs)} | {added:.1f} ms, {more:.0%}"


def seconds_to_start(site) -> list[float]:
    """Of each of many jobs, over HTTP, one after the other."""
    times = []
    for _ in range(STARTS):
        begin = perf_counter()
        site.start_job("empty")
        times.append(perf_counter() - begin)
    return times


def starting(site, rows: int) -> str:
    times = seconds_to_start(site)
    return f"| {rows:,} | {median(times) * 1e3:.1f} ms | {quantiles(times, n=20)[-1] * 1e3:.1f} ms | ≤ 30 ms |"


def report() -> list[str]:
    """Two Markdown tables."""
    os.environ |= {"DJANGO_SETTINGS_MODULE": "benchmarks.site_settings", "SECRET_KEY": "only for benchmarks"}
    from tests import servers, site

    servers.start_servers()
    with site.AT_END, site.run_site(workers=1, redis=False) as running:
        worked = [throughput(running, workers) for workers in WORKERS]
        empty = starting(running, 0)
        backlog(running, "fill", ROWS)
        full = starting(running, ROWS)
    return [
        f"Done in a second on PostgreSQL, and what a job adds to a task ({ROUNDS} rounds of {COUNT}, medians)",
        "",
        "| workers | empty tasks | jobs without steps | added | jobs with an empty step | added | goal without steps |",
        "| ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
        *worked,
        "",
        f"Starting a job over the API, {STARTS} times",
        "",
        "| jobs in the table | median | p95 | goal |",
        "| ---: | ---: | ---: | ---: |",
        empty,
        full,
        "",
    ]
