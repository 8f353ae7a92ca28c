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

from benchmarks.tables import at_most, table

WORKERS = (1, 2, 4)
COUNT, ROUNDS = 400, 5
ROWS, STARTS = 100_000, 500
GOAL, START_GOAL = 50, 30  # percent that a job without steps adds; milliseconds at p95
JOB, STEP = "jobs without steps", "jobs with an empty step"
HEADER = ["workers", JOB, STEP, "empty tasks", f"{JOB}: added", f"{STEP}: added", "goal without steps"]
START_HEADER = ["jobs in the table", "median", "p95", "goal for p95"]


def backlog(site, name: str, *numbers: int):
    """Have the process of ``benchmarks.backlog`` do something, and return what it prints."""
    command = [sys.executable, "-m", "benchmarks.backlog", name, *map(str, numbers)]
    return json.loads(subprocess.run(command, env=site.env, stdout=subprocess.PIPE, check=True).stdout)


def throughput(site, workers: int) -> list[str]:
    with ExitStack() as stack:
        for _ in range(workers):
            stack.enter_context(site.worker())
        times = backlog(site, "work", COUNT, ROUNDS)
    task, *jobs = times.values()
    more = [median(job / task - 1 for job, task in zip(each, task, strict=True)) * 100 for each in jobs]
    added = [f"{milliseconds(each, task):.1f} ms, {percent:.0f} %" for each, percent in zip(jobs, more, strict=True)]
    return [str(workers), *map(per_second, (*jobs, task)), *added, at_most(more[0], GOAL, " %")]


def per_second(times: list[float]) -> str:
    return f"{COUNT / median(times):.0f}"


def milliseconds(jobs: list[float], tasks: list[float]) -> float:
    """What a job takes more than the task of the same round."""
    return median(job - task for job, task in zip(jobs, tasks, strict=True)) / COUNT * 1e3


def seconds_to_start(site) -> list[float]:
    """Of each of many jobs, over HTTP, one after the other."""
    times = []
    for _ in range(STARTS):
        begin = perf_counter()
        site.start_job("empty")
        times.append(perf_counter() - begin)
    return times


def starting(site, rows: int) -> list[str]:
    times = [seconds * 1e3 for seconds in seconds_to_start(site)]
    p95 = quantiles(times, n=20)[-1]
    return [f"{rows:,}", f"{median(times):.1f}", f"{p95:.1f}", at_most(p95, START_GOAL, " ms")]


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
    how = (
        "An empty task of the bare task backend (`django-tasks-db`), a job type without steps, and one with a step "
        "that does nothing, by workers that wait for them, on a PostgreSQL without fsync that shares the machine with "
        f"them ({ROUNDS} rounds of {COUNT} of each, in turn, medians). What is added is the median too, beside the "
        "task of the same round."
    )
    start = f"From the request to the answer, over HTTP, {STARTS} times one after the other, in milliseconds."
    return [
        *table("Jobs per second, and what a job adds to a task", how, HEADER, worked),
        *table("Starting a job over the API", start, START_HEADER, [empty, full]),
    ]
