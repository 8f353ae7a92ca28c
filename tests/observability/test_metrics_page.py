"""The page of the metrics in a real browser: live, on any screen, with the keyboard, over a restart of the server."""

import re
import sys
from contextlib import contextmanager

import pytest

from tests.browser import browser, sign_in, violations
from tests.processes import running, stop
from tests.servers import requires
from tests.site import ROOT, run_site

PAGE = "/admin/observability/metric/"
pytestmark = [requires("chromium"), pytest.mark.timeout(180)]
RANGES = ["15 min", "1 h", "6 h", "24 h", "7 d"]


@pytest.fixture(scope="module")
def served():
    """A running site with a few numbers, and the cookie of who may see everything."""
    with run_site() as site:
        for _ in range(3):
            site.get("/nowhere")
        done = site.manage("shell", "--no-imports", "-c", RECORD)
        assert done.returncode == 0, done.stderr
        yield site, sign_in(site)


RECORD = """
from automation.models import Budget, Job
from observability.metrics import MetricsCollector as collector
for status in ("success", "success", "failed"):
    collector.record_automation_job("site_check", status, 2.5, cost=0.25)
collector.record_automation_step("fetch_path", "failed", 0.5)
collector.record_ai_request("a-model", "success", tokens=1200, cost=0.25)
collector.record_http_request("GET", "/<img src=x onerror=alert(1)>/", 500, 3.0)
Job.objects.create(job_type="site_check", status="failed", error="<img src=x onerror=alert(1)>")
Budget.objects.create(name="All", period="day", limit=1)
"""


@contextmanager
def opened(served, path=PAGE, **options):
    site, cookie = served
    name, _, value = cookie.partition("=")
    with browser(strict="**/observability/metric/*", **options) as page:
        page.context.add_cookies([{"name": name, "value": value, "url": site.url}])
        page.goto(f"{site.url}{path}")
        yield page


def live(page):
    page.locator("[data-state=live]").wait_for()
    return page


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1300, 390])
def test_the_page_is_sound_on_any_screen(served, scheme, width):
    with opened(served, color_scheme=scheme, width=width) as page:
        live(page)
        page.locator(".plot canvas").first.wait_for()
        page.get_by_text("of $1.00, 25.0 %").locator("xpath=../..").locator("svg.meter").wait_for()
        assert page.evaluate("document.documentElement.scrollWidth") == width
        page.get_by_text("Table", exact=True).first.click()
        page.locator(".plot").first.focus()
        page.keyboard.press("ArrowLeft")
        assert violations(page) == []
        assert page.evaluate("document.documentElement.scrollWidth") == width
        assert page.errors == []


def test_numbers_equal_those_of_the_json_endpoint(served):
    site, _ = served
    with opened(served, f"{PAGE}?rows=9999&q=automation_") as page:
        live(page)
        rows = [row.locator("td").all_inner_texts() for row in page.locator("table.series tbody tr").all()]
    shown = {(name, labels): float(value.replace(",", "")) for name, _, labels, value in rows}
    families = site.metrics("/api/metrics/json").json().values()
    told = {
        (sample["name"], ", ".join(f'{key}="{value}"' for key, value in sorted(sample["labels"].items()))): sample
        for family in families
        for sample in family["samples"]
        if "automation_" in sample["name"] and not sample["name"].endswith("_bucket")
    }
    assert shown == pytest.approx({key: sample["value"] for key, sample in told.items()})
    assert shown["automation_jobs_total", 'status="success"'] == 2


def test_a_request_made_meanwhile_appears_without_reload(served):
    site, _ = served
    with opened(served, f"{PAGE}?q=unmatched&rows=99") as page:
        live(page)
        row = page.locator("table.series tr", has_text='method="GET", status="404"')
        before = int(row.locator("td.number").inner_text())
        site.get("/nowhere")
        row.locator("td.number", has_text=re.compile(f"^{before + 1}$")).wait_for(timeout=15_000)


def test_ranges_are_links_that_switch(served):
    with opened(served) as page:
        for name in RANGES:
            page.locator(".ranges").get_by_role("link", name=name, exact=True).click()
            page.wait_for_load_state()
            live(page)
            assert page.locator(".ranges [aria-current]").inner_text() == name
        assert page.get_by_role("heading", name="Last 7 days", exact=True).is_visible()
        assert page.errors == []


