"""``MetricsCollector`` counts what is good, drops what is bad, and never raises into its caller."""

import json
import threading
from contextlib import ExitStack
from decimal import Decimal

import pytest

from observability.metrics import MetricsCollector
from observability.testing import assert_increases, metric_value

BAD_NUMBERS = [float("nan"), float("inf"), float("-inf"), -1, -0.01, None, "0.05", b"1", True, [], 10**400, 1j]
ODD_TEXTS = {
    "a lone surrogate": "\ud800 model",
    "NUL": "nul\0inside",
    "a newline": 'line\nbreak "quoted" back\\slash',
    "a megabyte": "m" * 1_000_000,
    "bytes": b"\xff\xfe",
    "None": None,
    "emoji": "🦊" * 200,
}


def test_each_method_of_the_contract_records_what_it_says():
    with (
        assert_increases("http_requests_total", method="GET", endpoint="/api/health", status="200"),
        assert_increases("http_request_duration_seconds_sum", by=0.01, method="GET", endpoint="/api/health"),
    ):
        MetricsCollector.record_http_request(method="GET", endpoint="/api/health", status=200, duration=0.01, size=0)
    with (
        assert_increases("automation_jobs_total", status="success"),
        assert_increases("automation_job_results_total", job_type="notion_vercel", status="success"),
        assert_increases("automation_job_duration_seconds_sum", by=12.5, job_type="notion_vercel"),
    ):
        MetricsCollector.record_automation_job(job_type="notion_vercel", status="success", duration=12.5)
    with assert_increases("automation_job_steps_total", step="generate_code", status="success"):
        MetricsCollector.record_automation_step(step="generate_code", status="success")
    with (
        assert_increases("notion_requests_total", operation="retrieve_page", status="success"),
        assert_increases("notion_request_duration_seconds_sum", by=0.2, operation="retrieve_page"),
    ):
        MetricsCollector.record_notion_request(operation="retrieve_page", status="success", duration=0.2)
    with (
        assert_increases("vercel_deployments_total", status="success"),
        assert_increases("vercel_deployment_duration_seconds_sum", by=48.0),
    ):
        MetricsCollector.record_vercel_deployment(status="success", duration=48.0)
    with (
        assert_increases("ai_requests_total", model="gpt-4", status="success"),
        assert_increases("ai_tokens_total", by=1500, model="gpt-4"),
        assert_increases("ai_cost_usd_sum", by=0.05, model="gpt-4"),
        assert_increases("ai_unpriced_requests_total", by=0),
    ):
        MetricsCollector.record_ai_request(model="gpt-4", status="success", tokens=1500, cost=0.05)


def test_gauges_are_absent_until_somebody_sets_them(own_process):
    code = """
from observability import exposition, store
from observability.metrics import MetricsCollector
def gauges():
    families = exposition.snapshot(answers={})
    return {f.name: f.samples[0].value for f in families if f.name.startswith(("active", "database"))}
before = gauges()
MetricsCollector.set_active_users(3); MetricsCollector.set_active_jobs(1); MetricsCollector.set_database_connections(5)
print(json.dumps([before, gauges(), bool(store.folder())]))
"""
    after = {"active_users": 3, "active_jobs": 1, "database_connections": 5}
    assert own_process(code) == [{}, after, True]
    assert own_process(code, PROMETHEUS_MULTIPROC_DIR="/dev/null/no-folder-can-be-here") == [{}, after, False]


