"""Metrics that were made before the store was there are moved into it, with what they counted."""

import subprocess
import sys

from tests.site import ROOT

EARLY = """
import json, os, sys
import prometheus_client as p
made = [
    p.Counter("early", "Early.", ["a"]), p.Histogram("early_seconds", "Early.", ["a"], buckets=(1, 2)),
    p.Summary("early_summary", "Early."), p.Gauge("early_gauge", "Early.", multiprocess_mode="max"),
]
counter, histogram, summary, gauge = made
counter.labels("x").inc(3); histogram.labels("x").observe(1.5); summary.observe(2); gauge.set(7)
info = p.Info("early_build", "Early."); info.info({"version": "1"})
enum = p.Enum("early_state", "Early.", states=["idle", "busy"]); enum.state("busy")
import django; django.setup()
from observability import store
from observability.testing import metric_value
"""
RECORD = """
counter.labels("x").inc(); histogram.labels("x").observe(0.5); summary.observe(1); gauge.set(5); gauge.inc(4)
"""
SHOW_NUMBERS = """
numbers = [metric_value(name) for name in (
    "early_total", "early_seconds_sum", "early_seconds_count", "early_summary_sum", "early_gauge"
)]
print(json.dumps(numbers))
"""
SHOW = SHOW_NUMBERS + "print(json.dumps([*numbers, *map(metric_value, ['early_build_info', 'early_state'])]))"
EXPECTED = [4, 2, 2, 3, 9, 1, 1]


def run(code, folder, **environment):
    import json
    import os

    env = os.environ | {
        "DJANGO_SETTINGS_MODULE": "tests.observability.site_settings",
        "PROMETHEUS_MULTIPROC_DIR": str(folder),
        **environment,
    }
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=env, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_what_they_counted_before_and_after_is_in_the_store(tmp_path):
    without_variable = "import os; folder = os.environ.pop('PROMETHEUS_MULTIPROC_DIR')\n"
    late = "os.environ['PROMETHEUS_MULTIPROC_DIR'] = folder\nimport django; django.setup()\n"
    code = without_variable + EARLY.replace("import django; django.setup()\n", late) + RECORD + SHOW
    assert run(code, tmp_path) == EXPECTED


def test_what_prometheus_client_wrote_into_files_of_its_own_counts_once(tmp_path):
    assert run(EARLY + RECORD + SHOW, tmp_path) == EXPECTED


def test_a_state_from_before_the_store_was_there_hides_none_that_was_set_since(tmp_path, recorder):
    living = recorder(tmp_path)
    living.do("prometheus_client.Enum('early_state', 'Early.', states=['idle', 'busy']).state('idle')")
    assert run(EARLY + "print(json.dumps(metric_value('early_state', early_state='idle')))", tmp_path) == 1


LOWEST = """
import json, os
import prometheus_client as p
for mode, value in {"min": 50, "max": -5, "all": 7}.items():
    p.Gauge(f"early_{mode}", "Early.", multiprocess_mode=mode).set(value)
import django; django.setup()
from observability import store
samples = [s for family in store.collect() for s in family.samples if s.name.startswith("early_")]
print(json.dumps(sorted([s.name, s.value] for s in samples)))
"""


def test_no_emptied_file_is_left_that_shows_gauges_as_0(tmp_path):
    assert run(LOWEST, tmp_path) == [["early_all", 7], ["early_max", -5], ["early_min", 50]]
    assert all("-" in path.name for path in tmp_path.glob("*.db"))


def test_a_file_with_a_value_that_was_not_moved_stays_and_goes_on(tmp_path):
    code = """
import json, os
import prometheus_client as p
moved, own = p.Counter("moved", "Early."), p.Counter("own", "Of the host's.", registry=None)
moved.inc(2); own.inc()
import django; django.setup()
from observability.testing import metric_value
moved.inc(); own.inc()
print(json.dumps([metric_value("moved_total"), metric_value("own_total")]))
"""
    assert run(code, tmp_path) == [3, 2]
    assert [path for path in tmp_path.glob("counter_*.db") if "-" not in path.name]


def test_another_process_sees_it(tmp_path):
    run(EARLY + RECORD + SHOW, tmp_path)
    other = "import json, django; django.setup()\nfrom observability.testing import metric_value\n"
    assert run(other + SHOW_NUMBERS, tmp_path) == EXPECTED[:5]


def test_a_metric_that_came_too_late_to_be_moved_is_told_by_a_check(tmp_path):
    code = """
import json
import prometheus_client as p
late = p.Counter("stray", "Stray.", registry=None)
import os; folder = os.environ.pop("PROMETHEUS_MULTIPROC_DIR")
from prometheus_client import values; values.ValueClass = values.MutexValue
late = p.Counter("stray", "Stray.", registry=None)
os.environ["PROMETHEUS_MULTIPROC_DIR"] = folder
import django; django.setup()
p.REGISTRY.register(late)
from observability import checks
print(json.dumps([(message.id, "'stray'" in message.msg) for message in checks.check_early_metrics(None)]))
"""
    assert run(code, tmp_path) == [["observability.W009", True]]
