"""What a record costs, from the call of the logger to the line in /dev/null, within a request and a job.

The figures are medians over the rounds, in microseconds.
"""

import logging
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median
from timeit import Timer
from typing import TextIO

from pythonjsonlogger.json import JsonFormatter

from benchmarks.rounds import in_turn
from benchmarks.tables import at_most, table
from observability.correlation import bound
from observability.logs import formatter
from observability.logs.filters import CorrelationFilter

CALLS, ROUNDS, GOAL = 500, 60, 60

FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"
OURS, READABLE = "this app, JSON", "this app, while DEBUG"
PLAIN, JSON = "logging, a line of text", "python-json-logger"
FORMS = (OURS, READABLE, PLAIN, JSON)
HEADER = ["µs", *FORMS, "ratio", "goal"]
ABOUT = {"status": 503, "seconds": 1.25, "paths": ["/", "/admin/"]}


def logger(name: str, form: logging.Formatter, stream: TextIO) -> logging.Logger:
    made = logging.getLogger(name)
    made.propagate, made.level = False, logging.INFO
    handler = logging.StreamHandler(stream)
    handler.setFormatter(form)
    if name in {OURS, READABLE}:
        handler.addFilter(CorrelationFilter())
    made.addHandler(handler)
    return made


def works(stream: TextIO) -> dict[tuple[str, str], Callable[[], object]]:
    """Every call to be timed, by who does it and what is logged."""
    forms = {
        PLAIN: logging.Formatter(FORMAT),
        JSON: JsonFormatter(FORMAT),
        READABLE: formatter(debug=True),
        OURS: formatter(),
    }
    made = {}
    for name, form in forms.items():
        log = logger(name, form, stream).info
        made[name, "a message"] = lambda log=log: log("Job %s (%s): %s.", "7", "site_check", "success")
        made[name, "with three extras"] = lambda log=log: log("Checked.", extra=ABOUT)
    return made


def microseconds() -> dict[tuple[str, str], float]:
    ids = bound(request_id="4bf92f3577b34da6a3ce929d0e0e4736", job_id="7", step="fetch_path")
    with Path(os.devnull).open("w") as stream, ids:
        timers = {key: partial(Timer(call).timeit, CALLS) for key, call in works(stream).items()}
        return {key: median(times) / CALLS * 1e6 for key, times in in_turn(timers, ROUNDS).items()}


def report() -> list[str]:
    """A Markdown table."""
    figures = microseconds()
    how = (
        "From the call of the logger to the line in `/dev/null`, within a request and a job, in microseconds "
        f"({ROUNDS} rounds of {CALLS} calls, medians). Our JSON is python-json-logger's, with ids, bounds and escapes, "
        "and without secrets."
    )
    whats = dict.fromkeys(what for _, what in figures)
    return table("A record logged", how, HEADER, [row(what, figures) for what in whats])


def row(what: str, figures: dict[tuple[str, str], float]) -> list[str]:
    ours = figures[OURS, what]
    times = [f"{figures[name, what]:.1f}" for name in FORMS]
    return [what, *times, f"{ours / figures[JSON, what]:.2f} of {JSON}", at_most(ours, GOAL, " µs")]