def test_a_gauge_that_is_read_is_bounded_and_cleaned_like_one_that_is_recorded(own_process):
    code = """
from django.conf import settings
settings.OBSERVABILITY = settings.OBSERVABILITY | {"MAX_SERIES": 5}
from observability import exposition, sources
from observability.conf import get_conf
from observability.metrics import automation_jobs_queued
from observability.testing import metric_value
get_conf.cache_clear()
rows = {("site_check",): 1} | {("x" * 130 + str(number),): 1 for number in range(3)} | {(str(n),): 1 for n in range(6)}
sources.register("own", automation_jobs_queued, lambda: rows)
[family] = exposition.snapshot(["automation_jobs_queued"])
print(json.dumps([{s.labels["job_type"]: s.value for s in family.samples},
                  metric_value("observability_dropped_total", metric="automation_jobs_queued", reason="series_cap")]))
"""
    values, dropped = own_process(code, DATABASE_URL="postgres://127.0.0.1:9/none")
    assert values == {"site_check": 1, "x" * 128: 3, "0": 1, "__overflow__": 5}
    assert dropped >= 5


@pytest.mark.parametrize("folder", [{}, {"PROMETHEUS_MULTIPROC_DIR": ""}], ids=["in the store", "in memory"])
def test_a_gauge_that_was_set_by_hand_goes_before_what_the_app_reads(own_process, folder):
    code = """
from observability import sources
from observability.metrics import MetricsCollector, active_jobs
from observability.testing import metric_value
sources.register("own", active_jobs, lambda: 7)
before = metric_value("active_jobs")
MetricsCollector.set_active_jobs(3)
print(json.dumps([before, metric_value("active_jobs"), metric_value("observability_source_up", source="own")]))
"""
    assert own_process(code, DATABASE_URL="postgres://127.0.0.1:9/none", **folder) == [7, 3, 1]


@pytest.mark.parametrize("bad", BAD_NUMBERS, ids=repr)
def test_a_bad_duration_or_cost_is_dropped_and_counted_while_the_event_itself_counts(bad):
    with (
        assert_increases("ai_requests_total", model="bad", status="success"),
        assert_increases("ai_cost_usd_count", by=0),
        assert_increases("ai_unpriced_requests_total", model="bad"),
        assert_increases("observability_dropped_total", metric="ai_cost_usd", reason="invalid_value"),
    ):
        MetricsCollector.record_ai_request("bad", "success", tokens=1, cost=bad)
    with (
        assert_increases("ai_requests_total", model="bad"),
        assert_increases("ai_token_usage_total", by=0),
        assert_increases("observability_dropped_total", by=3, metric="ai_token_usage_total", reason="invalid_value"),
        assert_increases("observability_dropped_total", metric="ai_time_to_first_token_seconds"),
    ):
        kinds = dict.fromkeys(("cached_input_tokens", "cache_write_tokens", "reasoning_tokens"), bad)
        MetricsCollector.record_ai_request("bad", "error", **kinds, time_to_first_token=bad)
    with (
        assert_increases("automation_job_duration_seconds_count", by=0),
        assert_increases("automation_jobs_total", status="failed"),
        assert_increases(
            "observability_dropped_total", metric="automation_job_duration_seconds", reason="invalid_value"
        ),
    ):
        MetricsCollector.record_automation_job("site_check", "failed", duration=bad)


def test_a_decimal_is_a_number():
    with assert_increases("ai_cost_usd_sum", by=0.125, model="decimal"):
        MetricsCollector.record_ai_request("decimal", "success", tokens=1, cost=Decimal("0.125"))


def test_an_unknown_price_is_not_zero():
    with (
        assert_increases("ai_unpriced_requests_total", model="new-model"),
        assert_increases("ai_cost_usd_count", by=0, model="new-model"),
        assert_increases("observability_dropped_total", by=0),
        assert_increases("ai_token_usage_total", by=30, model="new-model", type="input"),
        assert_increases("ai_tokens_total", by=50, model="new-model"),
    ):
        MetricsCollector.record_ai_request("new-model", "success", input_tokens=30, output_tokens=20)


