"""An observation carries the ids of its trace and its job, over all processes, to the OpenMetrics output."""

import re
import sys
import time
from types import SimpleNamespace

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse

from observability import exposition
from observability.exemplars import current, exemplar
from observability.metrics import MetricsCollector

RECORD = """
from observability.exemplars import exemplar
from observability.metrics import MetricsCollector
with exemplar(trace_id="abc", job_id=7):
    MetricsCollector.record_ai_request("gpt-4", "success", tokens=1, cost=0.05)
"""
SHOW = """
from observability import exposition
text = exposition.to_openmetrics(exposition.snapshot()).decode()
print(json.dumps([line for line in text.splitlines() if " # {" in line]))
"""
LINE = re.compile(
    r'ai_cost_usd_bucket\{le="0\.05",model="gpt-4"\} 1\.0 # \{job_id="7",trace_id="abc"\} 0\.05 \d+(\.\d+)?'
)


def exemplars_of(name, **labels):
    text = exposition.to_openmetrics(exposition.snapshot([name])).decode()
    samples = [sample for family in parse(text) for sample in family.samples if sample.exemplar]
    return [sample.exemplar for sample in samples if labels.items() <= sample.labels.items()]


@pytest.mark.parametrize("store", [{}, {"PROMETHEUS_MULTIPROC_DIR": ""}], ids=["shared", "in memory"])
def test_an_observation_carries_the_ids_around_it(own_process, store):
    [line] = own_process(RECORD + SHOW, **store)
    assert LINE.fullmatch(line)


def test_the_exemplar_of_a_process_that_ended_is_shown_by_another_and_outlives_the_folding(own_process, tmp_path):
    folder = {"PROMETHEUS_MULTIPROC_DIR": str(tmp_path)}
    for _ in range(3):
        own_process(RECORD + "print(0)", **folder)
    own_process(SHOW, **folder)  # folds
    [line] = own_process(SHOW, **folder)
    assert LINE.fullmatch(line.replace(" 3.0 ", " 1.0 "))
    assert len(list(tmp_path.glob("exemplars_*"))) == 1


def test_a_bucket_gets_a_new_exemplar_after_a_second_and_not_before():
    def observe(job):
        with exemplar(job_id=job):
            MetricsCollector.record_notion_request("exemplified", "success", 0.2)

    def shown():
        return [
            one.labels["job_id"] for one in exemplars_of("notion_request_duration_seconds", operation="exemplified")
        ]

    observe(1)
    observe(2)
    assert shown() == ["1"]
    time.sleep(1.05)
    observe(3)
    assert shown() == ["3"]


def test_a_request_within_a_trace_of_sentry_carries_its_id(client, monkeypatch):
    span = SimpleNamespace(trace_id="771a43a4192642f0b136d5159a501700")
    monkeypatch.setitem(sys.modules, "sentry_sdk", SimpleNamespace(get_current_span=lambda: span))
    client.get("/sentry-traced-and-not-there")
    [*_, found] = exemplars_of("http_request_duration_seconds", endpoint="unmatched")
    assert found.labels["trace_id"] == span.trace_id


def test_ids_hold_within_their_block_and_longer_ones_than_openmetrics_allows_are_left_out():
    assert current() == {}
    with exemplar(job_id=1), exemplar(trace_id="abc"):
        assert current() == {"job_id": "1", "trace_id": "abc"}
        with exemplar(job_id="x" * 200):
            assert current() == {}
    assert current() == {}


def test_without_exemplars_the_plain_text_is_what_it_was():
    with exemplar(job_id=1):
        MetricsCollector.record_notion_request("plain", "success", 0.2)
    assert b" # {" not in MetricsCollector.get_metrics()
