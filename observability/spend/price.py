"""What a request costs, and from where that is known."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal

from . import overrides, price_list
from .admin_prices import AdminPrices
from .usage import Usage

TOLD = "provider"  # sources, beside those of overrides and of the list
FREE = "not_billed"
NO_PRICE, NO_USAGE = "no_price", "no_usage"  # why nothing is known
SOURCES = (price_list.SOURCE, overrides.SETTINGS, overrides.ADMIN, TOLD, FREE, NO_PRICE, NO_USAGE)
MOST = Decimal(1_000_000)  # USD that no single request costs


@dataclass(frozen=True)
class Price:
    """USD, None where unknown; ``version`` is that of the list, or the day from which an override holds."""

    cost: Decimal | None
    source: str
    version: str = ""


admin_prices = AdminPrices()
NOT_BILLED = Price(Decimal(0), FREE)
UNKNOWN_USAGE = Price(None, NO_USAGE)


def prepare() -> None:
    """Load what prices are worked out from, in threads, before the first of them is asked for."""
    price_list.prepare()
    admin_prices.prepare()


def price(
    usage: Usage,
    model: str,
    provider: str = "",
    *,
    terms: Mapping[str, str] | None = None,
    at: datetime | None = None,
) -> Price:
    """The price of what a request used, at the time when it was made, by default now.

    An override goes first, then what the provider says that it bills, then the list. ``provider`` is an id of
    genai-prices (``openai``, ``aws``); ``terms`` are what else a price depends on, as ``{"service_tier": "flex"}``.
    """
    at = at or datetime.now(UTC)
    found = _find(usage, model, provider, terms or {}, at)
    return found if found.cost is None or found.cost < MOST else UNKNOWN_USAGE


def _find(usage: Usage, model: str, provider: str, terms: Mapping[str, str], at: datetime) -> Price:
    override = _override(model, provider, at) if usage.is_whole else None
    searches = _searches(usage, model, provider, at) if override else None
    if override and searches is not None:
        return Price(override.cost(usage) + searches, override.source, override.version)
    if usage.told_cost is not None:
        return Price(usage.told_cost, TOLD)
    if not usage.is_whole:
        return UNKNOWN_USAGE
    cost = price_list.cost(usage, model, provider, terms, at)
    return Price(None, NO_PRICE) if cost is None else Price(cost, price_list.SOURCE, price_list.version())


def _searches(usage: Usage, model: str, provider: str, at: datetime) -> Decimal | None:
    """What searches of the web cost by the list: overrides have prices of tokens only."""
    if not usage.web_searches:
        return Decimal(0)
    return price_list.cost(Usage(0, 0, web_searches=usage.web_searches), model, provider, {}, at)


def _override(model: str, provider: str, at: datetime) -> overrides.Override | None:
    return overrides.closest((*overrides.of_settings(), *admin_prices.now()), model, provider, at)
