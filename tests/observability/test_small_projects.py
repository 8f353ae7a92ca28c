"""The app in projects that have less than a usual one."""

import json
import os
import subprocess
import sys

import pytest

from tests.servers import new_folder
from tests.site import ROOT

CODE = """
import json, django
from django.conf import settings
settings.configure(
    SECRET_KEY="for this test", ALLOWED_HOSTS=["*"], USE_TZ=True, ROOT_URLCONF="observability.urls",
    INSTALLED_APPS=["observability"], MIDDLEWARE=["observability.middleware.MetricsMiddleware"], **{options}
)
django.setup()
from django.core.management import call_command
from django.test import Client
call_command("check")
client = Client()
answers = [client.get(path).status_code for path in ("/metrics", "/metrics/json", "/metrics/health", "/nowhere")]
text = Client().get("/metrics").content.decode()
lines = [line for line in text.splitlines() if line.startswith(("http_requests_total", "observability_s"))]
print(json.dumps([answers, lines]))
"""


def answers(**options):
    code = CODE.replace("{options}", repr(options))
    env = {name: value for name, value in os.environ.items() if not name.startswith(("DJANGO_", "PROMETHEUS_"))}
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=env, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


PUBLIC = {"METRICS_PUBLIC": True}


@pytest.mark.parametrize("shared", [True, False], ids=["with a store folder", "in memory"])
def test_a_project_without_database_sessions_users_and_admin(shared):
    folder = {"PROMETHEUS_MULTIPROC_DIR": str(new_folder("metrics"))} if shared else {}
    statuses, lines = answers(OBSERVABILITY=PUBLIC | folder)
    assert statuses == [200, 200, 200, 404]
    assert lines[:4] == [
        'http_requests_total{endpoint="/metrics",method="GET",status="200"} 1.0',
        'http_requests_total{endpoint="/metrics/json",method="GET",status="200"} 1.0',
        'http_requests_total{endpoint="/metrics/health",method="GET",status="200"} 1.0',
        'http_requests_total{endpoint="unmatched",method="GET",status="404"} 1.0',
    ]
    assert "observability_source_up" not in str(lines)


def test_a_project_that_has_not_migrated_has_all_but_what_needs_the_table():
    database = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": str(new_folder("db") / "db.sqlite3")}}
    statuses, lines = answers(DATABASES=database, OBSERVABILITY=PUBLIC)
    assert statuses == [200, 200, 200, 404]
    assert 'observability_source_up{source="database"} 0.0' in lines


def test_a_database_with_atomic_requests_that_is_down_takes_no_endpoint_along():
    down = {"ENGINE": "django.db.backends.postgresql", "HOST": "127.0.0.1", "PORT": "9", "ATOMIC_REQUESTS": True}
    up = {"ENGINE": "django.db.backends.sqlite3", "NAME": str(new_folder("db") / "db.sqlite3"), "ATOMIC_REQUESTS": True}
    for databases in ({"default": up, "second": down}, {"default": down, "second": up}):
        statuses, _ = answers(DATABASES=databases, OBSERVABILITY=PUBLIC)
        assert statuses == [200, 200, 503, 404]


def test_a_project_that_switched_metrics_off():
    off = {"METRICS_ENABLED": False, "PROMETHEUS_MULTIPROC_DIR": "/dev/null/none"}
    statuses, _ = answers(OBSERVABILITY=off)
    assert statuses == [404, 404, 200, 404]


def test_dumpdata_passes_over_the_model_that_has_no_table(own_process):
    code = """
import io
from django.core.management import call_command
call_command("dumpdata", "observability.Metric", "--all", stdout=(out := io.StringIO()))
print(json.dumps(out.getvalue()))
"""
    assert json.loads(own_process(code)) == []
