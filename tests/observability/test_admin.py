"""The page "Observability › Metrics" shows what the endpoints say, to people, on any screen."""

import re

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client

from automation.models import Job
from observability.metrics import MetricsCollector

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


def test_the_page_leads_to_a_prometheus_only_where_there_may_be_one(admin, settings):
    settings.OBSERVABILITY = {**settings.OBSERVABILITY, "PROMETHEUS_URL": "", "PROMETHEUS_PORT": 9}  # nobody answers
    assert "Open Prometheus" not in text(admin.get(PAGE))
    settings.OBSERVABILITY = {**settings.OBSERVABILITY, "PROMETHEUS_URL": "http://127.0.0.1:9"}
    assert "Open Prometheus" in text(admin.get(PAGE))


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
from django.contrib.auth.models import AnonymousUser
from django.test import RequestFactory
from observability.pages import metrics
request = RequestFactory().get("/")
request.user = AnonymousUser()
tiles = metrics.context(request, metrics.take())["gauges"]
print(json.dumps([[tile.value, tile.health, tile.up] for tile in tiles]))
"""
    tiles = own_process(code, DATABASE_URL="postgres://nobody@127.0.0.1:9/nothing", REDIS_URL="redis://127.0.0.1:9/0")
    assert [value for value, _, _ in tiles] == ["–", "–", "–"]
    assert all("failed after" in health and up is False for _, health, up in tiles)


def test_there_is_nothing_to_add_change_or_delete(admin):
    for path in ("add/", "1/change/", "1/delete/", "1/history/"):
        assert admin.get(f"{PAGE}{path}").status_code == 404


def test_four_people_get_what_they_may_see(admin):
    strangers = {"anonymous": Client(), "user": Client(), "staff": Client(), "reader": Client()}
    for name in ("user", "staff", "reader"):
        person = User.objects.create(username=name, is_staff=name != "user")
        if name == "reader":
            person.user_permissions.add(Permission.objects.get(codename="view_metric"))
        strangers[name].force_login(person)
    for path in (PAGE, f"{PAGE}data/"):
        found = {name: client.get(path).status_code for name, client in strangers.items()}
        assert found == {"anonymous": 302, "user": 302, "staff": 403, "reader": 200}
        assert "no-store" in strangers["reader"].get(path).headers["Cache-Control"]
    assert strangers["reader"].post(f"{PAGE}data/").status_code == 405


def test_who_may_not_see_jobs_sees_their_numbers_only(admin):
    job = Job.objects.create(job_type="site_check", status="failed", error="the certificate ran out")
    MetricsCollector.record_automation_job("site_check", "failed", 3.0)
    reader = Client()
    reader.force_login(User.objects.create(username="reader", is_staff=True))
    User.objects.get(username="reader").user_permissions.add(Permission.objects.get(codename="view_metric"))
    assert f'href="/admin/automation/job/{job.pk}/change/"' in admin.get(PAGE).content.decode()
    assert "the certificate ran out" in text(admin.get(PAGE))
    page = reader.get(PAGE).content.decode()
    assert "Job types" in page
    assert "the certificate ran out" not in page
    assert "/admin/automation/job/" not in page


@pytest.mark.parametrize("name", ["</script><img src=x onerror=alert(1)>", "\u202eevil", "line\nbreak"])
def test_the_script_gets_a_hostile_name_as_text(admin, name):
    MetricsCollector.record_http_request("GET", name, 500, 1.0)
    MetricsCollector.record_automation_job(name, "failed", 1.0)
    fragments = admin.get(f"{PAGE}data/", {"q": name, "rows": 99}).json()["fragments"]
    assert "<img" not in "".join(fragments.values())


def test_a_range_that_is_none_is_that_of_an_hour(admin):
    for wrong in ("", "8h", "</script>"):
        assert admin.get(f"{PAGE}data/", {"range": wrong, "rows": wrong}).json()["range"] == "1h"
