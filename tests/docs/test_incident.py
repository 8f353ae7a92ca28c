"""The incident in the guide: its code fails as told, the fix mends it, and what it names is there."""

import json
import logging
import re

import pytest

from automation import engine, jobs, registry
from observability.logs import formatter
from observability.logs.filters import CorrelationFilter
from prometheus import alerting
from tests.docs.pages import blocks
from tests.site import ROOT

PAGE = ROOT / "docs" / "incident.md"
TEXT = PAGE.read_text()
PIPELINE, FIX = (block.code for block in blocks("python", pages=[PAGE]))
BROKEN = 'first, last = reader.split(" ")\n'
ERROR = "ValueError: not enough values to unpack (expected 2, got 1)"
NAMES = re.compile(r"[0-9a-f]{8}-[0-9a-f-]{27}")


def newsletter_to(reader):
    return engine.run(jobs.create_job("newsletter", {"topic": "Django", "readers": ["Ada Lovelace", reader]}))


@pytest.mark.django_db(transaction=True)
def test_the_job_fails_as_told_with_that_line_in_the_log_and_succeeds_when_it_is_mended(monkeypatch, caplog):
    caplog.handler.addFilter(CorrelationFilter())
    monkeypatch.setattr(registry, "_registry", {})
    exec(PIPELINE, {})
    failed = newsletter_to("Plato")
    assert (failed.status, failed.error) == ("failed", ERROR)
    assert [step.detail for step in failed.steps.filter(status="failed")] == ["Plato"]
    [told] = [record for record in caplog.records if record.levelno == logging.ERROR]
    shown = json.loads(re.search(r'^{"timestamp".+}$', TEXT, re.MULTILINE)[0])
    line = json.loads(formatter().format(told))
    assert shown.keys() == line.keys()
    assert NAMES.sub("", shown["message"]) == NAMES.sub("", line["message"])
    assert shown["exception"].splitlines()[-1] == line["exception"].splitlines()[-1] == ERROR

    monkeypatch.setattr(registry, "_registry", {})
    exec(PIPELINE.replace(BROKEN, FIX), {})
    assert newsletter_to("Plato").status == "success"


def test_the_line_of_the_error_is_the_one_that_is_told():
    number = PIPELINE[: PIPELINE.index(BROKEN)].count("\n") + 1
    assert f"newsletters/pipelines.py in send at line {number}\n    {BROKEN}" in TEXT


def test_the_alert_says_what_it_says_in_the_guide():
    [alert] = [alert for alert in alerting.jobs if alert.name == "AutomationFailureRate"]
    said = f"{alert.name}  {alert.severity}", alert.summary, alert.description
    values = {alerting.PERCENT: "33.33%", alerting.JOB: "django", alerting.JOB_TYPE: "newsletter"}
    filled = re.sub("{{.+?}}", lambda found: values[found[0]], "\n".join(said)).splitlines()
    assert [line for line in filled if line not in TEXT] == []


def test_its_panels_are_on_the_dashboard_of_jobs():
    board = json.loads((ROOT / "grafana" / "dashboards" / "jobs.json").read_text())
    named = re.findall(r"\*\*([^*]+)\*\*", TEXT.partition("## Where")[2].partition("##")[0])
    assert named
    assert set(named) <= {panel["title"] for panel in board["panels"]}
