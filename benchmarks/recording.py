"""What one recorded value costs, with the store on, beside prometheus_client in memory and in its multiprocess mode.

Each round times all in turn; the figures are medians over the rounds, in nanoseconds.
"""

from collections.abc import Callable
from statistics import median
from time import monotonic
from timeit import Timer
from unittest import mock

from prometheus_client import Counter, Histogram, values

from observability.middleware import recorder_for

CALLS, ROUNDS = 5_000, 40

IN_MEMORY, IN_FILES, OURS = "prometheus_client, memory", "prometheus_client, multiprocess", "this app, store on"
# The class that holds the values of the metrics made while it is in place; ours is there already.
CLASSES = {IN_MEMORY: values.MutexValue, IN_FILES: values.MultiProcessValue(), OURS: values.ValueClass}
REQUEST, INC, OBSERVE = "a request: a counter, two histograms", "Counter.inc", "Histogram.observe"
GOALS = {REQUEST: (IN_MEMORY, 0.5), INC: (IN_FILES, 0.6), OBSERVE: (IN_FILES, 0.6)}


def calls(value_class: type, number: int) -> dict[str, Callable[[], object]]:
    """The same three works by the public methods of metrics whose values are of this class."""
    with mock.patch.object(values, "ValueClass", value_class):
        count = Counter(f"benchmark_{number}", "Requests.", ["route"], registry=None).labels("/a")
        times, sizes = (
            Histogram(f"benchmark_{number}_{what}", "Requests.", ["route"], registry=None).labels("/a")
            for what in ("seconds", "bytes")
        )

    def request() -> None:
        count.inc()
        times.observe(0.03)
        sizes.observe(1.5)

    return {REQUEST: request, INC: count.inc, OBSERVE: lambda: times.observe(0.03)}


def works() -> dict[tuple[str, str], Callable[[], object]]:
    """Every call to be timed, by the work and by who does it."""
    made = {
        (work, name): call
        for number, (name, value_class) in enumerate(CLASSES.items())
        for work, call in calls(value_class, number).items()
    }
    record = recorder_for("GET", "benchmark", 200).count_and_observe
    return made | {(REQUEST, OURS): lambda: record(0.03, 1500, monotonic())}


def nanoseconds() -> dict[tuple[str, str], float]:
    timers = {key: Timer(call) for key, call in works().items()}
    rounds = [{key: timer.timeit(CALLS) for key, timer in timers.items()} for _ in range(ROUNDS)]
    return {key: median(one[key] for one in rounds) / CALLS * 1e9 for key in timers}


def report() -> list[str]:
    """A Markdown table."""
    figures = nanoseconds()
    return [
        f"One value recorded ({ROUNDS} rounds of {CALLS:,} calls, medians, ns)",
        "",
        f"| work | {' | '.join(CLASSES)} | ratio | goal |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
        *(
            f"| {work} | {' | '.join(f'{figures[work, name]:.0f}' for name in CLASSES)} "
            f"| {figures[work, OURS] / figures[work, peer]:.2f} of {peer} | ≤ {goal} |"
            for work, (peer, goal) in GOALS.items()
        ),
        "",
    ]
