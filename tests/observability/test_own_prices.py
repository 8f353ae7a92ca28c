"""Prices of a project's own: from its settings and from the admin."""

import asyncio
import re
import threading
import time
from datetime import UTC, date, datetime
from decimal import Decimal

import pytest
from django.core.checks import run_checks
from django.db import connection, transaction
from django.urls import reverse

from observability import spend
from observability.http import Usage
from observability.models import ModelPrice
from observability.spend import admin_prices as admin_prices_module
from observability.spend.price import admin_prices

pytestmark = pytest.mark.usefixtures("own_prices")

OURS = {"model": "llama-*", "input": "0.20", "output": "0.60"}
USED = Usage(1_000_000, 1_000_000)


@pytest.fixture
def prices(settings):
    """Give prices in the settings."""

    def give(*entries):
        settings.OBSERVABILITY = settings.OBSERVABILITY | {"AI_PRICES": list(entries)}

    return give


def price(model="llama-3.3-70b", provider="", usage=USED, at=None, **options):
    found = spend.price(usage, model, provider, at=at and datetime.fromisoformat(at), **options)
    return found.cost, found.source, found.version


def seconds(function, *arguments):
    begin = time.perf_counter()
    function(*arguments)
    return time.perf_counter() - begin


# Which one holds


def test_a_model_of_our_own_has_the_price_of_the_settings(prices):
    assert price() == (None, "no_price", "")
    prices(OURS)
    assert price() == (Decimal("0.80"), "settings", "")
    assert price("mixtral") == (None, "no_price", "")


def test_an_own_price_goes_before_the_list_and_what_the_provider_tells(prices):
    told = Usage(1_000_000, 1_000_000, told_cost=Decimal(9))
    assert price("gpt-4o", "openrouter", told) == (Decimal(9), "provider", "")
    prices(OURS | {"model": "gpt-4o"})
    assert price("gpt-4o", "openai")[:2] == price("gpt-4o", "openrouter", told)[:2] == (Decimal("0.80"), "settings")


def test_searches_are_not_free_at_a_price_of_our_own_for_tokens(prices):
    searched = Usage(1_000_000, 1_000_000, web_searches=3)
    prices(OURS | {"model": "*"})
    assert price("claude-sonnet-4-5", "anthropic", searched)[:2] == (Decimal("0.83"), "settings")
    assert price(usage=searched) == (None, "no_price", "")


def test_a_price_holds_from_its_day_on_in_utc(prices):
    prices(OURS | {"since": "2026-01-01"}, OURS | {"since": date(2026, 6, 1), "input": "1"})
    assert price(at="2025-12-31T23:59:59+00:00")[0] is None
    assert price(at="2026-01-01T00:00:00+00:00") == (Decimal("0.80"), "settings", "2026-01-01")
    assert price(at="2026-06-01T01:00:00+02:00")[2] == "2026-01-01"
    assert price(at="2026-06-01T00:00:00+00:00") == (Decimal("1.60"), "settings", "2026-06-01")


def test_the_closest_price_holds(prices):
    prices(
        {"model": "*", "input": 1, "output": 0},
        {"model": "llama-*", "input": 2, "output": 0, "since": "2020-01-01"},
        {"model": "llama-3*", "input": 3, "output": 0},
        {"model": "llama-3*", "input": 4, "output": 0, "provider": "azure"},
        {"model": "LLAMA-3.3-70b", "input": 5, "output": 0},
    )
    models = {"mixtral": 1, "llama-2": 2, "llama-3.1": 3, "llama-3.3-70b": 5, "llama-3.3-70b-x": 3}
    assert {model: price(model)[0] for model in models} == models
    assert price("llama-3.1", "azure")[0] == 4


@pytest.mark.parametrize("name", ["meta/llama[1]", "what?", "a.b"])
def test_only_the_star_is_special_in_names(prices, name):
    prices(OURS | {"model": name})
    assert price(name)[0] is not None
    assert price(name.replace("[1]", "1").replace("?", "x").replace(".", "x"))[0] is None


def test_a_model_in_the_house_may_cost_nothing(prices):
    prices(OURS | {"input": 0, "output": Decimal(0)})
    assert price()[:2] == (0, "settings")


# What it comes to

ALL = {"input": 1, "cached_input": 2, "cache_write": 3, "cache_write_1h": 4, "audio_input": 5}
ALL |= {"output": 6, "reasoning": 7, "audio_output": 8}


@pytest.mark.parametrize(
    ("usage", "millionths"),
    [
        (Usage(100, 10), 100 * 1 + 10 * 6),
        (Usage(100, 10, 30, 20, 15), 50 * 1 + 30 * 2 + 5 * 3 + 15 * 4 + 10 * 6),
        (Usage(100, 10, reasoning_tokens=7), 100 * 1 + 3 * 6 + 7 * 7),
        (Usage(100, 10, audio_input_tokens=40, audio_output_tokens=4), 60 * 1 + 40 * 5 + 6 * 6 + 4 * 8),
        (Usage(100, 10, 50, audio_input_tokens=40, cached_audio_tokens=30), 40 * 1 + 50 * 2 + 10 * 5 + 10 * 6),
        (Usage(100, 10, 90, audio_input_tokens=40), 90 * 2 + 10 * 5 + 10 * 6),
    ],
)
def test_each_token_is_paid_for_once_at_the_price_of_its_kind(prices, usage, millionths):
    prices(ALL | {"model": "m"})
    assert price("m", usage=usage)[0] == Decimal(millionths) / 1_000_000


