"""What one recorded value costs, with the store on, beside prometheus_client in memory and in its multiprocess mode.

OpenTelemetry's is in memory too. The figures are medians over the rounds, in nanoseconds.
"""

from collections.abc import Callable
from functools import partial
from statistics import median
from time import monotonic
from timeit import Timer
from unittest import mock

from prometheus_client import CollectorRegistry, Counter, Histogram, values

from benchmarks.peers import provider
from benchmarks.rounds import in_turn
from benchmarks.tables import at_most, table
from observability.middleware import recorder_for

CALLS, ROUNDS = 5_000, 40

OURS, OTEL = "this app", "OpenTelemetry"
IN_MEMORY, IN_FILES = "prometheus_client, memory", "prometheus_client, multiprocess"
# The class that holds the values of the metrics made while it is in place; ours is there already.
CLASSES = {IN_MEMORY: values.MutexValue, IN_FILES: values.MultiProcessValue(), OURS: values.ValueClass}
REQUEST, INC, OBSERVE = "a request: a counter, two histograms", "Counter.inc", "Histogram.observe"
GOALS = {REQUEST: (IN_MEMORY, 0.5), INC: (IN_FILES, 0.6), OBSERVE: (IN_FILES, 0.6)}
WAYS = (OURS, IN_MEMORY, IN_FILES, OTEL)
HEADER = ["ns", *WAYS, "ratio", "goal"]


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


def by_opentelemetry() -> dict[str, Callable[[], object]]:
    """The same again, by counters and histograms that take the labels at each call."""
    meter, labels = provider(CollectorRegistry()).get_meter("benchmark"), {"route": "/a"}
    count = partial(meter.create_counter("requests").add, 1, labels)
    times, sizes = (partial(meter.create_histogram(what).record, attributes=labels) for what in ("seconds", "bytes"))

    def request() -> None:
        count()
        times(0.03)
        sizes(1.5)

    return {REQUEST: request, INC: count, OBSERVE: lambda: times(0.03)}


def works() -> dict[tuple[str, str], Callable[[], object]]:
    """Every call to be timed, by the work and by who does it."""
    made = {
        (work, name): call
        for number, (name, value_class) in enumerate(CLASSES.items())
        for work, call in calls(value_class, number).items()
    }
    record = recorder_for("GET", "benchmark", 200).count_and_observe
    made |= {(REQUEST, OURS): lambda: record(0.03, 1500, monotonic())}
    return made | {(work, OTEL): call for work, call in by_opentelemetry().items()}


def nanoseconds() -> dict[tuple[str, str], float]:
    timers = {key: partial(Timer(call).timeit, CALLS) for key, call in works().items()}
    return {key: median(times) / CALLS * 1e9 for key, times in in_turn(timers, ROUNDS).items()}


def report() -> list[str]:
    """A Markdown table."""
    figures = nanoseconds()
    how = f"Nanoseconds, with the store on ({ROUNDS} rounds of {CALLS:,} calls in turn, medians)."
    return table("One value recorded", how, HEADER, [row(work, figures) for work in GOALS])


def row(work: str, figures: dict[tuple[str, str], float]) -> list[str]:
    peer, goal = GOALS[work]
    ratio = figures[work, OURS] / figures[work, peer]
    return [work, *(f"{figures[work, name]:.0f}" for name in WAYS), f"{ratio:.2f} of {peer}", at_most(ratio, goal)]
