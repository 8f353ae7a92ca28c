"""The page of what AI has cost says what the rows say."""

import csv
import json
import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from html import unescape
from io import StringIO

import pytest
import time_machine
from django.core.management import call_command

from automation import daybook
from automation.models import AIRequest, Budget, BudgetPeriod, Job
from observability.metrics import MetricsCollector
from tests.automation.conftest import permit

pytestmark = pytest.mark.django_db

PAGE = "/admin/automation/spend/"
NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
SINCE = {"today": "2026-11-21", "7d": "2026-11-15", "30d": "2026-10-23", "month": "2026-11-01", "90d": "2026-08-24"}
SORTED = ["model", "job_type", "step", "user", "outcome"]
SCRIPT = "</script><script>alert(1)</script>"


@pytest.fixture(autouse=True)
def today(settings):
    settings.TIME_ZONE = "UTC"
    with time_machine.travel(NOW, tick=False):
        yield


def ask(job, days, cost, model="gpt-5", **about):
    at = NOW - timedelta(days=days, hours=1)
    source = "genai-prices" if cost else "no_price"
    about = {"status": "success", "input_tokens": 100_000, "output_tokens": 10, "price_source": source} | about
    return AIRequest.objects.create(job=job, model=model, created_at=at, cost=cost and Decimal(cost), **about)


@pytest.fixture
def spent(user):
    """Jobs of today, this week, this month and long ago, of which some failed."""
    old = NOW - timedelta(days=200)
    website = Job.objects.create(job_type="notion_vercel", status="success", started_by=user, created_at=old)
    check = Job.objects.create(job_type="site_check", status="failed", created_at=old)
    stopped = Job.objects.create(job_type=SCRIPT, status="cancelled", created_at=old)
    ask(website, 190, "100")
    ask(website, 100, "10")
    ask(website, 40, "7", step="plan")
    ask(website, 9, "5", step="plan")
    ask(website, 3, "3.5", "claude-sonnet-5", step="write", cached_input_tokens=40_000)
    ask(check, 3, "1.25", SCRIPT)
    ask(check, 2, None, "local/qwen3")
    ask(check, 2, None, SCRIPT, price_source="no_usage")
    ask(stopped, 0, "0.75", step=SCRIPT)
    ask(None, 0, "2")
    AIRequest.objects.create(model="gpt-5", created_at=NOW)  # under way
    for _ in range(2):
        daybook.close()  # the last ten days; the others count by their requests


@pytest.fixture
def shown(admin_client, spent):
    """What the page says, as HTML, with some range."""
    return lambda name="30d": admin_client.get(PAGE, {"range": name}).content.decode()


def table(html, name):
    """The rows of a table, as lists of texts; the last is the total."""
    body = re.search(rf'<table id="table-{name}".*?</table>', html, re.S)[0]
    return [cells(row) for row in re.findall(r"<tr>(.*?)</tr>", body, re.S)[1:]]


def cells(row):
    return [text(cell) for cell in re.findall(r"<td[^>]*>(.*?)</td>", row, re.S)]


def text(html):
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", html)).split())


def tiles(html):
    found = re.findall(r'<li class="tile">\s*<h3>(.*?)</h3>(.*?)</li>', html, re.S)
    return {title: text(rest) for title, rest in found}


def told(by, since):
    """What the command tells, as the page writes it."""
    out = StringIO()
    call_command("ai_spend", by=by, since=datetime.fromisoformat(since).replace(tzinfo=UTC), format="json", stdout=out)
    rows = json.loads(out.getvalue())["rows"]
    names = {"model": {}, "job_type": {"–": "no job"}, "step": {"–": "no step"}, "user": {"–": "nobody"}}
    names["outcome"] = {"–": "no job", "success": "✓ Success", "failed": "✕ Failed", "cancelled": "⊘ Cancelled"}
    return {names[by].get(row["key"], row["key"]): usd(row["cost"] and Decimal(row["cost"])) for row in rows}


def usd(amount):
    return "–" if amount is None else f"${amount:,.2f}"


@pytest.mark.parametrize("name", SINCE)
def test_each_range_says_what_the_command_says(shown, name):
    html = shown(name)
    for by in SORTED:
        rows = table(html, f"spend-{by}")
        assert {row[0].replace(" ", ""): row[-2] for row in rows[:-1]} == {
            key.replace(" ", ""): cost for key, cost in told(by, SINCE[name]).items()
        }
    assert f'href="?range={name}" aria-current="true"' in html


@pytest.mark.parametrize("name", SINCE)
def test_all_totals_are_equal(shown, name):
    html = shown(name)
    since = datetime.fromisoformat(SINCE[name]).replace(tzinfo=UTC)
    whole = sum(row.cost for row in AIRequest.objects.filter(created_at__gte=since) if row.cost)
    assert {by: table(html, f"spend-{by}")[-1][-2] for by in SORTED} == dict.fromkeys(SORTED, usd(whole))
    assert tiles(html)["Spent"].startswith(usd(whole))
    chart = json.loads(re.search(r'<script id="page-data"[^>]*>(.*?)</script>', html, re.S)[1])["charts"][0]
    assert sum(sum(line["values"]) for line in chart["lines"]) == pytest.approx(float(whole))


