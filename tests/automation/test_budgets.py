"""Budgets: what is let through, what is refused, and where a budget stands afterwards."""

import re
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import date, timedelta
from decimal import Decimal
from io import StringIO

import pytest
import time_machine
from django.core.management import call_command
from django.db import connection, transaction
from django.utils import timezone

from automation.budgets import begin_of, forecast
from automation.clients import ServiceError, llm_for
from automation.errors import BudgetExceeded
from automation.models import AIRequest, AIRequestStatus, Budget, BudgetPeriod, Job, PriceSource, Reservation
from automation.reaper import reap
from automation.signals import budget_nearly_spent
from automation.transitions import finish_request, start_request
from observability.testing import assert_increases, metric_value
from project.sandbox.llm import UNPRICED

pytestmark = pytest.mark.django_db(transaction=True)

MODEL = "gpt-5.5"
ASK = [{"role": "user", "content": 'Answer with "files".\n\n# Bakery\n\nBread, and cakes for weddings.'}]
MAX_TOKENS = 900
MOST = Decimal("0.03")  # USD, that one of these requests may cost


@pytest.fixture
def job(user):
    return Job.objects.create(job_type="site_check", started_by=user)


@pytest.fixture
def ask(services, job):
    """Ask a model for something, and return the row of the request."""

    def complete(model=MODEL, job=job, **options):
        with llm_for(model)(sleep=lambda seconds: None) as client:
            client.complete(job, model, ASK, **{"max_tokens": MAX_TOKENS} | options)
        return AIRequest.objects.latest("id")

    return complete


@pytest.fixture
def budget():
    return lambda limit="1", name="all", **about: Budget.objects.create(name=name, limit=Decimal(limit), **about)


def stand(budget):
    """What is spent and reserved of a budget in its newest period."""
    period = budget.periods.latest("begins")
    return period.spent, period.reserved


def spend(*costs, most="0.3"):
    """Record requests that have cost so much, without asking anybody."""
    for cost in costs:
        row = start_request(None, "openai", MODEL, lambda: Decimal(most))
        finish_request(row, AIRequestStatus.SUCCESS, duration=1, cost=Decimal(cost))


def test_what_a_request_has_cost_is_spent_of_every_budget_that_it_comes_under(ask, budget, user, django_user_model):
    other = django_user_model.objects.create_user("bob")
    its = [
        budget(name="all"),
        budget(name="of the day", period="day"),
        budget(name="of checks", job_type="site_check"),
        budget(name="of the model", model=MODEL),
        budget(name="of ada", user=user),
        budget(name="of all these", job_type="site_check", model=MODEL, user=user),
    ]
    others = [
        budget(name="of websites", job_type="notion_vercel"),
        budget(name="of Claude", model="claude-haiku-4-5"),
        budget(name="of bob", user=other),
        budget(name="of one of these", job_type="site_check", user=other),
    ]

    row = ask()

    assert 0 < row.cost < MOST
    assert [stand(each) for each in its] == [(row.cost, 0)] * len(its)
    assert not BudgetPeriod.objects.filter(budget__in=others).exists()
    assert not Reservation.objects.exists()


def test_a_request_without_a_job_comes_under_the_budgets_of_all(ask, budget, user):
    for_all, of_user = budget(), budget(name="of ada", user=user)
    row = ask(job=None)
    assert stand(for_all) == (row.cost, 0)
    assert not of_user.periods.exists()


def test_a_request_that_may_cost_more_than_is_left_is_not_made_and_says_so(ask, budget, services, job):
    limited = budget("0.02")
    with (
        assert_increases("ai_budget_rejections_total", budget="all"),
        assert_increases("ai_requests_total", model=MODEL, status="budget_exceeded"),
        assert_increases("ai_unpriced_requests_total", by=0),
        pytest.raises(BudgetExceeded) as refusal,
    ):
        ask()

    told = "AI budget 'all': Of 0.02 USD for this month, 0.0000 are spent and 0.0000 reserved, and the request "
    assert str(refusal.value).startswith(told)
    row = AIRequest.objects.get()
    assert (row.status, row.cost, row.price_source, row.job) == ("budget_exceeded", 0, PriceSource.NOT_BILLED, job)
    assert row.error == str(refusal.value)
    assert services.requests() == []
    assert not limited.periods.exists()


