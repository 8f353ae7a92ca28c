"""What every process records is in one store, and a process that ends takes its live gauges along."""

import json
import os
import subprocess
import sys

import pytest

from observability.testing import assert_increases, metric_value
from tests.servers import new_folder
from tests.site import ROOT, eventually

CHILD = """
import django, sys
django.setup()
from observability.metrics import MetricsCollector, http_requests_in_progress
MetricsCollector.record_ai_request("another-process", "success", tokens=5, cost=0.5)
http_requests_in_progress.labels("GET").inc(3)
MetricsCollector.set_active_users(12345)
print("recorded", flush=True)
sys.stdin.read()
"""


def start_child():
    env = os.environ | {"DJANGO_SETTINGS_MODULE": "tests.observability.site_settings"}
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD], cwd=ROOT, env=env, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert child.stdout.readline() == "recorded\n"
    return child


def test_another_process_records_into_the_same_store():
    with assert_increases("ai_tokens_total", by=5, model="another-process"), start_child() as child:
        child.stdin.close()


def test_the_live_gauges_of_a_killed_process_vanish_and_its_counters_stay():
    before = metric_value("http_requests_in_progress")
    with assert_increases("ai_tokens_total", by=5, model="another-process"):
        with start_child() as child:
            assert metric_value("http_requests_in_progress") == before + 3
            assert metric_value("active_users") == 12345
            child.kill()
        eventually(lambda: metric_value("http_requests_in_progress"), before)
        assert metric_value("active_users") != 12345


def test_an_empty_variable_means_no_folder_and_leaves_nothing_behind(own_process, tmp_path):
    code = """
import os
from observability import store
from observability.metrics import MetricsCollector
MetricsCollector.record_ai_request("m", "success", tokens=5, cost=0.5)
print(json.dumps([store.folder(), [name for name in os.listdir() if name.endswith(".db")]]))
"""
    assert own_process(code, PROMETHEUS_MULTIPROC_DIR="") == [None, []]


def test_a_folder_that_is_not_there_is_made(own_process, tmp_path):
    folder = tmp_path / "not" / "yet"
    code = """
from observability import store
from observability.metrics import MetricsCollector
MetricsCollector.record_ai_request("m", "success", tokens=5, cost=0.5)
print(json.dumps(str(store.folder())))
"""
    assert own_process(code, PROMETHEUS_MULTIPROC_DIR=str(folder)) == str(folder)
    assert list(folder.glob("counter_*.db"))


FORKED = """
import ctypes, os, sys, types
uwsgi = types.ModuleType("uwsgi"); sys.modules["uwsgi"] = uwsgi
import json, django
django.setup()
from prometheus_client import Counter, Gauge
from observability.testing import metric_value
counted, level = Counter("forked_total", "d"), Gauge("forked_level", "d", multiprocess_mode="max")
counted.inc(); level.set(1)
fork = ctypes.PyDLL(None).fork if {behind_python} else os.fork
for number in range(4):
    if not (child := fork()):
        if {behind_python}: uwsgi.post_fork_hook()
        level.set(10 + number)
        for _ in range(5000): counted.inc()
        os._exit(0)
    os.waitpid(child, 0) if number % 2 else None
while True:
    try: os.wait()
    except ChildProcessError: break
print(json.dumps([metric_value("forked_total"), metric_value("forked_level")]))
"""


@pytest.mark.parametrize("behind_python", [False, True], ids=["os.fork", "as uWSGI forks"])
def test_what_forked_children_count_and_set_is_exact(behind_python):
    env = os.environ | {
        "DJANGO_SETTINGS_MODULE": "tests.observability.site_settings",
        "PROMETHEUS_MULTIPROC_DIR": str(new_folder("metrics")),
    }
    command = [sys.executable, "-c", FORKED.replace("{behind_python}", str(behind_python))]
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [20_001, 13]


EARLY = """
import json
from prometheus_client import Counter, Gauge, Histogram, Summary
requests = Counter("early_requests_total", "d", ["kind"]); requests.labels("a").inc(2)
plain = Counter("early_plain_total", "d"); plain.inc(4)
size = Gauge("early_size", "d", multiprocess_mode="sum"); size.set(7)
class Odd(Counter):
    def _metric_init(self):
        assert not hasattr(self, "_value"), "cannot begin twice"
        super()._metric_init()
Odd("early_odd_total", "d").inc()
seconds = Histogram("early_seconds", "d", buckets=[1, 2]); seconds.observe(1.5)
pause = Summary("early_pause", "d", ["kind"]); pause.labels("a").observe(3)
from django.conf import settings
settings.configure(INSTALLED_APPS=["django.contrib.contenttypes", "observability"], OBSERVABILITY={options})
import django
django.setup()
requests.labels("a").inc(); plain.inc(); size.inc(); seconds.observe(0.5); pause.labels("a").observe(1)
from observability.testing import metric_value
names = ["early_requests_total", "early_plain_total", "early_size", "early_seconds_sum", "early_seconds_count",
         "early_pause_sum", "early_pause_count"]
print(json.dumps([metric_value(name) for name in names]))
"""