def test_parts_of_the_input_and_output_are_not_added_to_them():
    kinds = {"input": 30, "output": 20, "cached_input": 10, "cache_write": 5, "reasoning": 15}
    with ExitStack() as stack:
        for kind, number in kinds.items():
            stack.enter_context(assert_increases("ai_token_usage_total", by=number, model="parts", type=kind))
        stack.enter_context(assert_increases("ai_tokens_total", by=50, model="parts"))
        stack.enter_context(assert_increases("ai_time_to_first_token_seconds_sum", by=0.25, model="parts"))
        MetricsCollector.record_ai_request(
            "parts",
            "success",
            input_tokens=30,
            output_tokens=20,
            cached_input_tokens=10,
            cache_write_tokens=5,
            reasoning_tokens=15,
            duration=3.0,
            time_to_first_token=0.25,
        )


def test_the_kinds_of_tokens_of_a_model_that_is_expected_exist_from_the_start(own_process):
    code = """
from observability import exposition, metrics
metrics.expect_labels(model=["gpt-4"])
metrics.create_known_series()
[family] = exposition.snapshot(["ai_token_usage_total"])
print(json.dumps([sample.labels["type"] for sample in family.samples if sample.name == "ai_token_usage_total"]))
"""
    assert sorted(own_process(code)) == ["cache_write", "cached_input", "input", "output", "reasoning"]


def test_a_request_that_was_never_billed_is_not_unpriced():
    with assert_increases("ai_unpriced_requests_total", by=0), assert_increases("ai_requests_total", model="limited"):
        MetricsCollector.record_ai_request("limited", "rate_limited")


@pytest.mark.parametrize("text", ODD_TEXTS.values(), ids=ODD_TEXTS)
def test_an_odd_label_value_is_recorded_and_every_format_stays_readable(text):
    with assert_increases("automation_job_steps_total", status="odd"):
        MetricsCollector.record_automation_step(step=text, status="odd")
    lines = MetricsCollector.get_metrics().decode().splitlines()
    assert all(len(line) < 1500 and "\0" not in line for line in lines)
    values = [sample["labels"]["step"] for sample in steps() if sample["labels"]["status"] == "odd"]
    assert max(map(len, values)) <= 128


def steps():
    return json.loads(json.dumps(MetricsCollector.get_metrics_dict(), allow_nan=False))["automation_job_steps_total"][
        "samples"
    ]


def test_label_values_past_the_cap_become_overflow_and_are_counted(own_process):
    code = """
from django.conf import settings
settings.OBSERVABILITY = settings.__dict__.get("OBSERVABILITY", {}) | {"MAX_SERIES": 50}
from observability import conf, exposition
conf.get_conf.cache_clear()
from observability.metrics import MetricsCollector
from observability.testing import metric_value
for number in range(1000): MetricsCollector.record_ai_request(f"model-{number}", "error")
[family] = exposition.snapshot(["ai_requests_total"])
print(json.dumps([len(family.samples), metric_value("ai_requests_total"),
    metric_value("ai_requests_total", model="__overflow__", status="error"),
    metric_value("observability_dropped_total", metric="ai_requests_total", reason="series_cap")]))
"""
    assert own_process(code) == [51, 1000, 950, 950]


def test_64_threads_lose_nothing():
    def work():
        for _ in range(200):
            MetricsCollector.record_ai_request("threads", "success", tokens=3, cost=0.5)

    threads = [threading.Thread(target=work) for _ in range(64)]
    with (
        assert_increases("ai_requests_total", by=12_800, model="threads", status="success"),
        assert_increases("ai_tokens_total", by=38_400, model="threads"),
        assert_increases("ai_cost_usd_sum", by=6_400, model="threads"),
    ):
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()


