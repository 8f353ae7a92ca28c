"""An observation carries the ids of its trace and its job, over all processes, to the OpenMetrics output."""

import json
import os
import re
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse
from prometheus_client.samples import Exemplar

from observability import exposition
from observability.exemplars import current, exemplar
from observability.metrics import MetricsCollector
from observability.store import exemplars
from observability.store.locks import is_unlocked

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


@pytest.fixture
def openmetrics(client, settings):
    """``openmetrics("?name[]=…")``: what Prometheus gets when it asks for exemplars."""
    settings.OBSERVABILITY = settings.OBSERVABILITY | {"METRICS_PUBLIC": True}
    return lambda query: client.get(f"/api/metrics{query}", headers={"Accept": exposition.OPENMETRICS}).content.decode()


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


def test_who_asks_for_samples_of_one_name_gets_their_exemplars(openmetrics):
    with exemplar(job_id=5):
        MetricsCollector.record_notion_request("selected", "success", 0.2)
    text = openmetrics("?name[]=notion_request_duration_seconds_bucket&name[]=notion_request_duration_seconds_sum")
    samples = [line for line in text.splitlines() if 'operation="selected"' in line]
    assert len(samples) > 10
    assert [line.split(" 1.0 ")[1].rpartition(" ")[0] for line in samples if "#" in line] == ['# {job_id="5"} 0.2']
    assert not [line for line in text.splitlines() if line.startswith("notion_request_duration_seconds_count")]


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


KEY = '["m", "m_total", {"n": "%s"}, "Help."]'


def test_threads_that_make_a_removed_file_again_lose_no_line_and_close_no_descriptor_of_another(tmp_path, monkeypatch):
    failed, close = [], os.close

    def watch(descriptor):
        try:
            close(descriptor)
        except OSError as error:
            failed.append(error)
            raise

    monkeypatch.setattr(os, "close", watch)
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for _ in range(200):
            file = exemplars.ExemplarFile(tmp_path)
            file.keep(KEY % "first", Exemplar({"a": "b"}, 1, 1.0))
            [path] = exemplars.paths(tmp_path)
            path.unlink()
            before = len(list(Path("/proc/self/fd").iterdir()))
            with ThreadPoolExecutor(8) as pool:
                list(pool.map(lambda n, file=file: file.keep(KEY % n, Exemplar({"a": "b"}, 1, 1.0)), range(8)))
            assert not failed
            assert len(list(Path("/proc/self/fd").iterdir())) == before
            assert not is_unlocked(path)
            assert {one["labels"]["n"] for one in exemplars.newest([path])} == {str(n) for n in range(8)}
            file.close()
            path.unlink()
    finally:
        sys.setswitchinterval(interval)


def test_a_signal_handler_within_a_change_of_the_file_gives_way(tmp_path, monkeypatch):
    file, lock_and_rename = exemplars.ExemplarFile(tmp_path), exemplars.lock_and_rename

    def interrupted(*paths):
        file.keep(KEY % "of the handler", Exemplar({}, 1, 1.0))
        return lock_and_rename(*paths)

    monkeypatch.setattr(exemplars, "lock_and_rename", interrupted)
    file.keep(KEY % "interrupted", Exemplar({}, 1, 1.0))
    assert [one["labels"]["n"] for one in exemplars.newest(exemplars.paths(tmp_path))] == ["interrupted"]
    file.close()


def test_a_new_file_is_locked_when_it_gets_its_name(tmp_path, monkeypatch):
    seen, rename = [], Path.rename

    def look(path, target):
        seen.append((is_unlocked(path), exemplars.paths(tmp_path)))
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", look)
    file = exemplars.ExemplarFile(tmp_path)
    file.keep(KEY % "a", Exemplar({}, 1, 1.0))
    assert seen == [(False, [])]
    file.close()


def test_what_cannot_be_kept_is_left_out(tmp_path):
    file = exemplars.ExemplarFile(tmp_path / "not there")
    file.keep(KEY % "a", Exemplar({}, 1, 1.0))
    file.keep("no key", Exemplar({}, 1, 1.0))
    file.keep(KEY % "b", Exemplar({"a": object()}, 1, 1.0))


GOOD = {"name": "m", "labels": {}, "ids": {}, "value": 1, "timestamp": 1.5}


@pytest.mark.parametrize(
    "line",
    [
        "[" * 1023,
        "1",
        *(
            json.dumps(GOOD | wrong)
            for wrong in (
                {"name": 1},
                {"labels": []},
                {"labels": {"a": 1}},
                {"ids": {"a": None}},
                {"value": "x"},
                {"value": 10**400},
                {"timestamp": None},
                {"timestamp": True},
            )
        ),
    ],
)
def test_a_line_that_is_no_exemplar_is_left_out(tmp_path, line):
    width = exemplars.WIDTH - 1
    (tmp_path / "exemplars_1-a.jsonl").write_text(f"{line:<{width}}\n{json.dumps(GOOD):<{width}}\n")
    assert exemplars.read(tmp_path) == {"m ": " # {} 1.0 1.5"}