@pytest.mark.parametrize(
    ("shared", "environment"),
    [(True, {}), (True, {"PROMETHEUS_MULTIPROC_DIR": "/tmp"}), (False, {})],
    ids=["with a store folder", "with another one in the environment", "in memory"],
)
def test_metrics_that_were_made_before_the_app_was_loaded_are_shown_with_all_they_counted(shared, environment):
    if environment:
        environment = {"PROMETHEUS_MULTIPROC_DIR": str(new_folder("another"))}
    options = {"PROMETHEUS_MULTIPROC_DIR": str(new_folder("metrics"))} if shared else {}
    env = {name: value for name, value in os.environ.items() if not name.startswith(("DJANGO_", "PROMETHEUS_"))}
    env |= environment
    command = [sys.executable, "-c", EARLY.replace("{options}", repr(options))]
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [3, 5, 8, 2, 2, 4, 2]


ODD = """
from prometheus_client import REGISTRY, Gauge
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from decimal import Decimal
from observability import exposition
Gauge("depth", "d").set_function(lambda: 42)
class Odd:
    def __init__(self, *samples): self.samples = samples
    def collect(self):
        family = Metric("odd", "d", "gauge")
        for sample in self.samples: family.add_sample("odd", *sample)
        yield family
REGISTRY.register(Odd(({"number": 7}, Decimal("1.5")), ({"number": "8"}, 2, None, "no exemplar")))
class Bad(Odd):
    def describe(self): return []
REGISTRY.register(Bad(({}, None)))
families = exposition.snapshot(["odd", "depth"])
content = exposition.to_dict(families)
exposition.to_openmetrics(families)
print(json.dumps([exposition.to_text(families).decode(), [s["value"] for s in content["odd"]["samples"]]]))
"""


@pytest.mark.parametrize("folder", [{}, {"PROMETHEUS_MULTIPROC_DIR": ""}], ids=["in the store", "in memory"])
def test_what_a_collector_of_the_hosts_gives_fits_every_format_or_is_left_out(own_process, folder):
    text, values = own_process(ODD, **folder)
    assert 'odd{number="7"} 1.5' in text
    assert "depth 42.0" in text
    assert "depth{" not in text
    assert values == [1.5, 2]


UNREGISTERED = """
import gc, weakref
from prometheus_client import REGISTRY, Counter, Histogram
from observability.metrics import MetricsCollector
plain, labelled, timed = Counter("plain", "d"), Counter("labelled", "d", ["a"]), Histogram("timed", "d")
plain.inc(); labelled.labels("b").inc(); timed.observe(1)
text = MetricsCollector.get_metrics().decode()
assert all(line in text for line in ("plain_total 1.0", 'labelled_total{a="b"} 1.0', "timed_count 1.0"))
made = [weakref.ref(metric) for metric in (plain, labelled, timed)]
for metric in (plain, labelled, timed):
    REGISTRY.unregister(metric)
del plain, labelled, timed, metric
gc.collect()
print(json.dumps([one() is None for one in made]))
"""


def test_a_metric_that_the_host_unregisters_and_forgets_is_freed(own_process):
    assert own_process(UNREGISTERED, PROMETHEUS_MULTIPROC_DIR="") == [True, True, True]


BY_VARIABLE = """
from django.conf import settings
settings.configure(INSTALLED_APPS=["django.contrib.contenttypes", "observability"], OBSERVABILITY={options})
import json, django
django.setup()
from prometheus_client import CollectorRegistry, Counter, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead
Counter("host", "d").inc(3)
registry = CollectorRegistry()
MultiProcessCollector(registry)
mark_process_dead(1)
print(json.dumps("host_total 3.0" in generate_latest(registry).decode()))
"""


def test_what_asks_prometheus_client_for_the_folder_by_its_variable_finds_that_of_the_setting():
    env = {name: value for name, value in os.environ.items() if not name.startswith(("DJANGO_", "PROMETHEUS_"))}
    options = {"PROMETHEUS_MULTIPROC_DIR": str(new_folder("metrics"))}
    command = [sys.executable, "-c", BY_VARIABLE.replace("{options}", repr(options))]
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) is True
