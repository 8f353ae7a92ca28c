"""The page about migration names all that django-prometheus has, and only what is here."""

import re
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import pytest

from observability import metrics
from tests.docs.pages import code_in, rows
from tests.operations.test_contract import read

PAGE = "docs/migration.md"
MIDDLEWARE = Path(find_spec("django_prometheus").origin).with_name("middleware.py").read_text()


def sample_names():
    """The metrics that the middlewares of django-prometheus make, as they are scraped."""
    for kind, name in re.findall(r'register_metric\(\s*(\w+),\s*"(\w+)"', MIDDLEWARE):
        yield f"{name.removesuffix('_total')}_total" if kind == "Counter" else name


def test_every_metric_of_its_middlewares_is_there_and_leads_to_one_of_ours():
    table = rows(PAGE, "django-prometheus", "here", "what is different")
    assert {code_in(old)[0] for old, *_ in table[:-1]} == set(sample_names())
    ours = {metrics.name_of(metric) for metric in metrics.declared()}
    assert {name for _, new, _ in table[:-1] for name in code_in(new)} <= ours


@pytest.mark.parametrize(("before", "now"), [row[1:] for row in rows(PAGE, "what", "before", "now")])
def test_each_query_asks_for_what_there_is_before_and_now(before, now):
    asked = set(re.findall(r"django_http_\w+", before))
    assert {re.sub("_(bucket|sum|count)$", "", name) for name in asked} <= set(sample_names())
    wrong, _, asked = read(code_in(now)[0])
    assert wrong == []
    assert asked


BOTH = """
from django.test import Client
client = Client(headers={"host": "localhost"})
for _ in range(3):
    client.get("/admin/login/")
print(client.get("/api/metrics").text)
"""
SETTINGS = """
from mysite.settings import *
INSTALLED_APPS = [*INSTALLED_APPS, "django_prometheus"]
BEFORE, AFTER = (f"django_prometheus.middleware.Prometheus{name}Middleware" for name in ("Before", "After"))
MIDDLEWARE = [MIDDLEWARE[0], BEFORE, *MIDDLEWARE[1:], AFTER]
OBSERVABILITY = {"PROMETHEUS_MULTIPROC_DIR": BASE_DIR / "both"}
"""


def test_both_count_the_same_at_one_address_while_one_takes_over_from_the_other(readme_project):
    (readme_project.folder / "mysite" / "both.py").write_text(SETTINGS)
    text = replace(readme_project, module="mysite.both").script(BOTH)
    assert 'http_requests_total{endpoint="/admin/login/",method="GET",status="200"} 3.0' in text
    name = "django_http_responses_total_by_status_view_method_total"
    assert f'{name}{{method="GET",status="200",view="admin:login"}} 3.0' in text