def test_a_request_may_cost_all_that_is_left(budget):
    limited = budget("1")
    spend("0.1", "0.9", most="0.9")
    assert stand(limited) == (1, 0)


def test_the_smallest_of_several_budgets_decides_and_the_others_keep_nothing(ask, budget):
    wide, narrow = budget("100"), budget("0.01", name="narrow")
    with pytest.raises(BudgetExceeded) as refusal:
        ask()
    assert refusal.value.budget == narrow.name
    assert not wide.periods.exists()


def test_a_job_whose_request_is_refused_fails_with_that_reason(ask, budget, run_job, pipeline):
    budget("0")

    @pipeline.step(retries=3, backoff=0)
    def think(run):
        ask(job=run.job)

    job = run_job("test")
    assert job.status == "failed"
    assert job.error.startswith("AI budget 'all': Of 0.00 USD for this month")
    assert AIRequest.objects.count() == 1


def test_a_model_without_a_price_is_refused_unless_the_budget_lets_it_through(ask, budget, services):
    strict = budget()
    with pytest.raises(BudgetExceeded, match=f"The price of {UNPRICED} is unknown"):
        ask(UNPRICED)
    assert services.requests() == []

    strict.allow_unpriced = True
    strict.save()
    assert ask(UNPRICED).cost is None
    assert stand(strict) == (0, 0)


@pytest.mark.parametrize("kind", ["cache_write", "reasoning"])
def test_each_token_may_turn_out_to_be_of_the_dearest_kind(ask, budget, services, settings, kind):
    settings.OBSERVABILITY = {"AI_PRICES": [{"model": MODEL, "input": "1", "output": "1", kind: "10000"}]}
    budget()
    with pytest.raises(BudgetExceeded, match="the request may cost"):
        ask()
    assert services.requests() == []


def test_a_request_that_gets_its_price_later_is_spent_then(ask, budget, settings):
    lenient = budget(allow_unpriced=True)
    ask(UNPRICED)
    settings.OBSERVABILITY = {"AI_PRICES": [{"model": UNPRICED, "input": "10", "output": "20"}]}
    call_command("reprice_ai_requests", stdout=StringIO())
    assert stand(lenient) == (AIRequest.objects.get().cost, 0)
    assert stand(lenient) > (0, 0)
    assert not Reservation.objects.exists()


def test_a_price_that_becomes_known_takes_the_place_of_what_was_held(budget, settings):
    held = budget()
    row = start_request(None, "openai", UNPRICED, lambda: Decimal("0.6"))
    billed = {"input_tokens": 10_000, "output_tokens": 0}
    finish_request(row, AIRequestStatus.SUCCESS, duration=1, price_source=PriceSource.NO_PRICE, billed=billed)
    assert stand(held) == (Decimal("0.6"), 0)
    settings.OBSERVABILITY = {"AI_PRICES": [{"model": UNPRICED, "input": "10", "output": "20"}]}
    call_command("reprice_ai_requests", stdout=StringIO())
    assert stand(held) == (Decimal("0.1"), 0)


def test_a_request_knows_the_step_that_made_it(ask, run_job, job_type):
    def first(run):
        return ask(job=run.job).pk

    run_job(job_type(first))
    assert AIRequest.objects.get().step == "first"


def test_a_model_without_a_price_is_refused_when_nothing_is_left(ask, budget):
    budget("0", allow_unpriced=True)
    with pytest.raises(BudgetExceeded):
        ask(UNPRICED)


def test_a_request_that_the_service_refused_gives_back_what_it_held(ask, budget, services):
    held = budget()
    services.faults("openai", 400)
    with pytest.raises(ServiceError):
        ask()
    assert stand(held) == (0, 0)


def test_each_try_of_a_request_reserves_anew(ask, budget, services):
    held = budget()
    services.faults("openai", 429, times=2)
    row = ask()
    assert AIRequest.objects.count() == 3
    assert stand(held) == (row.cost, 0)