def test_series_that_are_known_beforehand_exist_at_zero(own_process):
    code = """
from observability.metrics import MetricsCollector
print(json.dumps(MetricsCollector.get_metrics_dict()))
"""
    families = own_process(code)

    def zeros(name, *labels):
        samples = families[name]["samples"]
        assert all(sample["value"] == 0 for sample in samples)
        own = [sample["labels"] for sample in samples if "le" not in sample["labels"]]
        return {tuple(found[label] for label in labels) for found in own}

    assert zeros("automation_jobs_total", "status") == {("success",), ("failed",), ("cancelled",)}
    assert ("site_check",) in zeros("automation_job_duration_seconds", "job_type")
    outcomes = {("fetch_path", "success"), ("fetch_path", "failed"), ("verify", "success"), ("verify", "failed")}
    assert outcomes <= zeros("automation_job_steps_total", "step", "status")
    assert zeros("vercel_deployments_total", "status") == {("success",), ("failed",), ("cancelled",)}
    assert zeros("vercel_deployment_duration_seconds") == {()}
    assert "http_requests_total" not in families


CORE = {
    "http_requests_total": ("counter", ["method", "endpoint", "status"]),
    "http_request_duration_seconds": ("histogram", ["method", "endpoint"]),
    "http_request_size_bytes": ("histogram", ["method", "endpoint"]),
    "automation_jobs_total": ("counter", ["status"]),
    "automation_job_duration_seconds": ("histogram", ["job_type"]),
    "automation_job_steps_total": ("counter", ["step", "status"]),
    "notion_requests_total": ("counter", ["operation", "status"]),
    "notion_request_duration_seconds": ("histogram", ["operation"]),
    "vercel_deployments_total": ("counter", ["status"]),
    "vercel_deployment_duration_seconds": ("histogram", []),
    "ai_requests_total": ("counter", ["model", "status"]),
    "ai_tokens_total": ("counter", ["model"]),
    "ai_cost_usd": ("histogram", ["model"]),
    "active_users": ("gauge", []),
    "active_jobs": ("gauge", []),
    "database_connections": ("gauge", []),
}
BUCKETS = {
    "http_request_duration_seconds": [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 7.5, 10, 30, 60],
    "http_request_size_bytes": [100, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8],
    "automation_job_duration_seconds": [0.1, 0.5, 1, 5, 10, 30, 60, 120, 300, 600, 1800, 3600, 7200],
    "ai_cost_usd": [0.0001, 0.0005, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10, 50],
}


@pytest.fixture(scope="module")
def recorded(own_process):
    """The JSON of a store in which every core metric has a sample."""
    code = """
from observability.metrics import MetricsCollector
MetricsCollector.record_http_request("POST", "/core", 200, 0.1, 5)
MetricsCollector.record_automation_job("core", "success", 1)
MetricsCollector.record_automation_step("core", "success")
MetricsCollector.record_notion_request("core", "success", 1)
MetricsCollector.record_vercel_deployment("success", 1)
MetricsCollector.record_ai_request("core", "success", 1, 1)
MetricsCollector.set_active_users(1)
MetricsCollector.set_active_jobs(1)
MetricsCollector.set_database_connections(1)
print(json.dumps(MetricsCollector.get_metrics_dict()))
"""
    return own_process(code)


@pytest.mark.parametrize(("name", "kind", "labels"), [(name, *rest) for name, rest in CORE.items()], ids=CORE)
def test_core_metrics_carry_exactly_the_labels_of_the_contract(recorded, name, kind, labels):
    family = recorded[name]
    assert family["type"] == kind
    assert all(set(sample["labels"]) - {"le"} == set(labels) for sample in family["samples"])


@pytest.mark.parametrize(("name", "bounds"), BUCKETS.items(), ids=BUCKETS)
def test_core_histograms_have_the_buckets_of_the_contract(recorded, name, bounds):
    found = {sample["labels"]["le"] for sample in recorded[name]["samples"] if "le" in sample["labels"]}
    assert sorted(map(float, found)) == [*bounds, float("inf")]


def test_a_call_with_wrong_arguments_never_raises_into_its_caller():
    with assert_increases("observability_dropped_total", reason="error"):
        MetricsCollector.record_ai_request()
    assert metric_value("observability_dropped_total", metric="record_ai_request", reason="error") >= 1
