"""The store reads and writes the files of prometheus_client: byte for byte the same text, either way round."""

import os
import re
import shutil
from contextlib import ExitStack, contextmanager
from itertools import count

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from prometheus_client import (
    CollectorRegistry,
    Counter,
    Histogram,
    disable_created_metrics,
    enable_created_metrics,
    generate_latest,
    values,
)
from prometheus_client.metrics_core import Metric
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics

from observability import exposition, store
from observability.store.reader import Reader
from tests.observability.recordings import MODES, NAMES, Metrics, Process, declarations, recordings, values_kept
from tests.servers import new_folder

# Identifiers of processes that live, or that are no process ids: the live gauges of others are not shown.
IDENTIFIERS = [os.getpid(), os.getppid(), 1, "uwsgi-1", "worker.2"]
EXAMPLES = count()
FEW = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@contextmanager
def fresh_folder():
    folder = new_folder("format")
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


def text_of_prometheus_client(folder):
    registry = CollectorRegistry()
    MultiProcessCollector(registry, str(folder))
    return generate_latest(registry).decode()


def text_of_ours(reader):
    return exposition.to_text(list(reader.read())).decode()


def text_of_samples(family, name):
    """The samples of one name, as prometheus_client writes them."""
    restricted = Metric(family.name, family.documentation, family.type)
    restricted.samples = [sample for sample in family.samples if sample.name == name]
    return exposition.to_text([restricted])


@FEW
@given(data=st.data())
def test_the_text_of_prometheus_clients_files_is_the_same_to_the_byte_at_first_and_after_each_change(data):
    made = data.draw(declarations())
    with fresh_folder() as folder, ExitStack() as stack:
        processes = [Process(folder, identifier) for identifier in data.draw(st.permutations(IDENTIFIERS))]
        for process in processes:
            stack.callback(process.close)
        reader = Reader(folder)
        for _ in range(data.draw(st.integers(1, 4))):
            for process in processes[: data.draw(st.integers(1, len(processes)))]:
                declared = [data.draw(st.sampled_from(versions)) for versions in made]
                for recording in data.draw(st.lists(recordings(declared), max_size=5)):
                    process.record(recording)
            assert text_of_ours(reader) == text_of_prometheus_client(folder)
        for family in reader.read():
            name = data.draw(st.sampled_from([sample.name for sample in family.samples] or ["none"]))
            assert exposition.to_text([family.only([name])]) == text_of_samples(family, name)


@pytest.fixture
def recording(recorder):
    """A process that records into our own files what hypothesis drew."""
    folder = new_folder("metrics")
    process = recorder(folder)
    process.folder = folder
    process.do("from math import inf, nan")
    process.do("from tests.observability.recordings import Declaration, Metrics, Recording")
    process.do("metrics = Metrics()")
    return process


@FEW
@given(data=st.data())
def test_prometheus_client_reads_from_our_files_what_was_recorded(data, recording):
    example = f"example_{next(EXAMPLES)}_"  # all examples are in one folder
    made = [versions[0] for versions in data.draw(declarations(NAMES.map(example.__add__)))]
    drawn = data.draw(st.lists(recordings(made), max_size=20))
    recording.do(f"[metrics.record(each) for each in {drawn!r}] and None")
    assert read_by_prometheus_client(recording.folder, example) == recorded_in_memory(drawn)


def recorded_in_memory(drawn):
    metrics = Metrics()
    with values_kept(values.MutexValue):
        for each in drawn:
            metrics.record(each)
    return {sample: repr(value) for sample, value in metrics.samples().items()}  # NaN is not equal to itself


def read_by_prometheus_client(folder, prefix):
    """Every sample by its name and labels, without the process id that gauges have."""
    return {
        (sample.name, frozenset((label, value) for label, value in sample.labels.items() if label != "pid")): repr(
            sample.value
        )
        for family in MultiProcessCollector(None, str(folder)).collect()
        for sample in family.samples
        if family.name.startswith(prefix)
    }


@pytest.fixture
def without_creation_times():
    """Which we leave out, since several processes have none in common."""
    disable_created_metrics()
    yield
    enable_created_metrics()


@FEW
@given(data=st.data())
def test_where_there_is_one_process_each_text_is_that_of_prometheus_client_at_first_and_after_each_change(
    data, without_creation_times
):
    names = NAMES.map(lambda name: name.replace(":", "_"))  # as prometheus_client does in OpenMetrics, in samples only
    made = [versions[0] for versions in data.draw(declarations(names))]
    metrics, registry = Metrics(), CollectorRegistry()
    with values_kept(values.MutexValue):
        Counter("weight", "With a unit.", unit="grams", registry=registry)
        without_sum = Histogram("below", "Below 0.", ["of"], buckets=[-1, 1], registry=registry)
        without_sum.labels("one").observe(-2)
        without_sum.labels("two").observe(0)
        for _ in range(data.draw(st.integers(1, 4))):
            known = set(metrics.made)
            for recording in data.draw(st.lists(recordings(made), max_size=10)):
                metrics.record(recording)
            for declaration in metrics.made.keys() - known:
                registry.register(metrics.made[declaration])
            found = list(store.collect(registry))
            assert exposition.to_text(found) == generate_latest(registry)
            assert exposition.to_openmetrics(found) == generate_openmetrics(registry)


