"""What requests used and cost, by provider: the table is ``ai_usage.yaml``."""

import json
import subprocess
import sys
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import httpx2
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from observability import spend
from observability.http import Usage, instrument
from observability.metrics import MetricsCollector
from observability.spend import read_usage
from observability.testing import assert_increases
from tests.observability.ai_metrics import grow
from tests.site import ROOT

TABLE = yaml.safe_load(Path(__file__).with_name("ai_usage.yaml").read_text())
SERVICES, ROWS = TABLE["services"], TABLE["rows"]
NOW = "2026-11-20T12:00:00+00:00"
ANSWERS = {
    "openai": {"choices": [{"message": {"content": "Hi"}, "finish_reason": "stop"}]},
    "responses": {"output": [], "error": None},
    "embeddings": {"data": []},
    "anthropic": {"type": "message", "content": [], "stop_reason": "end_turn"},
    "gemini": {"candidates": [{"content": {"parts": [{"text": "Hi"}]}, "finishReason": "STOP"}]},
    "converse": {"output": {"message": {}}, "stopReason": "end_turn"},
}
EVENTS = {"content-type": "text/event-stream"}


def name_of(row, shape):
    """The model as an answer has it: on Bedrock and Vertex without the region, or not at all."""
    if shape == "converse":
        return {}
    if shape == "gemini":
        return {"modelVersion": row["model"]}
    plain = row["model"].rpartition("anthropic.")[2].removesuffix("-v1:0").replace("@", "-")
    return {"model": plain if shape == "anthropic" else row["model"]}


def answer_of(row, shape):
    """As the service gives it: whole, as a stream of events, or as one array of them."""
    named = name_of(row, shape)
    if "events" not in row:
        usage = {"usageMetadata" if shape == "gemini" else "usage": row["usage"]}
        return httpx2.Response(200, json=ANSWERS[shape] | named | usage | row.get("terms", {}))
    events = [named | event for event in row["events"]]
    for event in events:
        for inner in ("message", "response"):
            if inner in event:
                event[inner] = named | event[inner]
    if "array" in row["service"]:
        return httpx2.Response(200, json=events)
    body = "".join(f"data: {json.dumps(event)}\n\n" for event in events)
    return httpx2.Response(200, headers=EVENTS, text=body)


def call_of(row):
    """What was learned of the answer to one request."""
    calls, service = [], SERVICES[row["service"]]
    transport = httpx2.MockTransport(lambda request: answer_of(row, service["shape"]))
    url = service["url"].replace("{model}", row["model"].replace("/", "%2F"))
    with instrument(httpx2.Client(transport=transport), on_ai_call=calls.append) as client:
        client.post(url, json={"model": row["model"]}, headers={"anthropic-version": "2023-06-01"})
    [call] = calls
    return call


def used(usage):
    """The kinds of tokens of which there were some, by their short names."""
    told = {kind.removesuffix("_tokens"): number for kind, number in usage.told().items()}
    return {kind: number for kind, number in told.items() if number and kind != "told_cost"}


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row['service']}: {row['what']}")
def test_each_answer_is_read_and_priced_right(row):
    call = call_of(row)
    assert used(call.usage) == row["kinds"]
    at = datetime.fromisoformat(row.get("at", NOW))
    price = spend.price(call.usage, call.model, call.provider, terms=call.terms, at=at)
    assert price.cost == (row["cost"] and Decimal(row["cost"]))
    assert price.source == row.get("source", "genai-prices") or price.cost is None


def test_the_table_has_every_provider():
    assert len(ROWS) >= 80
    assert {row["service"] for row in ROWS} == set(SERVICES)


# Whatever an answer says

NUMBERS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(0, 3000)
    | st.floats()
    | st.decimals()
    | st.sampled_from(["", "12", "many", "\ud800"])
    | st.sampled_from([[], [1], [{}], {}])
)
WORDS = sorted(
    {
        key
        for row in ROWS
        for said in [row.get("usage", {})]
        for key in (*said, *(inner for value in said.values() if isinstance(value, dict) for inner in value))
    }
)
PARTS = st.dictionaries(st.sampled_from(WORDS), NUMBERS, max_size=4)
SAID = st.dictionaries(st.sampled_from(WORDS), NUMBERS | PARTS | st.lists(PARTS, max_size=2), max_size=8)
APIS = st.sampled_from([spend.OPENAI, spend.EMBEDDINGS, spend.ANTHROPIC, spend.GEMINI, spend.BEDROCK])
PROVIDERS = st.sampled_from(["", "openai", "openrouter", "x-ai", "google", "aws", "nobody"])


