"""The price list of ``genai-prices``, as it came with the package; without the package every price is unknown.

Its own way to read usage is not used: it knows no tokens of a model that it does not know.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from decimal import Decimal
from functools import cache, lru_cache
from importlib.metadata import version as version_of
from threading import Thread
from typing import TYPE_CHECKING

from .usage import Usage

if TYPE_CHECKING:
    from genai_prices.types import ModelInfo, Provider

SOURCE = "genai-prices"
UNITS = {
    "input_tokens": "input_tokens",
    "output_tokens": "output_tokens",
    "cached_input_tokens": "cache_read_tokens",
    "cache_write_tokens": "cache_write_tokens",
    "cache_write_1h_tokens": "cache_write_1h_tokens",
    "reasoning_tokens": "output_reasoning_tokens",
    "audio_input_tokens": "input_audio_tokens",
    "cached_audio_tokens": "cache_audio_read_tokens",
    "audio_output_tokens": "output_audio_tokens",
    "image_output_tokens": "output_image_tokens",
    "web_searches": "web_searches",
}
# What must have a price of its own where it was used; the rest costs what its whole costs.
NEEDED = {
    "input_tokens": "input_mtok",
    "output_tokens": "output_mtok",
    "audio_input_tokens": "input_audio_mtok",
    "audio_output_tokens": "output_audio_mtok",
    "image_output_tokens": "output_image_mtok",
    "web_searches": "web_searches_kcount",
}
SOUND_AS_TEXT = "google"  # whose models without a price for sound take that of text
PUBLISHER = "google/"  # before the names of models in OpenAI's API of Google's cloud
FREE = ":free"  # at the end of names of models that cost nothing
# Values of a term that say nothing of a price other than the usual one.
USUAL = {"", "default", "standard", "auto", "on_demand", "global", "not_available"}
# Claude within one region costs a tenth more, since its models of 4.5; the list tells so where the name does, on
# Bedrock: https://platform.claude.com/docs/en/about-claude/pricing#third-party-platform-pricing
REGIONS = ("location", "inference_geo")
REGIONAL = Decimal("0.1")
SAME_EVERYWHERE = re.compile(r"claude-3|claude-(opus|sonnet)-4(@|-0|-1|-2)")


@cache
def prepare() -> None:
    """Import the list beside the first request that will need it: that takes a quarter of a second."""
    with suppress(RuntimeError):  # this process is about to end
        Thread(target=_import, name="observability-prices", daemon=True).start()


def _import() -> None:
    with suppress(ImportError):
        import genai_prices.data  # noqa: F401


@cache
def version() -> str:
    """Of the list."""
    return version_of("genai-prices")


@lru_cache(maxsize=1024)
def provider_at(address: str) -> str:
    """Who answers at an address, "" where nobody knows: a gateway, a proxy, a model in the house."""
    with suppress(ImportError):
        from genai_prices.data_snapshot import get_snapshot

        return next((one.id for one in get_snapshot().providers if re.match(one.api_pattern, address)), "")
    return ""


@lru_cache(maxsize=1024)
def _find(model: str, provider: str) -> tuple[Provider, ModelInfo] | None:
    """The list's own search keeps whatever name it is asked for, without a bound."""
    from genai_prices.data_snapshot import find_provider_by_id, get_snapshot

    providers = get_snapshot().providers
    listed = find_provider_by_id(providers, provider)
    info = listed.find_model(model.removeprefix(PUBLISHER), all_providers=providers) if listed else None
    return (listed, info) if listed and info else None


def cost(usage: Usage, model: str, provider: str, terms: Mapping[str, str], at: datetime) -> Decimal | None:
    """USD by the list, None where it has no price of this model, of all that was used, or on these terms."""
    with suppress(ImportError, ValueError):  # ValueError: parts that the list takes for more than their whole
        from genai_prices import Usage as Listed

        if found := _find(model, provider):
            listed, info = found
            if _has_prices(info, listed, usage, at) and _has_terms(info, listed, terms, at):
                amounts = {unit: getattr(usage, kind) for kind, unit in UNITS.items()}
                price = info.calc_price(
                    Listed(**amounts), listed, genai_request_timestamp=at, price_context=dict(terms)
                )
                return price.total_price + (price.input_price + price.output_price) * _surcharge(model, terms)
    return None


def _has_prices(info: ModelInfo, listed: Provider, usage: Usage, at: datetime) -> bool:
    """Whether all that was used is in the list: what is not would be counted as free."""
    prices = {key for key, price in vars(info.get_prices(at)).items() if price is not None}
    if not prices:
        return info.id.endswith(FREE)
    used = [kind for kind in NEEDED if getattr(usage, kind)]
    return all(NEEDED[kind] in prices or (kind, listed.id) == ("audio_input_tokens", SOUND_AS_TEXT) for kind in used)


def _has_terms(info: ModelInfo, listed: Provider, terms: Mapping[str, str], at: datetime) -> bool:
    """Whether the list knows what a model costs on terms other than the usual ones, as on another tier."""
    unusual = {name: value for name, value in terms.items() if name not in REGIONS and value.lower() not in USUAL}
    own = info.price_variants or () if any(info is one for one in listed.models) else ()
    active = [variant.when for variant in own if variant.constraint is None or variant.constraint.active(at)]
    return all(any(when == {name: value} for when in active) for name, value in unusual.items())


def _surcharge(model: str, terms: Mapping[str, str]) -> Decimal:
    is_regional = any(terms.get(name, "").lower() not in USUAL for name in REGIONS)
    return REGIONAL if is_regional and "claude" in model and not SAME_EVERYWHERE.search(model) else Decimal(0)
