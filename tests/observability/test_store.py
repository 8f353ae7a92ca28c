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