def test_the_search_finds_while_one_types(served):
    with opened(served, f"{PAGE}?range=6h") as page:
        live(page)
        page.get_by_label("Filter by name or label").press_sequentially("a-model")
        page.locator("table.series td", has_text="active_jobs").wait_for(state="detached")
        assert page.locator("table.series td", has_text="ai_tokens_total").is_visible()
        assert page.evaluate("location.search") == "?range=6h&q=a-model"
        page.reload()
        assert page.locator("table.series td", has_text="ai_tokens_total").is_visible()


def test_more_series_come_at_a_click(served):
    with opened(served) as page:
        live(page)
        assert page.locator("table.series tbody tr").count() == 10
        page.get_by_role("link", name="Show 50 more").click()
        page.locator("table.series tbody tr").nth(59).wait_for()


def test_tables_are_sorted_at_a_click_and_stay_so(served):
    with opened(served) as page:
        live(page)
        page.locator("#table-steps").get_by_role("button", name="p95").click()
        assert page.locator("#table-steps th[aria-sort=descending]").inner_text() == "p95"
        page.locator("[data-state=live]").wait_for()
        page.wait_for_timeout(6000)  # new numbers came
        assert page.locator("#table-steps th[aria-sort=descending]").count() == 1


def test_a_hidden_tab_and_the_button_pause(served):
    with opened(served) as page:
        asked = []
        page.on("request", lambda request: asked.append(request.url) if "/data/" in request.url else None)
        live(page)
        under_way = []

        def hold(route):
            under_way.append(route)

        page.route("**/data/*", hold)
        with page.expect_request("**/data/*"):
            pass
        page.get_by_role("button", name="Pause").click()
        page.locator("[data-state=paused]").wait_for()
        under_way[0].abort()
        page.unroute_all()
        before = len(asked)
        page.wait_for_timeout(6000)
        assert len(asked) == before
        assert page.locator(".state").get_attribute("data-state") == "paused"
        assert page.locator(".age").inner_text().endswith(" s old")
        page.get_by_role("button", name="Resume").click()
        live(page)
        page.evaluate("Object.defineProperty(document, 'hidden', {value: true, configurable: true})")
        page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
        before = len(asked)
        page.wait_for_timeout(6000)
        assert len(asked) == before
        page.evaluate("delete document.hidden")
        page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
        live(page)
        assert len(asked) > before


def test_a_restart_of_the_server_is_survived():
    # Without Redis: a fresh one would be that of the other site, emptied.
    with run_site(redis=False) as site, opened((site, sign_in(site))) as page:
        live(page)
        stop(site.server)
        page.locator("[data-state=stale]").wait_for(timeout=20_000)
        assert "No answer from the server" in page.locator(".state").inner_text()
        assert "has not answered since" in page.locator(".trouble").inner_text()
        assert page.locator(".tile .value").first.inner_text() != ""
        assert violations(page) == []
        bind = ["--bind", site.url.removeprefix("http://")]
        command = [sys.executable, "-m", "gunicorn", "-c", "project/gunicorn.conf.py", *bind, "project.wsgi"]
        with running(command, site.folder / "again.log", cwd=ROOT, env=site.env):
            page.locator("[data-state=live]").wait_for(timeout=60_000)
            assert page.locator(".trouble").is_hidden()


def test_who_signed_out_meanwhile_is_told_so(served):
    with opened(served) as page:
        live(page)
        cookies = page.context.cookies()
        page.context.clear_cookies()
        page.locator("[data-state=stale]", has_text="Signed out").wait_for(timeout=15_000)
        page.context.add_cookies(cookies)
        page.get_by_role("button", name="Try now").click()
        live(page)


def test_the_keyboard_reads_a_chart(served):
    with opened(served) as page:
        live(page)
        page.locator(".plot canvas").first.wait_for()
        slider = page.get_by_role("slider", name="Requests per second")
        slider.focus()
        page.keyboard.press("End")
        last = slider.get_attribute("aria-valuenow")
        page.keyboard.press("ArrowLeft")
        assert int(slider.get_attribute("aria-valuenow")) == int(last) - 1
        page.keyboard.press("PageDown")
        assert int(slider.get_attribute("aria-valuenow")) < int(last) - 5
        page.keyboard.press("Home")
        assert slider.get_attribute("aria-valuenow") == "0"
        assert re.fullmatch(r"\d\d:\d\d: Requests (–|[\d.]+/s)", slider.get_attribute("aria-valuetext"))
        page.keyboard.press("Escape")
        assert page.locator(".tip:visible").count() == 0


