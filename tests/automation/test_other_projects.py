"""A project in which jobs cannot work is told by a system check, with what to do about it."""

import json
import os
import subprocess
import sys

import pytest

from tests.site import ROOT

CODE = """
import json, django
from django.conf import settings
settings.configure(
    INSTALLED_APPS=["django.contrib.contenttypes", "django.contrib.auth", "observability", {apps}],
    MIDDLEWARE={middleware},
    USE_TZ=True, **{options}
)
django.setup()
from automation import registry
from django.core.checks import run_checks
print(json.dumps([{{message.id: message.hint for message in run_checks(tags=["automation"])}}, registry.names()]))
"""
MIDDLEWARE = ["observability.request_ids.RequestIDMiddleware"]
SQLITE = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}}
QUEUE = {"default": {"BACKEND": "django_tasks_db.DatabaseBackend"}}


def start(apps=("automation", "django_tasks_db"), middleware=MIDDLEWARE, **options):
    """Set a small project up that has these apps and settings, run the checks, and list its job types."""
    code = CODE.format(
        apps=", ".join(map(repr, apps)), middleware=middleware, options={"TASKS": QUEUE, "DATABASES": SQLITE, **options}
    )
    env = {name: value for name, value in os.environ.items() if not name.startswith(("DJANGO_", "PROMETHEUS_"))}
    return subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=env, capture_output=True, text=True, timeout=60)


def seen(**project):
    done = start(**project)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def messages(**project):
    return seen(**project)[0]


def test_a_project_with_a_queue_in_its_database_has_nothing_to_say_and_no_job_types():
    assert seen() == [{}, []]


@pytest.mark.parametrize(
    "tasks",
    [
        {"default": {"BACKEND": "django_tasks.backends.dummy.DummyBackend"}},
        {"default": {"BACKEND": "django_tasks.backends.immediate.ImmediateBackend"}},
        {"other": QUEUE["default"]},
    ],
    ids=["a dummy", "at once", "no default"],
)
def test_another_queue_than_the_database_is_an_error(tasks):
    hint = messages(TASKS=tasks)["automation.E004"]
    assert hint == 'Set TASKS = {"default": {"BACKEND": "django_tasks_db.DatabaseBackend"}}.'


def test_without_the_app_of_the_queue_there_is_none():
    assert messages(apps=["automation"])["automation.E005"] == "Put 'django_tasks_db' after 'automation', and migrate."


def test_jobs_are_in_postgresql_or_sqlite():
    dummy = {"default": {"ENGINE": "django.db.backends.dummy"}}
    assert messages(DATABASES=dummy)["automation.E006"] == "Give DATABASES['default'] one of their engines."


def test_the_worker_of_the_queue_alone_looks_after_nobody():
    hint = messages(apps=["django_tasks_db", "automation"])["automation.W001"]
    assert hint == "Put 'automation' before 'django_tasks_db', so that db_worker is the one of 'automation'."


def test_without_the_middleware_for_request_ids_no_job_leads_to_its_request():
    hint = "Put 'observability.request_ids.RequestIDMiddleware' after MetricsMiddleware."
    assert messages(middleware=[]) == {"automation.W002": hint}


@pytest.mark.parametrize(
    ("automation", "told"), [(["x"], "automation.E001"), ({"PIPELINES": "newsletters.pipelines"}, "automation.E003")]
)
def test_settings_of_a_wrong_kind_leave_the_project_able_to_say_so(automation, told):
    assert list(messages(AUTOMATION=automation)) == [told]


def test_a_module_of_job_types_that_is_not_there_is_named():
    assert "No module named 'newsletters'" in start(AUTOMATION={"PIPELINES": ["newsletters.pipelines"]}).stderr


@pytest.mark.parametrize("name", ["site_check", "notion_vercel"])
def test_a_project_has_the_job_types_that_it_names(name):
    assert seen(AUTOMATION={"PIPELINES": [f"automation.pipelines.{name}"]}) == [{}, [name]]
