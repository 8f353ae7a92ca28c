"""A site as ``wagtail start`` makes it, after the three steps of the page about installation."""

import os
import signal
import sys

import psutil
import pytest

from tests.docs.conftest import Project
from tests.docs.pages import blocks
from tests.servers import new_folder
from tests.site import ROOT, eventually, served

PAGES_OF_WAGTAIL, SEARCH = "/<var>", "/search/"
LOOK = """
from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.test import Client
call_command("dump_metrics")
client = Client(headers={"host": "localhost"})
client.force_login(get_user_model().objects.create_superuser("ada"))
print("Metrics page:", "/search/" in client.get("/django-admin/observability/metric/").text)
"""


@pytest.fixture
def wagtail_site():
    project = Project(new_folder("wagtail"), settings="mysite/settings/base.py", module="mysite.settings.dev")
    project.python("-m", "wagtail.bin.wagtail", "start", "mysite", ".")
    for block in blocks("python", pages=[ROOT / "docs" / "installation.md"], below="The three steps"):
        project.add(block)
    project.python("manage.py", "migrate")
    return project


def open_the_first_page(client, times):
    for _ in range(times):
        assert "Welcome to your new Wagtail site" in client.get("/").text


def kill_a_worker(server):
    worker = psutil.Process(server.pid).children()[0]
    os.kill(worker.pid, signal.SIGKILL)
    eventually(worker.is_running, False)


def counts(text):
    """The successful GETs of a text in Prometheus's format, by endpoint."""
    lines = [line for line in text.splitlines() if line.startswith("http_requests_total{")]
    ends = '",method="GET",status="200"} '
    return {line.split('"')[1]: float(line.partition(ends)[2]) for line in lines if ends in line}


@pytest.mark.timeout(400)
def test_wagtail_counts_exactly_over_two_workers_of_which_one_is_killed(wagtail_site):
    with served(sys.executable, wagtail_site.folder, wagtail_site.env) as (server, client):
        open_the_first_page(client, 30)
        kill_a_worker(server)
        open_the_first_page(client, 30)
        assert client.get("/search/").status_code == 200
        assert counts(client.get("/api/metrics").text) == {PAGES_OF_WAGTAIL: 60, SEARCH: 1}
        samples = client.get("/api/metrics/json").json()["http_requests_total"]["samples"]
        assert (PAGES_OF_WAGTAIL, 60) in {(sample["labels"]["endpoint"], sample["value"]) for sample in samples}
        assert client.get("/api/metrics/health").json()["status"] == "healthy"
    # What the web server recorded is there for a command, and after it has ended.
    told = wagtail_site.script(LOOK)
    own = {"/api/metrics": 1, "/api/metrics/json": 1, "/api/metrics/health": 1}
    assert counts(told) == {PAGES_OF_WAGTAIL: 60, SEARCH: 1} | own
    assert "Metrics page: True" in told