def test_a_kind_without_a_price_costs_what_its_whole_costs(prices):
    prices({"model": "m", "input": 3, "output": 5, "cache_write": 4})
    usage = Usage(100, 10, 30, 20, 15, 5, audio_input_tokens=10, audio_output_tokens=2)
    assert price("m", usage=usage)[0] == Decimal(80 * 3 + 20 * 4 + 10 * 5) / 1_000_000


def test_of_unknown_usage_the_cost_is_unknown_at_any_price(prices):
    prices(OURS)
    assert price(usage=Usage(1000))[:2] == price(usage=Usage(10, 1, 20))[:2] == (None, "no_usage")


# Settings that cannot be


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ({"model": "m", "input": "1"}, "it lacks output"),
        ({"input": "1", "output": "2"}, "it lacks model"),
        (OURS | {"cached": "1"}, "a key 'cached'; is that 'cached_input'?"),
        (OURS | {"xyz": "1"}, "a key 'xyz'; there is none such"),
        (OURS | {"input": 0.2}, "input is 0.2"),
        (OURS | {"input": "-1"}, "input is '-1'"),
        (OURS | {"input": "NaN"}, "input is 'NaN'"),
        (OURS | {"input": True}, "input is True"),
        (OURS | {"output": "two"}, "output is 'two'"),
        (OURS | {"since": "yesterday"}, "since is 'yesterday'"),
        (OURS | {"since": datetime(2026, 1, 1, tzinfo=UTC)}, "since is datetime"),
        (OURS | {"model": ""}, "model and provider are names"),
    ],
)
def test_an_entry_that_is_no_price_is_told_and_left_out(prices, entry, words):
    prices(entry, OURS | {"model": "good"})
    [error] = [each for each in run_checks() if each.id == "observability.E011"]
    assert words in error.msg
    assert "'AI_PRICES'][0]" in error.msg
    assert error.hint
    assert price("good")[0] is not None


def test_what_is_no_list_of_prices_is_told(settings):
    settings.OBSERVABILITY = settings.OBSERVABILITY | {"AI_PRICES": {"gpt-4o": 1}}
    assert [each.id for each in run_checks() if "AI_PRICES" in each.msg] == ["observability.E003"]


# The admin


def set_price(**fields):
    return ModelPrice.objects.create(
        **{"model": "llama-*", "since": date(2020, 1, 1), "input": 1, "output": 2} | fields
    )


@pytest.mark.django_db(transaction=True)
def test_a_price_of_the_admin_holds_at_once_where_it_is_set_and_ends_with_its_row(prices):
    assert price()[0] is None
    row = set_price()
    assert price() == (Decimal(3), "admin", "2020-01-01")
    row.input = Decimal(5)
    row.save()
    assert price()[0] == Decimal(7)
    row.delete()
    assert price()[0] is None


@pytest.mark.django_db(transaction=True)
def test_the_admin_goes_before_the_settings_from_the_same_day(prices):
    prices(OURS | {"since": "2020-01-01"})
    set_price()
    assert price()[1] == "admin"
    prices(OURS | {"since": "2021-01-01"})
    assert price()[1] == "settings"


@pytest.mark.django_db(transaction=True)
def test_a_price_that_was_not_committed_does_not_hold():
    with transaction.atomic():
        set_price()
        transaction.set_rollback(True)
    assert price()[0] is None


@pytest.mark.django_db(transaction=True)
def test_a_price_that_another_process_set_holds_within_a_minute(monkeypatch):
    assert price()[0] is None
    ModelPrice.objects.bulk_create([ModelPrice(model="llama-*", since=date(2020, 1, 1), input=1, output=2)])
    assert price()[0] is None
    monkeypatch.setattr(admin_prices_module, "FRESH", 0.0)
    deadline = time.monotonic() + 10
    while price()[0] is None:
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.fixture
def silent_table():
    """The table of prices, which does not answer; the list is there."""
    assert price("gpt-4o", "openai")[1] == "genai-prices"
    admin_prices.forget()
    locked, released = threading.Event(), threading.Event()

    def hold():
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("LOCK TABLE observability_modelprice")
            locked.set()
            released.wait(20)
        connection.close()

    holder = threading.Thread(target=hold)
    holder.start()
    assert locked.wait(10)
    yield
    released.set()
    holder.join()


@pytest.mark.django_db(transaction=True)
@pytest.mark.skipif(connection.vendor != "postgresql", reason="locks a table")
def test_a_database_that_does_not_answer_holds_up_one_price_for_half_a_second(silent_table):
    first, second = seconds(price, "gpt-4o", "openai"), seconds(price, "gpt-4o", "openai")
    assert 0.4 < first < 2
    assert second < 0.2


@pytest.mark.django_db(transaction=True)
@pytest.mark.skipif(connection.vendor != "postgresql", reason="locks a table")
def test_an_event_loop_is_never_held_up(silent_table):
    async def ask():
        return seconds(price, "gpt-4o", "openai")

    assert asyncio.run(ask()) < 0.2


@pytest.mark.django_db(transaction=True)
def test_a_person_sets_a_price(admin_client):
    form = {"model": "llama-*", "provider": "", "since": "2020-01-01", "input": "1", "output": "2.5"}
    response = admin_client.post(reverse("admin:observability_modelprice_add"), form)
    assert response.status_code == 302
    assert price() == (Decimal("3.5"), "admin", "2020-01-01")
    again = admin_client.post(reverse("admin:observability_modelprice_add"), form)
    assert "already exists" in again.content.decode()
    page = admin_client.get(reverse("admin:observability_modelprice_changelist")).content.decode()
    assert re.findall(r'class="field-column[^>]*>([^<]*)<', page) == ["$1.00", "$2.50", "–", "–"]
