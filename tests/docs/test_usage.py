"""The page about recording and tracking: a project that follows it works, and each example runs."""

import inspect
import json
import re

import pytest

from observability import signals, testing, tracking
from observability.http import instrument
from observability.metrics import MetricsCollector
from tests.docs.conftest import USAGE
from tests.docs.pages import blocks, ids, rows

EXAMPLES = [block for block in blocks("python", pages=[USAGE]) if not block.file]


@pytest.mark.parametrize("example", EXAMPLES, ids=ids)
def test_each_example_runs(usage_project, example):
    assert usage_project.script(example.code) == ""


def test_the_tests_on_the_page_pass_and_leave_the_store_alone(usage_project):
    before = jobs_in_the_store(usage_project)
    assert "Ran 2 tests" in usage_project.python("manage.py", "test")
    assert jobs_in_the_store(usage_project) == before


def jobs_in_the_store(project):
    return json.loads(project.python("manage.py", "dump_metrics", "--format=json", "--name", "automation_jobs_total"))


def test_the_example_of_a_failed_job_reaches_the_metrics_and_the_receiver(usage_project):
    code = """
from observability.testing import assert_increases, metric_value
from observability.tracking import transition
from reports.models import Completion, Report
report = Report.objects.create(kind="audit", status="running")
assert metric_value("active_jobs") == 1
Completion.objects.create(report=report, model="gpt-4", status="success", input_tokens=9, cost="0.25", seconds=1)
with assert_increases("automation_job_cost_usd_sum", by=0.25, job_type="audit", status="failed"):
    transition(report, "failed")
"""
    assert "of type 'audit' failed" in usage_project.script(code)


def test_the_own_health_check_makes_the_site_unhealthy_and_is_named_to_callers_with_access(usage_project):
    code = """
from django.test import Client
answer = Client().get("/api/metrics/health", headers={"host": "localhost"})
print(answer.status_code, answer.json()["checks"]["check_archive"]["status"], "not mounted" in answer.text)
"""
    assert "503 unhealthy False" in usage_project.script(code)


def test_the_own_metrics_are_on_the_endpoint(usage_project):
    code = """
from django.test import Client
from reports.metrics import pages_printed_total, printers_busy
pages_printed_total.labels("laser").inc(5)
printers_busy.set(2)
print(Client().get("/api/metrics", headers={"host": "localhost"}).text)
"""
    text = usage_project.script(code)
    assert 'reports_pages_printed_total{printer="laser"} 5.0' in text
    assert "reports_printers_busy 2.0" in text


def test_the_clients_on_the_page_are_measured(usage_project):
    code = """
from reports import clients
for client in (clients.gpt._client, clients.claude._client, clients.notion.client):
    method = "handle_async_request" if client is clients.claude._client else "handle_request"
    assert getattr(client._transport, method).is_measured
"""
    keys = dict.fromkeys(("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "NOTION_TOKEN"), "none")
    assert usage_project.script(code, **keys) == ""


def test_the_arguments_of_instrument_are_on_the_page():
    parameters = [p for p in inspect.signature(instrument).parameters.values() if p.name != "client"]
    stated = rows("docs/usage.md", "argument", "default", "meaning")
    assert [name.strip("`") for name, *_ in stated] == [p.name for p in parameters]
    assert [default.strip('`"') for _, default, _ in stated[:2]] == [p.default for p in parameters[:2]]


def test_the_tables_give_the_arguments_as_they_are():
    for call, arguments in rows("docs/usage.md", "call", "arguments and defaults"):
        function = getattr(tracking, call.strip("`"))
        parameters = inspect.signature(function).parameters.values()
        stated = [f"{p.name}={p.default!r}".replace("'", '"') for p in parameters if p.name != "model"]
        assert re.findall("`([^`]+)`", arguments) == stated


def test_every_signal_is_on_the_page_with_its_arguments():
    stated = dict(rows("docs/usage.md", "signal", "arguments"))
    assert {f"`{name}`" for name in vars(signals) if isinstance(getattr(signals, name), signals.Signal)} == set(stated)
    for name, arguments in stated.items():
        text = " ".join(signals.__doc__.split())
        promised = re.search(rf"``{name.strip('`')}\(sender, (.+?)\)``", text)[1]
        assert arguments.replace("`", "") == promised


def test_everything_that_can_be_called_is_on_the_page():
    text = USAGE.read_text()
    methods = {name for name in vars(MetricsCollector) if not name.startswith("_")}
    assert {name for name in methods if f"MetricsCollector.{name}(" not in text} == set()
    assert f"transition{bare_signature(tracking.transition)}" in text
    assert f"announce{bare_signature(tracking.announce)}" in text
    assert f"transition_all{bare_signature(tracking.transition_all)}" in text
    for helper in (testing.metric_value, testing.assert_increases):
        assert f"{helper.__name__}{bare_signature(helper)}" in text


def bare_signature(function):
    """The parameters without their annotations."""
    signature = inspect.signature(function)
    bare = [p.replace(annotation=p.empty) for p in signature.parameters.values()]
    return str(signature.replace(parameters=bare, return_annotation=signature.empty))
