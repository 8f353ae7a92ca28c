"""What requests to models cost: fixed when they are recorded, and found later where there was no price."""

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime
from decimal import Decimal
from io import StringIO

import pytest
from django.core.management import call_command
from django.db import connection
from django.urls import reverse

from automation.clients import ServiceError, llm_for
from automation.models import AIRequest, Job, PriceSource
from automation.prices import reprice
from observability import spend
from observability.models import ModelPrice
from observability.testing import assert_increases
from project.sandbox.llm import UNPRICED
from tests.canned import answer, canned

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("own_prices")]

GPT = "gpt-4o"
ASK = [{"role": "user", "content": "Answer with bread."}]


@pytest.fixture
def ask(services, waits):
    """The row of one request to a model."""

    def row_of(model, **options):
        with llm_for(GPT)(sleep=waits.append) as client:
            client.complete(None, model, ASK, **options)
        return AIRequest.objects.latest("pk")

    return row_of


@pytest.fixture
def unpriced():
    """Rows without a price, of 1,000 tokens read and 100 written each."""

    def make(number=1, model="llama-of-ours", **fields):
        usage = {"input_tokens": 1000, "output_tokens": 100}
        known = usage | {"billed": usage, "price_source": PriceSource.NO_PRICE, "status": "success"} | fields
        return [AIRequest.objects.create(model=model, provider="openai", **known) for _ in range(number)]

    return make


def set_price(model="llama-of-ours", **prices):
    known = {"since": date(2020, 1, 1), "input": "1", "output": "2"} | prices
    return ModelPrice.objects.create(model=model, **known)


def output_of(*arguments):
    out = StringIO()
    call_command("reprice_ai_requests", *arguments, stdout=out, no_color=True)
    return out.getvalue().splitlines()


# When a request is recorded


def test_a_row_has_its_price_with_source_and_version(ask):
    row = ask(GPT)
    by_hand = (row.input_tokens * Decimal("2.5") + row.output_tokens * 10) / 1_000_000
    assert (row.cost, row.price_source) == (by_hand, PriceSource.LIST)
    assert row.price_version == spend.price(spend.Usage(1, 1), GPT, "openai").version
    assert row.billed["input_tokens"] == row.input_tokens


def test_a_price_of_the_admin_goes_before_and_holds_from_its_day(ask):
    set_price("gpt-4o*", since=date(2020, 1, 1), input="7", output="9")
    set_price("gpt-4o*", since=date(2999, 1, 1))
    row = ask(GPT)
    assert row.cost == Decimal(row.input_tokens * 7 + row.output_tokens * 9) / 1_000_000
    assert (row.price_source, row.price_version) == (PriceSource.ADMIN, "2020-01-01")


def test_a_price_stays_when_another_one_is_given(ask):
    row = ask(GPT)
    set_price("gpt-4o*")
    assert output_of() == ["0 requests got a price: 0.0000 USD."]
    assert AIRequest.objects.get(pk=row.pk).cost == row.cost


def test_of_what_nobody_knows_the_row_says_what_is_missing(ask):
    assert (ask(UNPRICED).cost, ask(UNPRICED).price_source) == (None, PriceSource.NO_PRICE)
    untold = AIRequest.objects.create(model=GPT)
    assert (untold.cost, untold.price_source) == (None, "")


def test_what_an_answer_has_cost_that_is_of_no_use_is_recorded(services, settings, waits):
    usage = {"prompt_tokens": 1000, "completion_tokens": 100}
    with canned(answer(json.dumps({"model": GPT, "choices": [], "usage": usage}))) as server:
        settings.AUTOMATION |= {"OPENAI_URL": f"{server.url}/v1"}
        with llm_for(GPT)(sleep=waits.append) as client, pytest.raises(ServiceError):
            client.complete(None, GPT, ASK, stream=False)
    row = AIRequest.objects.get()
    assert (row.status, row.cost, row.price_source) == ("error", Decimal("0.0035"), PriceSource.LIST)


def test_no_word_of_an_answer_keeps_its_cost_from_being_recorded(services, settings, waits):
    usage = {"prompt_tokens": 1000, "completion_tokens": 100}
    choice = {"message": {"content": "Hi"}, "finish_reason": "stop"}
    said = {"model": GPT, "choices": [choice], "usage": usage, "service_tier": "\0\ud800"}
    with canned(answer(json.dumps(said))) as server:
        settings.AUTOMATION |= {"OPENAI_URL": f"{server.url}/v1"}
        with llm_for(GPT)(sleep=waits.append) as client:
            client.complete(None, GPT, ASK, stream=False)
    row = AIRequest.objects.get()
    assert (row.status, row.input_tokens, row.price_source) == ("success", 1000, PriceSource.NO_PRICE)


def test_the_sources_of_prices_are_the_same_in_both_apps():
    assert set(PriceSource.values) == set(spend.SOURCES)


# When a price becomes known