def test_the_tiles(shown):
    assert tiles(shown()) == {
        "Spent": "$12.50 +78.6 % on the 30 days before",
        "Today": "$2.75 no budget for each day",
        "Wasted": "$2.00 16.0 %, on 2 failed or cancelled jobs",
        "Requests without a price": "▲ 2 in no sum · 2 models",
    }


def test_a_stretch_without_requests_is_nothing_to_compare_with(shown):
    assert tiles(shown("90d"))["Spent"] == "$19.50 +95.0 % on the 90 days before"
    AIRequest.objects.filter(cost=100).delete()
    assert tiles(shown("90d"))["Spent"] == "$19.50 nothing to compare with in the 90 days before"


def test_requests_without_a_price_say_what_they_lack(shown):
    rows = table(shown(), "spend-unpriced")
    assert rows == [
        ["local/ qwen3", "no price", "1", "100,000", "10", "19 Nov", "19 Nov"],
        [SCRIPT.replace("/", "/ "), "tokens unknown", "1", "100,000", "10", "19 Nov", "19 Nov"],
    ]


def test_the_costliest_jobs_lead_to_their_pages(shown):
    html = shown()
    jobs = {job.job_type: job for job in Job.objects.all()}
    rows = [[row[0].replace(" ", ""), row[1], *row[4:]] for row in table(html, "spend-jobs")]
    assert rows == [
        [f"notion_vercel{str(jobs['notion_vercel'].pk)[:8]}", "✓ Success", "2", "0.2 M", "$8.5000"],
        [f"site_check{str(jobs['site_check'].pk)[:8]}", "✕ Failed", "3", "0.3 M", "$1.2500"],
        [f"{SCRIPT}{str(jobs[SCRIPT].pk)[:8]}".replace(" ", ""), "⊘ Cancelled", "1", "0.1 M", "$0.7500"],
    ]
    assert f'href="/admin/automation/job/{jobs["site_check"].pk}/change/"' in html


def test_many_models_are_ten_and_the_others(shown):
    for number in range(15):
        ask(None, 1, "0.5", f"small-{number:02}")
    rows = table(shown("7d"), "spend-model")
    assert (len(rows), rows[-2][0], rows[-2][-2], rows[-1][-2]) == (12, "other (9)", "$4.00", "$15.00")


def test_budgets_stand_where_their_requests_left_them(shown):
    day = Budget.objects.create(name="all", period="day", limit=25)
    BudgetPeriod.objects.create(budget=day, begins="2026-11-21", spent=5, reserved=Decimal("1.9"))
    month = Budget.objects.create(name="gpt-5", limit=10, model="gpt-5")
    BudgetPeriod.objects.create(budget=month, begins="2026-11-01", spent=9, reserved=1)
    AIRequest.objects.create(model="gpt-5", status="budget_exceeded", cost=0, error="AI budget 'gpt-5': Of 10.00")
    html = shown()
    assert table(html, "budgets") == [
        ["all", "21 Nov", "✓ On track", "$5.00", "$1.90", "$18.10", "$25.00", "", "$10.00", "0"],
        ["gpt-5", "Nov 2026", "▲ Exhausted", "$9.00", "$1.00", "$0.00", "$10.00", "", "$13.17", "1"],
    ]
    assert tiles(html)["Today"] == "$2.75 of $25.00 $1.90 reserved · forecast $10.00"
    assert "This month: 12.50 USD so far" in html


def test_a_budget_that_was_made_later_and_refuses_is_not_on_track(shown):
    budget = Budget.objects.create(name="all", period="day", limit=Decimal("0.125"))
    BudgetPeriod.objects.create(budget=budget, begins="2026-11-21", spent=Decimal("0.002"))
    AIRequest.objects.create(model="gpt-5", status="budget_exceeded", cost=0, error="AI budget 'all': Of 0.12")
    html = shown()
    assert table(html, "budgets") == [
        ["all", "21 Nov", "▲ Has refused", "<$0.01", "$0.00", "$0.12", "$0.125", "", "<$0.01", "1"],
    ]
    assert tiles(html)["Today"] == "$2.75 of $0.125 <$0.01 of it in the budget · $0.00 reserved"


def test_what_a_job_costs_on_average_is_more_where_requests_have_no_price(shown):
    rows = {row[0].replace(" ", ""): row[2] for row in table(shown(), "spend-job_type")}
    assert (rows["site_check"], rows[SCRIPT]) == ("≥ $1.2500", "$0.7500")


def test_where_each_request_has_a_price_nobody_is_told_to_set_one(admin_client):
    ask(None, 0, "1")
    html = admin_client.get(PAGE).content.decode()
    assert "Each request has a cost." in html
    assert "Set a price" not in html


