"""What its caller waits for an error to be reported, while Sentry is well or has a fault, beside the SDK by itself.

The error is raised thirty calls deep, after fifty queries. It is measured in a process of its own, ``python -m
benchmarks.errors`` with SENTRY_DSN in its environment, and Sentry is a thread of this one.
"""

import json
import os
import subprocess
import sys
from contextlib import contextmanager
from functools import partial
from statistics import median, quantiles
from time import perf_counter, sleep

import django
import sentry_sdk

from benchmarks.rounds import in_turn
from benchmarks.tables import at_most, table

DEPTH, QUERIES, ROUNDS, GOAL = 30, 50, 200, 5
PAUSE = 0.01  # seconds, in which the error before is sent
OURS, SDK = "this app", "sentry-sdk"
QUERY = 'SELECT "id", "status" FROM "automation_job" WHERE "id" = %s LIMIT 21'
HEADER = [
    "ms, and what Sentry does",
    f"{OURS}, median",
    f"{OURS}, p99",
    f"{SDK}, median",
    f"{SDK}, p99",
    "ratio",
    "goal for p99",
]


def fail(depth: int) -> None:
    if depth:
        return fail(depth - 1)
    raise ValueError("Nothing is wrong.")


def seconds_to_report(client: sentry_sdk.Client, report) -> float:
    sleep(PAUSE)
    with sentry_sdk.isolation_scope() as scope:
        scope.set_client(client)
        scope.clear_breadcrumbs()
        for number in range(QUERIES):
            sentry_sdk.add_breadcrumb(category="query", message=f"{QUERY} -- {number}", data={"db.system": "sqlite"})
        try:
            fail(DEPTH)
        except ValueError as error:
            begin = perf_counter()
            report(error)
            return perf_counter() - begin


def measure() -> dict[str, list[float]]:
    from observability import sentry

    by_itself = sentry_sdk.Client(dsn=os.environ["SENTRY_DSN"], auto_enabling_integrations=False)
    ours = sentry_sdk.get_client()
    works = {
        OURS: partial(seconds_to_report, ours, sentry.capture_exception),
        SDK: partial(seconds_to_report, by_itself, sentry_sdk.capture_exception),
    }
    times = in_turn(works, ROUNDS)
    for client in (ours, by_itself):
        client.close(timeout=0)  # or each would wait for its Sentry, and say so
    return times


def row(fault: str, dsn: str) -> list[str]:
    command = [sys.executable, "-m", "benchmarks.errors"]
    done = subprocess.run(command, env=os.environ | {"SENTRY_DSN": dsn}, stdout=subprocess.PIPE, check=True)
    ours, peer = ([seconds * 1e3 for seconds in times] for times in json.loads(done.stdout).values())
    figures = [figure for times in (ours, peer) for figure in (median(times), p99(times))]
    ratio = f"{figures[0] / figures[2]:.2f}"
    return [fault, *(f"{figure:.2f}" for figure in figures), ratio, at_most(figures[1], GOAL, " ms")]


def p99(times: list[float]) -> float:
    return quantiles(times, n=100)[-1]


@contextmanager
def sentries():
    """Where each of them listens, by what it does."""
    from tests.sentry import gone, receiver

    with receiver() as well, gone() as nobody, receiver(seconds=0.5) as slow, receiver(status=429) as full:
        yield {"it answers": well.dsn, "nobody listens": nobody, "it takes 0.5 s": slow.dsn, "it answers 429": full.dsn}


def report() -> list[str]:
    """A Markdown table."""
    how = (
        f"Milliseconds that the caller of `capture_exception` waits, {DEPTH} calls deep and after {QUERIES} queries "
        f"({ROUNDS} errors each, in turn, {PAUSE * 1e3:.0f} ms apart). The SDK by itself has its defaults: it "
        "sends the local variables of each call and does not look for secrets in all places. The ratio is of medians."
    )
    with sentries() as found:
        return table("An error reported to Sentry", how, HEADER, [row(name, dsn) for name, dsn in found.items()])


if __name__ == "__main__":
    django.setup()
    print(json.dumps(measure()))
