"""What rows of AIRequest cost, now and once a price becomes known."""

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from django.db import transaction

from automation import daybook
from automation.budgets import settle
from automation.models import AIRequest, PriceSource
from observability import spend
from observability.metrics import MetricsCollector
from observability.spend import Price

SMALLEST_COST = Decimal("1e-8")  # USD, that rows can hold
BATCH = 500  # rows that are read at once


def priced(price: Price) -> dict[str, Any]:
    """Return the fields of a row that hold a price."""
    cost = None if price.cost is None else price.cost.quantize(SMALLEST_COST)
    return {"cost": cost, "price_source": price.source, "price_version": price.version}


def reprice(*, save: bool = True) -> Iterator[tuple[AIRequest, Price]]:
    """Yield each request without a price, and the one that it has by now, at the time when it was made.

    With `save` it has that from then on, and is counted. Of several at the same time one prices each row.
    """
    for row in _without_price():
        price = price_of(row)
        if price.cost is None or not save or _save(row, price):
            yield row, price


def price_of(row: AIRequest) -> Price:
    """Return what a row's request costs by the prices that are known now."""
    billed = dict(row.billed)
    terms = billed.pop("terms", {})
    return spend.price(spend.from_told(billed), row.model, row.provider, terms=terms, at=row.created_at)


def _without_price() -> Iterator[AIRequest]:
    """Yield them in batches, each from where the one before ended: what has no price yet is met once."""
    last = 0
    while rows := list(_rows().filter(pk__gt=last).order_by("pk")[:BATCH]):
        yield from rows
        last = rows[-1].pk


def _rows() -> Any:
    return AIRequest.objects.filter(price_source=PriceSource.NO_PRICE, cost=None)


def _save(row: AIRequest, price: Price) -> bool:
    values = priced(price)
    with transaction.atomic():
        daybook.forget([row.created_at])
        if not _rows().filter(pk=row.pk).update(**values):
            return False
        row.cost = values["cost"]
        settle(row)
        transaction.on_commit(lambda: MetricsCollector.record_ai_cost(row.model, row.cost), robust=True)
    return True