def test_the_csv_has_what_the_page_sums(admin_client, spent):
    answer = admin_client.get(f"{PAGE}csv/", {"range": "7d"})
    assert answer["Content-Disposition"] == 'attachment; filename="ai-spend-7d.csv"'
    rows = list(csv.DictReader(StringIO(answer.content.decode())))
    sums = {by: sum(Decimal(row["spent"] or 0) for row in rows if row["by"] == by) for by in ["day", *SORTED]}
    assert set(sums.values()) == {Decimal("7.5")}
    sonnet = next(row for row in rows if row["key"] == "claude-sonnet-5")
    assert (sonnet["by"], sonnet["number"], sonnet["tokens_cached"]) == ("model", "1", "40000")
    assert [row["unpriced"] for row in rows if row["by"] == "no_price"] == ["1"]


def test_no_cell_of_the_csv_is_a_formula(admin_client):
    ask(None, 0, "1", "=HYPERLINK(1)")
    assert "model,'=HYPERLINK(1)," in admin_client.get(f"{PAGE}csv/").content.decode()


def test_names_are_escaped(shown):
    assert "<script>alert" not in shown()


def test_who_is_not_there_any_more_is_nobody(shown, user):
    user.delete()
    rows = table(shown(), "spend-user")
    assert [row[0] for row in rows] == ["nobody", "All"]


def test_where_nothing_was_asked_the_page_says_so(admin_client):
    html = admin_client.get(PAGE).content.decode()
    assert tiles(html)["Spent"] == "$0.00 nothing to compare with in the 30 days before"
    assert "No samples in this range." in html
    assert "No requests in this time." in html
    assert "Each request has a cost." in html


def test_an_unknown_range_is_thirty_days(shown):
    assert 'href="?range=30d" aria-current="true"' in shown("<script>")


@pytest.mark.parametrize("address", [PAGE, f"{PAGE}csv/"])
def test_only_who_may_see_it_does(client, user, address):
    assert client.get(address).status_code == 302
    client.force_login(user)
    permit(user, "view_spend")
    assert client.get(address).status_code == 302
    user.is_staff = True
    user.save()
    permit(user, "view_airequest", "view_job", "view_metric")
    assert client.get(address).status_code == 403
    permit(user, "view_spend")
    assert client.get(address).status_code == 200
    assert client.post(address).status_code == 405 if "csv" in address else True


def test_who_may_see_nothing_else_has_no_links_to_it(client, user, spent):
    user.is_staff = True
    user.save()
    permit(user, "view_spend")
    client.force_login(user)
    html = client.get(PAGE).content.decode().partition('id="content-main"')[2]
    assert set(re.findall(r'href="([^"]*)"', html)) == {
        *(f"?range={name}" for name in SINCE),
        f"{PAGE}csv/?range=30d",
        "#unpriced",
    }


def test_the_admin_site_of_a_host_may_have_it_alone(admin_client, spent, settings):
    settings.ROOT_URLCONF = "tests.automation.own_admin_urls"
    html = admin_client.get("/backstage/automation/spend/").content.decode()
    assert "$12.50" in html
    assert 'href="/admin/' not in html
    assert "/backstage/automation/spend/csv/?range=30d" in html


def test_the_page_of_the_metrics_leads_to_it(admin_client):
    assert f'href="{PAGE}"' in admin_client.get("/admin/observability/metric/").content.decode().partition("<h1>")[2]


def test_the_page_of_the_metrics_shows_the_budget_of_the_day(admin_client, client, user):
    MetricsCollector.record_ai_request(model="gpt-5", status="success", tokens=10, cost=0.01)

    def tile(who):
        html = who.get("/admin/observability/metric/").content.decode()
        return text(re.search(r"<h3>AI spend today</h3>(.*?)</li>", html, re.S)[1])

    for limit, about in ((9, {"model": "gpt-5"}), (8, {"period": "month"})):
        Budget.objects.create(name=f"No limit of all, {limit}", limit=limit, **{"period": "day"} | about)
    assert " of " not in tile(admin_client)

    budget = Budget.objects.create(name="All", period="day", limit=25)
    BudgetPeriod.objects.create(budget=budget, begins=NOW.date(), spent=6, reserved=Decimal("1.5"))
    assert "of $25.00" in tile(admin_client)
    assert "$1.50 reserved · forecast $12.00" in tile(admin_client)

    user.is_staff = True
    user.save()
    permit(user, "view_metric")
    client.force_login(user)
    assert " of " not in tile(client)


def test_the_number_of_queries_does_not_grow(admin_client, spent, django_assert_max_num_queries):
    for number in range(50):
        job = Job.objects.create(job_type=f"type-{number}", status="success")
        ask(job, number % 9, "1", f"model-{number}", step=f"step-{number}")
        Budget.objects.create(name=f"budget-{number}", limit=1)
    with django_assert_max_num_queries(24):
        admin_client.get(PAGE)
    MetricsCollector.record_ai_request(model="gpt-5", status="success", tokens=10, cost=0.01)
    with django_assert_max_num_queries(7):
        admin_client.get("/admin/observability/metric/")
