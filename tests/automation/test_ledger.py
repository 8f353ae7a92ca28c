"""What rows, metrics and the provider's own books say of two thousand requests is the same money."""

from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal

import pytest
from django.db import connection
from django.db.models import Sum

from automation.clients import ServiceError, llm_for
from automation.models import AIRequest
from observability.testing import metric_value

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.timeout(240)]

REQUESTS, THREADS = 2000, 8
# USD for a million tokens of input and of output, from the lists of OpenAI and Anthropic.
PRICES = {"gpt-5.5": (5, 30), "gpt-5.4-mini": ("0.75", "4.5"), "claude-sonnet-5": (2, 10), "claude-haiku-4-5": (1, 5)}
MODELS = list(PRICES)
FAULTS = {3: 429, 5: 500, 7: "cut", 9: "garbage", 11: "error_event", 12: "wrong_shape"}  # of each 13 requests


def ask(number):
    """One request, whatever comes of it; with a fault in one of two."""
    model = MODELS[number % len(MODELS)]
    prompt = [{"role": "user", "content": f"Write a plan, case {number % 13}: " + "bread " * (number % 50)}]
    try:
        with llm_for(model)(sleep=lambda seconds: None) as client:
            client.complete(None, model, prompt, max_tokens=100 + number % 300, stream=bool(number % 3))
    except ServiceError:
        pass
    finally:
        connection.close()


def price(entry):
    """What the provider asks for a request."""
    read, written = next(map(Decimal, prices) for name, prices in PRICES.items() if entry["model"].startswith(name))
    return (entry["input_tokens"] * read + entry["output_tokens"] * written) / 10**6


def broke_off(entry):
    """Whether the answer came, was billed, and told no usage that could be believed."""
    return entry["fault"] in {"cut", "garbage", "wrong_shape"} or (entry["fault"] == "error_event" and entry["stream"])


def test_rows_metrics_and_ledger_agree_to_the_last_digit(services):
    for case, fault in FAULTS.items():
        for service in ("openai", "anthropic"):
            services.faults(service, fault, match=f"case {case}:", times=None)
    before = metric_value("ai_cost_usd_sum")
    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(ask, range(REQUESTS)))

    ledger = services.requests()
    rows = AIRequest.objects.all()
    assert len(ledger) == rows.count() >= REQUESTS
    spent = rows.aggregate(spent=Sum("cost"))["spent"]
    assert metric_value("ai_cost_usd_sum") - before == pytest.approx(float(spent), rel=1e-12)

    good = [entry for entry in ledger if entry["status"] == 200 and not broke_off(entry)]
    assert spent == sum(map(price, good))
    assert rows.filter(cost=None).count() == len(list(filter(broke_off, ledger)))
    assert rows.filter(cost=0).count() == len([entry for entry in ledger if entry["status"] != 200])