def test_the_keyboard_alone_reaches_everything(served):
    with opened(served) as page:
        live(page)
        page.get_by_role("button", name="Pause").click()
        page.locator(".ranges a").first.focus()
        for _ in range(120):
            page.evaluate("document.activeElement.dataset.reached = 1")
            page.keyboard.press("Tab")
        assert page.evaluate(NOT_REACHED) == []


NOT_REACHED = """
[...document.querySelectorAll(".observability .page :is(a, button, input, summary, [tabindex])")]
.filter((one) => one.checkVisibility() && one.type !== "hidden" && !one.dataset.reached)
.map((one) => one.outerHTML)
"""


@pytest.fixture(scope="module")
def backstage():
    """A site that reads from right to left, with an admin of its own and without automation."""
    with run_site({"DJANGO_SETTINGS_MODULE": "tests.observability.backstage_settings"}, redis=False) as site:
        site.get("/nowhere")
        yield site, sign_in(site)


@pytest.mark.parametrize("width", [1300, 390])
def test_an_admin_site_of_the_hosts_from_right_to_left_without_automation(backstage, width):
    with opened(backstage, "/backstage/observability/metric/", width=width) as page:
        live(page)
        page.locator(".plot canvas").first.wait_for()
        assert page.evaluate("document.documentElement.dir") == "rtl"
        assert page.evaluate("document.documentElement.scrollWidth") == width
        titles = page.locator("[data-chart] h3").all_inner_texts()
        assert [title.split(" ")[0] for title in titles] == ["Requests", "Server", "Response", "Users,"]
        assert page.get_by_role("heading", name="Jobs and steps").count() == 0
        addresses = page.locator(".observability a, .breadcrumbs a").evaluate_all("all => all.map(one => one.pathname)")
        assert {address for address in addresses if address.startswith("/")} >= {
            "/backstage/",
            "/backstage/observability/",
        }
        assert not any(address.startswith("/admin") for address in addresses)
        assert violations(page) == []
        assert page.errors == []


def test_a_line_is_hidden_and_shown_again(served):
    with opened(served) as page:
        live(page)
        page.locator(".plot canvas").first.wait_for()
        button = page.locator("[data-chart=durations]").get_by_role("button", name="p99")
        button.click()
        assert button.get_attribute("aria-pressed") == "false"
        button.click()
        assert button.get_attribute("aria-pressed") == "true"
        assert page.errors == []


def test_a_line_that_is_not_there_any_more_leaves_the_page_alive(served):
    with opened(served) as page:
        live(page)
        page.locator("[data-chart=spend] canvas").wait_for()
        page.route("**/data/*", without_the_last_line_of_money)  # as after the end of the budget
        page.locator("[data-chart=spend] .legend", has_text="Budget").wait_for(state="detached")
        assert page.locator("[data-chart=spend] .legend").inner_text().split() == ["Spent", "$0.25"]
        assert page.locator("[data-chart=spend] thead th").all_text_contents() == ["Time", "Spent"]
        assert page.locator(".state").get_attribute("data-state") == "live"
        page.unroute_all()
        page.locator("[data-chart=spend] .legend", has_text="Budget of the day $1.00").wait_for()
        assert page.errors == []


def without_the_last_line_of_money(route):
    answer = route.fetch()
    data = answer.json()
    money = next(chart for chart in data["charts"] if chart["id"] == "spend")
    for parts in (money["lines"], money["shown"], *money["rows"]):
        parts.pop()
    route.fulfill(response=answer, json=data)


def test_without_a_script_the_numbers_are_there(served):
    with opened(served, java_script_enabled=False) as page:
        assert page.locator(".state").inner_text().startswith("Read at ")
        assert "fetch_path" in page.locator("#table-steps").inner_text()
        assert page.get_by_role("button", name="Pause").is_hidden()