def test_a_request_of_unknown_cost_counts_with_all_that_it_held(ask, budget, services):
    held = budget()
    services.faults("openai", "cut", times=None)
    with pytest.raises(ServiceError):
        ask()
    row = AIRequest.objects.get()
    spent, reserved = stand(held)
    assert row.cost is None
    assert MOST * Decimal("0.9") < spent <= MOST
    assert (reserved, Reservation.objects.get().amount) == (0, spent)


def test_what_the_request_of_a_dead_process_held_is_spent_once_the_reaper_saw_it(budget):
    held = budget()
    row = start_request(None, "openai", MODEL, lambda: Decimal("0.6"))
    assert stand(held) == (0, Decimal("0.6"))
    reap()
    assert stand(held) == (0, Decimal("0.6"))
    AIRequest.objects.filter(pk=row.pk).update(created_at=timezone.now() - timedelta(hours=1))
    reap()
    assert stand(held) == (Decimal("0.6"), 0)


def test_what_the_request_of_a_dead_process_held_is_spent_once_another_is_refused(budget):
    held = budget()
    row = start_request(None, "openai", MODEL, lambda: Decimal("0.6"))
    AIRequest.objects.filter(pk=row.pk).update(created_at=timezone.now() - timedelta(hours=1))
    with pytest.raises(BudgetExceeded):
        spend("0.1", most="0.6")
    assert stand(held) == (Decimal("0.6"), 0)


def test_what_a_request_held_is_spent_when_its_row_is_deleted(budget):
    held = budget()
    row = start_request(None, "openai", MODEL, lambda: Decimal("0.6"))
    row.delete()
    assert stand(held) == (Decimal("0.6"), 0)
    assert not Reservation.objects.exists()


def test_a_budget_may_be_deleted_while_its_requests_end(budget):
    def end():
        try:
            return finish_request(row, AIRequestStatus.SUCCESS, duration=1, cost=Decimal("0.1"))
        finally:
            connection.close()

    held = budget()
    row = start_request(None, "openai", MODEL, lambda: Decimal("0.6"))
    with ThreadPoolExecutor(1) as pool:
        with transaction.atomic():
            held.delete()
            ended = pool.submit(end)
            time.sleep(1)  # it waits for the lock of what is about to be gone
        assert ended.result(20)
    assert AIRequest.objects.get().cost == Decimal("0.1")


def test_budgets_of_a_month_and_of_a_day_begin_anew_at_midnight_of_the_settings(budget, settings):
    settings.TIME_ZONE = "America/Havana"  # where the first hour of this November comes twice
    monthly, daily = budget(), budget(name="daily", period="day")
    for moment in ("11-01T03:59:59.9Z", "11-01T04:00Z", "11-01T05:00Z", "11-02T04:59:59.9Z", "11-02T05:00Z"):
        with time_machine.travel(f"2026-{moment}", tick=False):
            spend("0.01")
    october, november = (date(2026, 10, 1), Decimal("0.01")), (date(2026, 11, 1), Decimal("0.04"))
    assert list(monthly.periods.values_list("begins", "spent")) == [november, october]
    days = [(date(2026, 11, 2), "0.01"), (date(2026, 11, 1), "0.03"), (date(2026, 10, 31), "0.01")]
    assert list(daily.periods.values_list("begins", "spent")) == [(day, Decimal(cost)) for day, cost in days]


@pytest.fixture
def told():
    """What receivers of the warning are told: names of budgets, and what is spent of them."""
    found = []

    def listen(sender, instance, period, **kwargs):
        found.append((instance.name, period.spent))

    budget_nearly_spent.connect(listen)
    yield found
    budget_nearly_spent.disconnect(listen)


def test_that_a_budget_is_nearly_spent_is_told_once_in_a_period(budget, told):
    budget(warn_at=50)
    spend("0.2", "0.29")
    assert told == []
    spend("0.01", "0.1", "0.1")
    assert told == [("all", Decimal("0.5"))]
    with pytest.raises(BudgetExceeded):
        spend("0.3", most="0.4")
    assert len(told) == 1


def test_that_so_much_is_spent_that_a_request_is_refused_is_told_once_as_well(budget, told):
    budget(warn_at=90)
    spend("0.25", "0.25", "0.25")
    for _ in range(2):
        with pytest.raises(BudgetExceeded):
            spend("0.3")
    assert told == [("all", Decimal("0.75"))]
    spend("0.2", most="0.2")
    assert len(told) == 1


