"""The page "Observability › Metrics" shows what the endpoints say, to people, on any screen."""

import re

import pytest
from django.contrib.auth.models import User
from django.test import Client

from observability.metrics import MetricsCollector
from tests.browser import browser, violations
from tests.servers import requires

PAGE = "/admin/observability/metric/"


@pytest.fixture
def admin(db):
    client = Client()
    client.force_login(User.objects.create_superuser("root"))
    return client


def text(response):
    return " ".join(re.sub(r"<[^>]+>", " ", response.content.decode()).split())


def test_the_page_shows_the_gauges_and_every_series(admin):
    MetricsCollector.record_ai_request("shown-model", "success", tokens=1_284_310, cost=0.5)
    page = text(admin.get(PAGE, {"rows": 9999}))
    assert re.search(r"Active jobs 0 none queued ● database answered in \d+ ms", page)
    assert "ai_tokens_total counter model=&quot;shown-model&quot; 1,284,310" in page


def test_the_filter_finds_by_name_and_by_label(admin):
    MetricsCollector.record_ai_request("needle", "success", tokens=1, cost=0.5)
    page = text(admin.get(PAGE, {"q": "Needle"}))
    assert "ai_tokens_total" in page
    assert "automation_jobs_total" not in page
    assert "No series matches “haystack”." in text(admin.get(PAGE, {"q": "haystack"}))


def test_many_series_are_shown_some_at_a_time(admin):
    for number in range(120):
        MetricsCollector.record_automation_step(f"many-{number}", "success")
    first = admin.get(PAGE, {"q": "many-", "range": "6h"})
    assert re.search(r"10 of \d+ series .* Show 50 more of 120", text(first))
    assert 'href="?range=6h&amp;q=many-&amp;rows=60"' in first.content.decode()
    assert re.search(r"120 of \d+ series", text(admin.get(PAGE, {"q": "many-", "rows": 250})))


def test_a_label_that_holds_markup_is_text(admin):
    MetricsCollector.record_automation_step("</script><img src=x onerror=alert(1)>", "success")
    page = admin.get(PAGE, {"rows": 9999}).content.decode()
    assert "onerror=alert(1)&gt;" in page
    assert "<img src=x" not in page


def test_a_gauge_without_a_value_is_a_dash_and_says_why(own_process):
    code = """
from django.test import RequestFactory
from observability.pages import metrics
tiles = metrics.context(RequestFactory().get("/"), metrics.take())["gauges"]
print(json.dumps([[tile.value, tile.health, tile.up] for tile in tiles]))
"""
    tiles = own_process(code, DATABASE_URL="postgres://nobody@127.0.0.1:9/nothing", REDIS_URL="redis://127.0.0.1:9/0")
    assert [value for value, _, _ in tiles] == ["–", "–", "–"]
    assert all("failed after" in health and up is False for _, health, up in tiles)


def test_there_is_nothing_to_add_change_or_delete(admin):
    for path in ("add/", "1/change/", "1/delete/", "1/history/"):
        assert admin.get(f"{PAGE}{path}").status_code == 404


@requires("chromium")
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1300, 390])
def test_a_person_signs_in_and_reads_the_page_on_any_screen(site, scheme, width):
    with site() as running, browser(color_scheme=scheme, width=width) as page:
        running.get("/nowhere")
        made = running.manage("shell", "--no-imports", "-c", MAKE_ADMIN)
        assert made.returncode == 0, made.stderr
        page.goto(f"{running.url}{PAGE}")
        page.fill("#id_username", "ada")
        page.fill("#id_password", "a password of some length")
        page.click("[type=submit]")
        page.get_by_label("Filter by name or label").fill("unmatched")
        row = page.locator("tr", has_text='endpoint="unmatched", method="GET", status="404"')
        assert row.locator("td.number").inner_text() == "1"
        assert page.evaluate("document.documentElement.scrollWidth") == width
        assert violations(page) == []
        page.get_by_label("Filter by name or label").fill("active_users")
        page.wait_for_selector("text=1 of")
        assert page.errors == []


MAKE_ADMIN = """
from django.contrib.auth.models import User
User.objects.create_superuser("ada", password="a password of some length")
"""
