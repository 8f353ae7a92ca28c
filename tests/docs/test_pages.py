"""The README's three steps, the code on the other pages, and the links between all of them."""

import ast
import re
from dataclasses import fields
from pathlib import Path

import pytest

from observability.conf import Conf
from tests.docs.conftest import README
from tests.docs.pages import PAGES, anchors, blocks, links
from tests.site import ROOT

DOCS = ROOT / "docs"


def test_the_three_steps_give_a_site_that_counts(readme_project):
    assert "no issues" in readme_project.python("manage.py", "check")
    code = """
from django.test import Client
from observability.testing import metric_value
client = Client(headers={"host": "localhost"})
before = metric_value("http_requests_total", endpoint="/api/metrics", status=200)
for _ in range(3):
    assert client.get("/api/metrics").status_code == 200
print(metric_value("http_requests_total", endpoint="/api/metrics", status=200) - before)
"""
    assert readme_project.script(code) == "3.0\n"


def test_outside_debug_the_metrics_are_closed_and_a_check_says_so(readme_project):
    code = """
from django.conf import settings
from django.core.checks import run_checks
from django.test import Client
settings.DEBUG = False
settings.ALLOWED_HOSTS = ["localhost"]
print(Client(headers={"host": "localhost"}).get("/api/metrics").status_code)
print([message.id for message in run_checks(tags=["observability"])])
"""
    assert readme_project.script(code) == "401\n['observability.W005']\n"


def test_a_token_from_the_environment_opens_the_metrics(readme_project):
    code = """
from django.conf import settings
from django.test import Client
settings.DEBUG = False
settings.ALLOWED_HOSTS = ["localhost"]
client = Client(headers={"host": "localhost", "authorization": "Bearer 0123456789abcdef"})
print(client.get("/api/metrics").status_code)
"""
    assert readme_project.script(code, METRICS_TOKEN="0123456789abcdef") == "200\n"


def test_the_folder_of_the_three_steps_is_where_they_say(readme_project):
    assert list((readme_project.folder / "metrics").glob("*.db"))


def test_the_installation_page_has_the_steps_of_the_readme():
    first, second = (
        [ast.dump(ast.parse(block.code)) for block in blocks("python", pages=[page])]
        for page in (README, DOCS / "installation.md")
    )
    assert first == second


def test_the_example_of_settings_names_settings():
    [block] = blocks("python", pages=[DOCS / "settings.md"])
    names = {"BASE_DIR": Path()}
    exec(block.code, names)
    assert names["OBSERVABILITY"].keys() <= {field.name for field in fields(Conf)}


def test_no_python_on_any_page_goes_unchecked():
    checked = {"README.md", "installation.md", "settings.md", "automation.md", "usage.md", "logging.md", "sentry.md"}
    checked |= {"incident.md", "spend.md"}
    assert {block.page.name for block in blocks("python")} == checked


def test_each_code_block_says_its_language():
    everything = [line for page in PAGES for line in page.read_text().splitlines() if line.startswith("```")]
    languages = {line.removeprefix("```") for line in everything[::2]}
    assert languages == {"python", "bash", "yaml", "promql", "ini", "html", "text", "dockerfile", "{toctree}"}


@pytest.mark.parametrize("document", PAGES, ids=lambda document: document.name)
def test_each_link_leads_somewhere(document):
    for link in links(document):
        file, _, anchor = link.partition("#")
        target = (document.parent / file).resolve() if file else document
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


def test_each_test_that_a_page_names_is_there():
    files = {path.name: path.read_text() for path in (ROOT / "tests").rglob("test_*.py")}
    functions = set(re.findall(r"def (test_\w+)", "\n".join(files.values())))
    named = [name for page in PAGES for name in re.findall(r"`(?:tests/\w+/)?(test_\w+(?:\.py|…))`", page.read_text())]
    assert len(named) > 30
    assert {name for name in named if name.endswith(".py")} <= files.keys()
    starts = {name.rstrip("…") for name in named if name.endswith("…")}
    assert [start for start in starts if not any(function.startswith(start) for function in functions)] == []