def test_a_refusal_for_what_is_only_reserved_or_never_fits_is_no_warning(budget, told):
    budget(warn_at=90)
    spend("0.1")
    with pytest.raises(BudgetExceeded):
        spend("1", most="1.01")
    start_request(None, "openai", MODEL, lambda: Decimal("0.8"))
    with pytest.raises(BudgetExceeded):
        spend("0.3")
    assert told == []


def test_a_warning_that_died_with_its_process_is_told_by_the_reaper(budget, told):
    def die(**kwargs):
        raise SystemExit

    budget(warn_at=50)
    budget_nearly_spent.connect(die)
    with pytest.raises(SystemExit):
        spend("0.3", "0.3")
    budget_nearly_spent.disconnect(die)
    told.clear()
    reap()
    assert told == []
    BudgetPeriod.objects.update(warn_since=timezone.now() - timedelta(hours=1))
    reap()
    reap()
    BudgetPeriod.objects.update(warn_since=timezone.now() - timedelta(hours=1))
    reap()
    assert told == [("all", Decimal("0.6"))]


def test_the_gauges_say_where_a_budget_stands(ask, budget):
    budget()
    budget("2.5", name="untouched", model="claude-haiku-4-5")
    row = ask()
    assert metric_value("ai_budget_limit_usd", budget="untouched") == 2.5
    assert metric_value("ai_budget_spent_usd", budget="untouched") == 0
    assert metric_value("ai_budget_spent_usd", budget="all") == pytest.approx(float(row.cost))
    assert metric_value("ai_budget_reserved_usd", budget="all") == 0
    assert metric_value("ai_budget_rejections_total", budget="untouched") == 0


def test_the_admin_makes_budgets_and_says_where_they_stand(ask, admin_client):
    made = {"name": "checks", "limit": "0.5", "period": "day", "job_type": "site_check", "warn_at": "80"}
    assert admin_client.post("/admin/automation/budget/add/", made).status_code == 302
    with time_machine.travel("2026-11-25T06:00Z", tick=True):
        row = ask()
        page = admin_client.get("/admin/automation/budget/").content.decode()
    cells = re.findall(r'class="field-(\w+)[^>]*>(?:<(?:a|bdi)[^>]*>)?([^<]*)<', page)
    assert dict(cells) == {
        "name": "checks",
        "concerns": "site_check",
        "limit_of": "$0.50 a day",
        "spent": f"${row.cost:.2f}",
        "reserved": "$0.00",
        "forecast": f"${row.cost * 4:.2f}",
    }


def test_a_budget_of_a_job_type_that_is_none_is_saved_with_a_warning(admin_client):
    made = {"name": "checks", "limit": "0.5", "period": "day", "job_type": "site_chek", "warn_at": "80"}
    page = admin_client.post("/admin/automation/budget/add/", made, follow=True).content.decode()
    assert "No job type is named site_chek" in page
    made |= {"name": "right", "job_type": "site_check"}
    page = admin_client.post("/admin/automation/budget/add/", made, follow=True).content.decode()
    assert "right" in page
    assert "No job type is named" not in page


@pytest.mark.parametrize(
    ("period", "moment", "expected"),
    [
        ("day", "2026-11-25T00:30Z", None),
        ("day", "2026-11-25T12:00Z", "6"),
        ("month", "2026-02-08T00:00Z", "12"),
        ("month", "2026-12-16T12:00Z", "6"),
    ],
)
def test_the_forecast_goes_on_at_the_pace_so_far(budget, settings, period, moment, expected):
    settings.TIME_ZONE = "UTC"
    with time_machine.travel(moment, tick=False):
        its = budget(period=period)
        now = BudgetPeriod(budget=its, begins=begin_of(its), spent=Decimal(3))
        assert forecast(now) == (expected and pytest.approx(Decimal(expected)))


def test_a_list_of_many_budgets_needs_no_more_queries(budget, admin_client, django_assert_max_num_queries):
    for number in range(30):
        BudgetPeriod.objects.create(budget=budget(name=str(number)), begins=begin_of(Budget(period="month")))
    with django_assert_max_num_queries(9):
        assert admin_client.get("/admin/automation/budget/").status_code == 200
