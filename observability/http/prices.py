"""What tokens cost, by the price list of ``genai-prices``; without the package every price is unknown."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from decimal import Decimal
from functools import cache
from threading import Thread
from typing import Any

from .usage import Usage


@cache
def prepare() -> None:
    """Import the list beside the first request that will need it: that takes a quarter of a second."""
    with suppress(RuntimeError):  # this process is about to end
        Thread(target=_import, name="observability-prices", daemon=True).start()


def _import() -> None:
    with suppress(ImportError):
        import genai_prices.data  # noqa: F401


def cost(usage: Usage, model: str, address: str, api: str, terms: Mapping[str, str]) -> Decimal | None:
    """USD; None where no price is known.

    It is the price of the provider at this address; at an unknown one (a gateway, a proxy) of the one whose API it is.
    ``terms`` are what else it depends on, as the tier of the service.
    """
    if not usage:
        return None
    usd = _cost(usage, model, terms, provider_api_url=address)
    return _cost(usage, model, terms, provider_id=api) if usd is None else usd


def _cost(usage: Usage, model: str, terms: Mapping[str, str], **provider: Any) -> Decimal | None:
    with suppress(ImportError, LookupError, ValueError):  # ValueError: a sum that cannot be
        from genai_prices import Usage as Priced
        from genai_prices import calc_price

        tokens = Priced(
            input_tokens=usage.input_tokens,
            output_tokens=usage.output_tokens,
            cache_read_tokens=usage.cached_input_tokens,
            cache_write_tokens=usage.cache_write_tokens,
            cache_write_1h_tokens=usage.cache_write_1h_tokens,
        )
        return calc_price(tokens, model, price_context=terms, **provider).total_price
    return None