@pytest.mark.parametrize("where", ["in the store", "in memory"])
def test_a_scrape_formats_only_the_lines_that_changed(recorder, where):
    process = recorder(new_folder("metrics") if where == "in the store" else "")
    process.do("from observability.store import families")
    process.do("formatted, line = [], families._line")
    process.do("families._line = lambda prefix, value: formatted.append(prefix) or line(prefix, value)")
    process.do("host = prometheus_client.Counter('host', 'The host has it.', ['n'])")
    lines = "[MetricsCollector.get_metrics(), sorted(line for line in formatted if line.startswith('host'))][1]"
    process.do("[host.labels(number).inc() for number in range(1000)] and None")
    assert len(process.do(lines)) == 1000
    process.do("formatted.clear()")
    process.do("[host.labels(number).inc() for number in (7, 77, 777)] and None")
    assert process.do(lines) == [f'host_total{{n="{number}"}} ' for number in (7, 77, 777)]


def test_a_new_series_or_file_costs_its_own_keys_and_a_new_order_of_its_own_metric(recorder):
    folder = new_folder("metrics")
    one, watching = recorder(folder), recorder(folder)
    watching.do("from observability.store import fileformat, merging")
    watching.do("parsed, parse = [], fileformat.parse_key")
    watching.do("fileformat.parse_key = lambda key: parsed.append(key.decode()) or parse(key)")
    watching.do("arranged, arrange = [], merging.MergedFamily._rearrange")
    watching.do("merging.MergedFamily._rearrange = lambda family: arranged.append(family.name) or arrange(family)")

    def cost():
        """Of a scrape: how many keys of the host's were parsed, and which of its metrics were put in a new order."""
        watching.do("parsed.clear() or arranged.clear() or MetricsCollector.get_metrics() and None")
        keys = watching.do("[key for key in parsed if 'host' in key]")
        return len(keys), watching.do("sorted(name for name in arranged if 'host' in name)")

    one.do("host_a, host_b = (prometheus_client.Counter(name, 'Its.', ['n']) for name in ('host_a', 'host_b'))")
    one.do("[metric.labels(number).inc() for metric in (host_a, host_b) for number in range(100)] and None")
    assert cost() == (200, ["host_a", "host_b"])
    one.do("host_b.labels('new').inc()")
    assert cost() == (1, ["host_b"])
    recorder(folder).do("prometheus_client.Counter('host_c', 'Its.').inc()")
    assert cost() == (1, ["host_c"])
    one.do("host_a.labels(7).inc()")
    assert cost() == (0, [])


def test_info_and_enum_of_all_living_processes_are_shown_though_prometheus_client_keeps_them_in_no_file(recorder):
    folder = new_folder("metrics")
    one, other, watching = (recorder(folder) for _ in range(3))
    lines = "MetricsCollector.get_metrics().decode().splitlines()"
    shown = f"sorted(line for line in {lines} if line.startswith(('build', 'task')))"
    for process in one, other:
        process.do("import prometheus_client as p; build = p.Info('build', 'The build.')")
        process.do("task = p.Enum('task', 'The task.', ['of'], states=['idle', 'busy'])")
    one.do("build.info({'branch': 'main'})")
    one.do("task.labels('one').state('busy')")
    other.do("build.info({'branch': 'old'})")
    other.do("build.info({'branch': 'new'})")
    other.do("task.labels('other') and None")
    assert watching.do(shown) == [
        'build_info{branch="main"} 1.0',
        'build_info{branch="new"} 1.0',
        'task{of="one",task="busy"} 1.0',
        'task{of="one",task="idle"} 0.0',
        'task{of="other",task="busy"} 0.0',
        'task{of="other",task="idle"} 1.0',
    ]
    other.do("task.labels('one').state('idle')")
    assert 'task{of="one",task="idle"} 1.0' in watching.do(shown)
    other.kill()
    assert watching.do(shown) == [
        'build_info{branch="main"} 1.0',
        'task{of="one",task="busy"} 1.0',
        'task{of="one",task="idle"} 0.0',
    ]


def test_a_process_that_only_declares_an_enum_hides_no_state_that_another_has_set(recorder):
    folder = new_folder("metrics")
    one, other = recorder(folder), recorder(folder)
    open_now = "[metric_value('door', door='open'), metric_value('doors', doors='open')]"
    for process in one, other:
        process.do("door = prometheus_client.Enum('door', 'The door.', states=['open', 'closed'])")
        process.do("one = prometheus_client.Enum('doors', 'Doors.', ['of'], states=['open', 'closed']).labels('one')")
        assert one.do(open_now) == ([1, 1] if process is one else [0, 0])
        one.do("door.state('closed')")
        one.do("one.state('closed')")
    other.do("door.state('open')")
    other.do("one.state('open')")
    assert one.do(open_now) == [1, 1]


@pytest.mark.parametrize("mode", MODES)
def test_gauges_of_a_process_that_died_are_kept_unless_they_are_live(mode, recorder):
    folder = new_folder("metrics")
    dying = recorder(folder)
    dying.do(f"prometheus_client.Gauge('level', 'Level.', multiprocess_mode={mode!r}).set(7)")
    dying.kill()
    text = recorder(folder).do("MetricsCollector.get_metrics().decode()")
    assert bool(re.search(r"^level(\{.+\})? 7\.0$", text, re.MULTILINE)) == (not mode.startswith("live"))
