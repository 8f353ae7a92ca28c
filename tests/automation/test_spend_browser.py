"""The page of what AI has cost in a real browser, under a policy that allows nothing inline."""

from contextlib import contextmanager

import pytest

from tests.browser import browser, sign_in, violations
from tests.servers import requires
from tests.site import run_site

PAGE = "/admin/automation/spend/"
pytestmark = [requires("chromium"), pytest.mark.timeout(180)]

RECORD = """
from datetime import timedelta
from decimal import Decimal
from django.utils import timezone
from automation.models import AIRequest, Budget, BudgetPeriod, Job
now = timezone.now()
for number in range(30):
    at = now - timedelta(days=number)
    status = ["success", "failed", "cancelled"][number % 3]
    job = Job.objects.create(job_type="a_rather_long_type_of_jobs_" * 3, status=status, created_at=at, started_at=at)
    for model, cost in (("gpt-5", "2.5"), ("<script>alert(1)</script>" * 6, "1.25"), ("local/qwen3", None)):
        source = "settings" if cost else "no_price"
        about = {"step": "a_step", "created_at": at, "price_source": source, "status": "success"}
        AIRequest.objects.create(job=job, model=model, cost=cost and Decimal(cost), **about)
for name, spent in (("good", 1), ("nearly", 8), ("exhausted " * 8, 10)):
    budget = Budget.objects.create(name=name, limit=10)
    begins = timezone.localdate().replace(day=1)
    BudgetPeriod.objects.create(budget=budget, begins=begins, spent=spent, reserved=Decimal("0.5") if spent < 10 else 0)
"""


@pytest.fixture(scope="module")
def served():
    """A running site on which AI has cost something, and the cookie of who may see everything."""
    with run_site() as site:
        done = site.manage("shell", "--no-imports", "-c", RECORD)
        assert done.returncode == 0, done.stderr
        yield site, sign_in(site)


@contextmanager
def opened(served, query="", **options):
    site, cookie = served
    name, _, value = cookie.partition("=")
    with browser(strict=f"**{PAGE}*", **options) as page:
        page.context.add_cookies([{"name": name, "value": value, "url": site.url}])
        page.goto(f"{site.url}{PAGE}{query}")
        yield page


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1300, 390])
def test_the_page_is_sound_on_any_screen(served, scheme, width):
    with opened(served, color_scheme=scheme, width=width) as page:
        page.locator(".plot canvas").wait_for()
        page.get_by_text("Table", exact=True).click()
        assert page.evaluate("document.documentElement.scrollWidth") == width
        assert violations(page) == []
        assert page.errors == []


def test_from_right_to_left_it_is_as_sound(served):
    with opened(served, width=390) as page:
        page.evaluate("document.documentElement.dir = 'rtl'")
        assert page.evaluate("document.documentElement.scrollWidth") == 390
        meter = page.locator("#table-budgets svg.budget").first
        assert meter.evaluate("one => getComputedStyle(one).transform") == "matrix(-1, 0, 0, 1, 0, 0)"


@pytest.mark.parametrize("place", ["spend .module h2", "job .field-ai_cost", "airequest .field-tokens"])
def test_numbers_stand_before_their_units_from_right_to_left(served, place):
    name, _, place = place.partition(" ")
    with opened(served) as page:
        page.goto(f"{served[0].url}/admin/automation/{name}/")
        page.evaluate("document.documentElement.dir = 'rtl'")
        style = page.locator(place).first.evaluate("one => [getComputedStyle(one).unicodeBidi, one.innerText]")
        assert style[0] == "plaintext", style


def test_ranges_are_links_that_switch(served):
    with opened(served) as page:
        for name, spent in {"Today": "$3.75", "7 days": "$26.25", "30 days": "$112.50", "90 days": "$112.50"}.items():
            page.locator(".ranges").get_by_role("link", name=name, exact=True).click()
            page.wait_for_load_state()
            assert page.locator(".ranges [aria-current]").inner_text() == name
            assert page.locator(".tile .value").first.inner_text() == spent
        assert page.errors == []


def test_each_day_is_in_the_table_of_the_chart(served):
    with opened(served) as page:
        page.get_by_text("Table", exact=True).click()
        rows = page.locator("[data-chart=spend-by-day] tbody tr")
        assert rows.count() == 30
        assert rows.first.locator("td").all_inner_texts()[1:] == ["$2.50", "$1.25"]


def test_the_keyboard_reads_the_chart_day_by_day(served):
    with opened(served) as page:
        page.locator(".plot canvas").wait_for()
        slider = page.get_by_role("slider", name="Spend by day")
        slider.focus()
        page.keyboard.press("End")
        last = slider.get_attribute("aria-valuetext")
        page.keyboard.press("ArrowLeft")
        assert slider.get_attribute("aria-valuenow") == "28"
        assert "gpt-5 $2.50" in slider.get_attribute("aria-valuetext") != last


def test_the_csv_is_downloaded(served):
    with opened(served, "?range=7d") as page:
        with page.expect_download() as download:
            page.get_by_role("link", name="Download CSV").click()
        assert download.value.suggested_filename == "ai-spend-7d.csv"


def test_without_a_script_the_numbers_are_there(served):
    with opened(served, java_script_enabled=False) as page:
        assert page.locator("#table-spend-model tfoot").inner_text().split()[-3:] == ["$112.50", "100.0", "%"]
        assert page.locator("#table-budgets tbody tr").count() == 3
        assert page.get_by_role("button", name="Pause").is_hidden()
