"""The page about jobs: its example runs, and its tables say what the code does."""

import ast
import re

import pytest

from automation import clients, conf, engine, jobs, registry
from automation.admin.base import BoundedPaginator
from automation.api import api
from automation.api.listing import Page
from automation.clients import http
from automation.models import Job
from tests.docs.pages import blocks, code_in, rows
from tests.site import ROOT

PAGE = ROOT / "docs" / "automation.md"
IN_PROJECT = {"settings.py", "urls.py"}
EXAMPLES = [block.code for block in blocks("python", pages=[PAGE]) if block.file not in IN_PROJECT]


def test_the_steps_give_a_project_whose_jobs_run(jobs_project):
    assert "no issues" in jobs_project.python("manage.py", "check")
    code = """
from automation.jobs import create_job
create_job("newsletter", {"topic": "Django", "readers": ["ada"]})
create_job("newsletter", {"topic": "", "readers": []})
"""
    jobs_project.script(code)
    said = jobs_project.python("manage.py", "db_worker", "--batch", "--no-startup-delay")
    assert re.findall(r"^Job \S+ (.+)$", said, re.MULTILINE) == [
        "(newsletter): success.",
        "(newsletter, write) failed: There is nothing to write about.",
    ]
    assert "SUCCESSFUL" not in said
    shown = jobs_project.python("manage.py", "run_job", "newsletter", "topic=Django", 'readers=["ada"]')
    assert "News about Django" in shown


def test_the_steps_give_a_project_with_the_api_and_all_series_from_0_on(jobs_project):
    code = """
from django.contrib.auth.models import User
from django.test import Client
client = Client(headers={"host": "localhost"})
client.force_login(User.objects.create_superuser("ada"))
print(list(kind["name"] for kind in client.get("/api/automation/job-types").json()))
print("cdn" in client.get("/api/automation/docs").text)
print(client.get("/api/metrics").text)
"""
    types, needs_cdn, *lines = jobs_project.script(code).splitlines()
    assert (types, needs_cdn) == ("['newsletter']", "False")
    for step in ("write", "send"):
        assert any(f'automation_job_steps_total{{status="failed",step="{step}"}}' in line for line in lines)


@pytest.mark.django_db(transaction=True)
def test_the_example_runs_as_the_page_says(monkeypatch):
    monkeypatch.setattr(registry, "_registry", dict(registry._registry))
    names = {}
    for example in EXAMPLES:
        exec(example, names)

    assert names["job"].status == Job.Status.CANCELLED
    done = engine.run(names["again"])
    assert (done.status, done.retry_of) == ("success", names["job"])
    assert done.result == [{"to": "ada", "text": "News about Django"}]


@pytest.mark.django_db(transaction=True)
def test_the_example_of_calling_services_does_so(monkeypatch, settings, sandbox):
    monkeypatch.setattr(registry, "_registry", dict(registry._registry))
    settings.AUTOMATION = {"NOTION_TOKEN": "key", "ANTHROPIC_API_KEY": "key"}
    settings.AUTOMATION |= {"NOTION_URL": f"{sandbox.url}/notion", "ANTHROPIC_URL": f"{sandbox.url}/anthropic"}
    names = {}
    for example in EXAMPLES:
        exec(example, names)

    job = engine.run(jobs.create_job("summary", {"topic": "Django", "readers": []}))
    assert (job.status, job.ai_requests.count()) == ("success", 1)
    assert job.result
    assert http.TRIES == 3  # "up to 3 times"
    assert http.MAX_WAIT == 30  # "half a minute"


def test_every_call_of_a_client_is_on_the_page():
    for names, calls in rows("docs/automation.md", "client", "calls"):
        for name in code_in(names):
            public = [call for call in dir(getattr(clients, name)) if not call.startswith("_")]
            called = [call for call in public if callable(getattr(getattr(clients, name), call))]
            assert sorted(called) == sorted(call for call in code_in(calls) if "(" not in call)


def test_every_call_and_error_on_the_page_is_there():
    calls = [code_in(call)[0] for call, _ in rows("docs/automation.md", "call", "what it does")]
    public = [name for name, value in vars(jobs).items() if callable(value) and value.__module__ == jobs.__name__]
    assert sorted(calls) == sorted(name for name in public if not name.startswith("_"))
    assert engine.MAX_WAIT == 120  # "two minutes"
    assert engine.CHECK_SECONDS == 1  # "once a second"


def test_every_setting_is_there_with_its_default():
    stated = {
        code_in(key)[0]: ast.literal_eval(code_in(default)[0])
        for key, default, _ in rows("docs/automation.md", "key", "default", "meaning")
    }
    assert stated == conf.DEFAULTS


def test_every_operation_and_parameter_of_the_api_is_on_the_page():
    paths = api.get_openapi_schema(path_prefix="")["paths"]
    operations = {f"{method.upper()} {path.lstrip('/')}" for path, methods in paths.items() for method in methods}
    assert {code_in(request)[0] for request, _ in rows("docs/automation.md", "request", "answer")} == operations
    stated = [name for names, _ in rows("docs/automation.md", "parameter", "meaning") for name in code_in(names)]
    assert stated == [parameter["name"] for parameter in paths["/jobs"]["get"]["parameters"]]


def test_the_bounds_on_the_page_are_those_of_the_code():
    text = PAGE.read_text()
    assert f"no further than {BoundedPaginator.bound:,} rows" in text
    limit = Page.model_json_schema()["properties"]["limit"]
    assert f"{limit['default']} unless told and {limit['maximum']} at most" in text
