"""The assertions for users' own tests say what grew, and by how much."""

import pytest
from prometheus_client import REGISTRY, Counter

from observability.metrics import MetricsCollector
from observability.testing import assert_increases, metric_value


def test_a_value_is_the_sum_of_the_samples_with_these_labels():
    MetricsCollector.record_automation_step("summed", "success")
    MetricsCollector.record_automation_step("summed", "failed")
    assert metric_value("automation_job_steps_total", step="summed") == 2
    assert metric_value("automation_job_steps_total", step="summed", status="failed") == 1
    assert metric_value("automation_job_steps_total", step="never") == 0


def test_an_increase_passes_and_another_one_is_told():
    with assert_increases("automation_job_steps_total", by=2, step="told"):
        MetricsCollector.record_automation_step("told", "success")
        MetricsCollector.record_automation_step("told", "success")
    message = r'automation_job_steps_total\{step="told"\} grew by 0, not by 1: 2 → 2'
    with pytest.raises(AssertionError, match=message), assert_increases("automation_job_steps_total", step="told"):
        pass


def test_an_error_within_the_block_is_the_one_that_is_raised():
    with pytest.raises(ZeroDivisionError), assert_increases("automation_job_steps_total"):
        raise ZeroDivisionError


@pytest.mark.parametrize("name", ["automation_job_step_total", "http_requests"])
def test_a_name_that_no_metric_has_is_an_error_with_the_nearest_one(name):
    message = rf"No metric has samples named '{name}'\. Did you mean '{name[:9]}\w+_total'"
    with pytest.raises(LookupError, match=message):
        metric_value(name)


def test_a_metric_without_samples_is_0():
    counter = Counter("without_samples_total", "Nothing yet.", ["kind"])
    assert metric_value("without_samples_total", kind="a") == 0
    REGISTRY.unregister(counter)
