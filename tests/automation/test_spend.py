"""What AI requests have cost, as the command says."""

import csv
import json
from datetime import UTC, datetime
from decimal import Decimal
from io import StringIO

import pytest
import time_machine
from django.core.management import CommandError, call_command

from automation.models import AIRequest, Job

pytestmark = pytest.mark.django_db

NOVEMBER = datetime(2026, 11, 1, tzinfo=UTC)


@pytest.fixture(autouse=True)
def today(settings):
    settings.TIME_ZONE = "UTC"
    with time_machine.travel("2026-11-21T00:00Z", tick=False):
        yield


@pytest.fixture
def spent(user):
    """Requests of two jobs and of none, on three days."""
    website = Job.objects.create(job_type="notion_vercel", status="success", started_by=user)
    check = Job.objects.create(job_type="site_check", status="failed")
    for day, cost, job, model, step in [
        ([2026, 10, 31, 12], "5", website, "gpt-5.5", "plan"),
        ([2026, 11, 15], "3.5", website, "gpt-5.5", "plan"),
        ([2026, 11, 20], "0.25", website, "claude-sonnet-5", "generate_code"),
        ([2026, 11, 20, 23], "1.00000001", check, "gpt-5.5", "think"),
        ([2026, 11, 20, 23], None, None, "=a model of ours", ""),
    ]:
        AIRequest.objects.create(
            created_at=datetime(*day, tzinfo=UTC),
            cost=cost and Decimal(cost),
            job=job,
            model=model,
            step=step,
            status="success",
            input_tokens=1000,
            output_tokens=10,
        )
    AIRequest.objects.create(model="gpt-5.5")  # under way


def said(**options):
    out = StringIO()
    call_command("ai_spend", stdout=out, **options)
    return out.getvalue()


def costs(**options):
    rows = json.loads(said(format="json", **options))["rows"]
    return {row["key"]: row["cost"] and Decimal(row["cost"]) for row in rows}


def test_the_table_reads_well(spent):
    assert said(since=NOVEMBER) == (
        "model             requests  unpriced  tokens in  tokens out     USD\n"
        "gpt-5.5                  2         0      2,000          20  4.5000\n"
        "claude-sonnet-5          1         0      1,000          10  0.2500\n"
        "=a model of ours         1         1      1,000          10       –\n"
        "total                    4         1      4,000          40  4.7500\n"
        "\n"
        "This month: 4.75 USD so far, 11.54 by 2026-11-30 if each day costs 0.68, as in the last 7 days.\n"
    )


def test_the_same_money_by_whatever_it_was_spent_on(spent, user):
    one = Decimal("1.00000001")
    assert costs(by="job_type") == {"notion_vercel": Decimal("8.75"), "site_check": one, "–": None}
    assert costs(by="step") == {"plan": Decimal("8.5"), "think": one, "generate_code": Decimal("0.25"), "–": None}
    assert costs(by="user") == {"ada": Decimal("8.75"), "–": one}
    assert costs(by="outcome") == {"success": Decimal("8.75"), "failed": one, "–": None}
    days = {"2026-10-31": 5, "2026-11-15": Decimal("3.5"), "2026-11-20": Decimal("1.25000001")}
    assert list(costs(by="day").items()) == list(days.items())


def test_a_spreadsheet_reads_the_csv(spent):
    rows = list(csv.DictReader(StringIO(said(format="csv", since=NOVEMBER))))
    assert [row["model"] for row in rows] == ["gpt-5.5", "claude-sonnet-5", "'=a model of ours"]
    assert rows[0] == {
        "model": "gpt-5.5",
        "requests": "2",
        "unpriced": "0",
        "input_tokens": "2000",
        "output_tokens": "20",
        "cost": "4.50000001",
    }


@pytest.mark.parametrize(
    ("cost", "written"), [("0.0000005", "0.00000050"), ("0", "0.00000000"), ("12.3", "12.30000000")]
)
def test_a_cost_is_written_as_people_write_it(cost, written):
    AIRequest.objects.create(model="gpt-5.5", status="success", cost=Decimal(cost))
    assert said(format="csv").splitlines()[1].endswith(f",{written}")
    assert json.loads(said(format="json"))["total"]["cost"] == written


def test_the_sum_of_what_nobody_knows_is_unknown():
    AIRequest.objects.create(model="a model of ours", status="success")
    assert said().splitlines()[2].split() == ["total", "1", "1", "0", "0", "–"]


def test_the_forecast_of_an_empty_month_is_zero():
    forecast = json.loads(said(format="json"))["forecast"]
    assert (forecast["spent"], forecast["total"], forecast["ends"]) == ("0.00000000", "0.00000000", "2026-11-30")


def test_the_pace_of_a_young_project_is_that_of_its_days_so_far():
    first = {"created_at": datetime(2026, 11, 19, tzinfo=UTC), "cost": Decimal("4.01")}
    AIRequest.objects.create(model="gpt-5.5", status="success", **first)
    forecast = json.loads(said(format="json"))["forecast"]
    assert (forecast["spent"], forecast["per_day"], forecast["total"]) == ("4.01000000", "2.00500000", "24.06000000")


def test_an_unknown_dimension_is_refused():
    with pytest.raises(CommandError, match="invalid choice: 'moon'"):
        call_command("ai_spend", "--by=moon")