@settings(deadline=None)  # the first price loads the list
@given(APIS, SAID, PROVIDERS)
def test_nothing_that_an_answer_can_say_raises_or_counts_what_cannot_be(api, said, provider):
    usage = read_usage(api, said, provider)
    for kind, number in usage.told().items():
        assert kind == "told_cost" or (type(number) is int and 0 <= number <= 2**29)
    assert (usage.input_tokens or 0) >= (usage.cached_input_tokens or 0) + (usage.cache_write_tokens or 0)
    assert (usage.output_tokens or 0) >= (usage.reasoning_tokens or 0)
    cost = spend.price(usage, "gpt-4o", provider).cost
    assert cost is None or (cost.is_finite() and 0 <= cost < 10**6)


@settings(deadline=None)
@given(st.lists(NUMBERS, min_size=11, max_size=11))
def test_a_usage_of_any_numbers_is_recorded_without_a_harm(numbers):
    with (
        assert_increases("ai_requests_total"),
        assert_increases("observability_dropped_total", by=0, metric="record_ai_request"),
    ):
        MetricsCollector.record_ai_request("gpt-4o", "success", usage=Usage(*numbers), provider="openai")


def test_what_was_told_can_be_kept_and_had_again():
    for row in ROWS:
        usage = call_of(row).usage
        if not usage.refused:
            assert spend.from_told(json.loads(json.dumps(usage.told()))) == usage


@pytest.mark.parametrize("wrong", [-1, 1.5, True, "12", float("nan"), 2**29 + 1, [1]])
def test_a_count_that_cannot_be_is_refused_and_counted(wrong):
    usage = read_usage(spend.OPENAI, {"prompt_tokens": wrong, "completion_tokens": 10})
    assert (usage.input_tokens, usage.output_tokens) == (None, 10)
    refused = {"metric": "ai_token_usage_total", "reason": "invalid_value"}
    with assert_increases("observability_dropped_total", **refused), grow("gpt-4o", **COUNTED, output=10, tokens=10):
        MetricsCollector.record_ai_request("gpt-4o", "success", usage=usage, provider="openai")


# Recording from code

COUNTED = {"requests": 1, "success": 1, "unpriced": 1}


def test_usage_in_place_of_a_cost_is_priced():
    usage = Usage(1000, 100, 600)
    counted = {"requests": 1, "error": 1, "input": 1000, "output": 100, "cached_input": 600, "tokens": 1100}
    with grow("gpt-4o", **counted, priced=1, usd=0.00275):
        MetricsCollector.record_ai_request("gpt-4o", "error", usage=usage, provider="openai")


def test_a_cost_that_is_given_goes_before():
    with grow("gpt-4o", requests=1, success=1, input=1000, output=100, tokens=1100, priced=1, usd=7):
        MetricsCollector.record_ai_request("gpt-4o", "success", usage=Usage(1000, 100), provider="openai", cost=7)


@pytest.mark.parametrize(
    ("usage", "provider"),
    [(Usage(1000, 100), "nobody"), (Usage(1000, 100), ""), (Usage(1000), "openai"), (Usage(), "")],
)
def test_what_cannot_be_priced_is_unpriced_and_not_free(usage, provider):
    known = {"input": usage.input_tokens or 0, "output": usage.output_tokens or 0}
    with grow("gpt-4o", **COUNTED, **known, tokens=sum(known.values())):
        MetricsCollector.record_ai_request("gpt-4o", "success", usage=usage, provider=provider)


def test_a_cost_that_became_known_later_is_no_further_request():
    with grow("gpt-4o", priced=1, usd=0.5):
        MetricsCollector.record_ai_cost("gpt-4o", Decimal("0.5"))


# The price list


def test_a_price_names_its_list():
    price = spend.price(Usage(1000, 100), "gpt-4o", "openai", at=datetime(2026, 11, 20, tzinfo=UTC))
    assert (price.cost, price.source) == (Decimal("0.0035"), "genai-prices")
    assert price.version.count(".") == 2


def test_a_model_of_one_provider_has_no_price_at_another():
    usage = Usage(1000, 100)
    assert spend.price(usage, "llama-3.3-70b-versatile", "groq").cost is not None
    assert spend.price(usage, "llama-3.3-70b-versatile", "openai").cost is None


def test_the_list_is_not_loaded_when_a_site_starts():
    code = "import django, sys; django.setup(); print('genai_prices' in sys.modules)"
    env = {"PATH": "", "DJANGO_SETTINGS_MODULE": "tests.observability.site_settings", "DEBUG": "1"}
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=env, capture_output=True, text=True, timeout=60)
    assert done.stdout == "False\n", done.stderr