def test_requests_without_a_price_get_it_once_it_is_known(unpriced):
    unpriced(3)
    assert output_of() == [
        "llama-of-ours of openai: 3 requests without a known price",
        "0 requests got a price: 0.0000 USD.",
    ]
    set_price()
    with (
        assert_increases("ai_cost_usd_count", by=3, model="llama-of-ours"),
        assert_increases("ai_cost_usd_sum", by=0.0036, model="llama-of-ours"),
        assert_increases("ai_requests_total", by=0),
    ):
        assert output_of() == [
            "llama-of-ours of openai: 3 requests, 0.0036 USD by admin 2020-01-01",
            "3 requests got a price: 0.0036 USD.",
        ]
        assert output_of() == ["0 requests got a price: 0.0000 USD."]
    assert set(AIRequest.objects.values_list("cost", "price_source", "price_version")) == {
        (Decimal("0.0012"), PriceSource.ADMIN, "2020-01-01")
    }


def test_a_dry_run_shows_it_and_changes_nothing(unpriced):
    unpriced()
    set_price()
    with assert_increases("ai_cost_usd_count", by=0):
        lines = output_of("--dry-run")
    assert lines == [
        "llama-of-ours of openai: 1 request, 0.0012 USD by admin 2020-01-01",
        "1 request would get a price: 0.0012 USD.",
    ]
    assert AIRequest.objects.filter(cost=None, price_source=PriceSource.NO_PRICE).count() == 1


def test_the_price_is_that_of_the_time_when_a_request_was_made(unpriced):
    unpriced(created_at=datetime(2021, 6, 1, tzinfo=UTC))
    set_price(since=date(2022, 1, 1))
    assert [price.cost for _, price in reprice()] == [None]
    set_price(since=date(2021, 1, 1))
    assert [price.version for _, price in reprice()] == ["2021-01-01"]


def test_kinds_of_tokens_that_have_no_column_are_priced_as_well(unpriced):
    set_price(cache_write="10", cache_write_1h="100")
    unpriced(billed={"input_tokens": 1000, "output_tokens": 100, "cache_write_tokens": 50, "cache_write_1h_tokens": 20})
    [(_, price)] = reprice()
    assert price.cost == Decimal("0.00345")  # 950 * $1 + 30 * $10 + 20 * $100 + 100 * $2, by the million


@pytest.mark.parametrize(
    "fields",
    [
        {"price_source": PriceSource.NO_USAGE},
        {"billed": {"input_tokens": 1000}},
        {"billed": {}},
        {"cost": Decimal(0), "price_source": PriceSource.NOT_BILLED},
    ],
)
def test_what_is_missing_more_than_a_price_stays_as_it_is(unpriced, fields):
    [row] = unpriced(**fields)
    set_price()
    output_of()
    assert AIRequest.objects.get().cost == row.cost


def test_rows_are_read_in_batches_until_all_are_seen(unpriced, monkeypatch):
    monkeypatch.setattr("automation.prices.BATCH", 2)
    unpriced(3)
    unpriced(2, model="priced-by-nobody")
    set_price()
    assert output_of()[-1] == "3 requests got a price: 0.0036 USD."


def test_of_several_at_the_same_time_one_prices_each_row(unpriced):
    def price_all(_):
        try:
            return sum(1 for _ in reprice())
        finally:
            connection.close()

    unpriced(40)
    set_price()
    with assert_increases("ai_cost_usd_count", by=40, model="llama-of-ours"), ThreadPoolExecutor(4) as threads:
        assert sum(threads.map(price_all, range(4))) == 40


# In the admin


def test_the_admin_lists_what_has_no_price_and_shows_where_a_price_is_from(admin_client, unpriced):
    [missing] = unpriced()
    priced = AIRequest.objects.create(
        model=GPT, status="success", cost=1, price_source=PriceSource.SETTINGS, price_version="2026-11-01"
    )
    unknown = AIRequest.objects.create(model=GPT, status="error", price_source=PriceSource.NO_USAGE)
    address = reverse("admin:automation_airequest_changelist")
    page = admin_client.get(address, {"price": "no_price"}).content.decode()
    assert "llama-of-ours" in page
    assert page.count("no price</span>") == 1
    for row, words in ((missing, "no price"), (priced, "settings 2026-11-01"), (unknown, "tokens unknown")):
        page = admin_client.get(reverse("admin:automation_airequest_change", args=[row.pk])).content.decode()
        assert words in page


def test_prices_are_set_in_the_admin(admin_client, unpriced):
    unpriced()
    form = {"model": "llama-*", "provider": "", "since": "2020-01-01", "input": "1", "output": "2.5"}
    admin_client.post(reverse("admin:observability_modelprice_add"), form)
    assert [price.cost for _, price in reprice()] == [Decimal("0.00125")]
    response = admin_client.post(reverse("admin:observability_modelprice_add"), form | {"model": "x", "input": "-1"})
    assert "greater than or equal to 0" in response.content.decode()


def test_a_job_without_a_price_has_one_when_its_requests_have(unpriced):
    job = Job.objects.create(job_type="site_check")
    unpriced(2, job=job)
    assert job.ai_cost() is None
    set_price()
    output_of()
    assert job.ai_cost() == Decimal("0.0024")
