"""Prices of a project's own, which go before those of the list."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal, DecimalException
from difflib import get_close_matches
from fnmatch import translate
from functools import lru_cache
from typing import Any

from django.core.signals import setting_changed

from observability.conf import get_conf

from .usage import Usage

SETTINGS, ADMIN = "settings", "admin"
MILLION = 1_000_000
MOST = Decimal(1_000_000)  # USD per million tokens
# The prices that there are, each with the one that holds where it is not given.
PRICES: Mapping[str, str] = {
    "input": "",
    "output": "",
    "cached_input": "input",
    "cache_write": "input",
    "cache_write_1h": "cache_write",
    "reasoning": "output",
    "audio_input": "input",
    "audio_output": "output",
}
REQUIRED = ("model", "input", "output")
KEYS = ("model", "provider", "since", *PRICES)


class NotAPrice(ValueError):
    """What an entry of the settings lacks, in words."""


@dataclass(frozen=True)
class Override:
    """What a model costs from a day on, in USD per million tokens. ``*`` in the name stands for anything."""

    model: str
    provider: str  # "": whoever it is
    since: date
    prices: Mapping[str, Decimal] = field(hash=False)
    source: str = SETTINGS

    def holds(self, model: str, provider: str, day: date) -> bool:
        return self.since <= day and self.provider in ("", provider) and bool(_pattern(self.model).match(model))

    @property
    def rank(self) -> tuple[object, ...]:
        """The closest goes before: by its name, its provider, its day, and the admin before the settings."""
        return "*" not in self.model, len(self.model), self.provider != "", self.since, self.source == ADMIN

    @property
    def version(self) -> str:
        return "" if self.since == date.min else self.since.isoformat()

    def price(self, name: str) -> Decimal:
        return self.prices[name] if name in self.prices else self.price(PRICES[name])

    def cost(self, usage: Usage) -> Decimal:
        """USD; nothing is counted twice."""
        amounts = dict(_split(usage))
        return sum((self.price(name) * amount for name, amount in amounts.items()), Decimal(0)) / MILLION


@lru_cache(maxsize=1024)
def _pattern(model: str) -> re.Pattern[str]:
    """Only the star is special: other names have brackets."""
    return re.compile(translate(model.replace("[", "[[]").replace("?", "[?]")), re.IGNORECASE)


def _split(usage: Usage) -> Iterable[tuple[str, int]]:
    """Each token under one price: sound that came from the cache under the cache's."""
    read, written = usage.input_tokens or 0, usage.output_tokens or 0
    cached, into_cache = usage.cached_input_tokens or 0, usage.cache_write_tokens or 0
    for_an_hour = usage.cache_write_1h_tokens or 0
    heard = min((usage.audio_input_tokens or 0) - (usage.cached_audio_tokens or 0), read - cached - into_cache)
    reasoning = usage.reasoning_tokens or 0
    said = min(usage.audio_output_tokens or 0, written - reasoning)
    yield from (("cached_input", cached), ("cache_write", into_cache - for_an_hour), ("cache_write_1h", for_an_hour))
    yield from (("audio_input", heard), ("input", read - cached - into_cache - heard))
    yield from (("reasoning", reasoning), ("audio_output", said), ("output", written - reasoning - said))


@lru_cache(maxsize=1)
def of_settings() -> tuple[Override, ...]:
    """Those of AI_PRICES; an entry that makes no sense is left out, and ``checks`` tells of it."""
    found = []
    for entry in get_conf().AI_PRICES:
        with suppress(NotAPrice):
            found.append(parse(entry))
    return tuple(found)


def _forget_settings(*, setting: str, **kwargs: object) -> None:
    if setting == "OBSERVABILITY":
        of_settings.cache_clear()


setting_changed.connect(_forget_settings, dispatch_uid="observability.spend.overrides._forget_settings")


def parse(entry: Mapping[str, Any]) -> Override:
    """The override that an entry of AI_PRICES means; raises NotAPrice."""
    for key in entry:
        if key not in KEYS:
            close = get_close_matches(str(key), KEYS, n=1)
            raise NotAPrice(f"it has a key {key!r}; " + (f"is that {close[0]!r}?" if close else "there is none such"))
    if missing := [key for key in REQUIRED if key not in entry]:
        raise NotAPrice(f"it lacks {' and '.join(missing)}")
    model, provider = entry["model"], entry.get("provider", "")
    if not (isinstance(model, str) and model and isinstance(provider, str)):
        raise NotAPrice("model and provider are names")
    prices = {name: _price(name, entry[name]) for name in PRICES if name in entry}
    return Override(model, provider, _day(entry.get("since", date.min)), prices)


def _price(name: str, value: object) -> Decimal:
    """Not from a float, which is seldom the number that was written."""
    if isinstance(value, str | int | Decimal) and not isinstance(value, bool):
        with suppress(DecimalException):
            price = Decimal(value)
            if price.is_finite() and 0 <= price < MOST:
                return price
    raise NotAPrice(f"{name} is {value!r}, and not a number of USD per million tokens, as Decimal or in quotes")


def _day(value: object) -> date:
    if isinstance(value, date) and not isinstance(value, datetime):
        return value
    with suppress(ValueError, TypeError):
        return date.fromisoformat(value)  # type: ignore[arg-type]
    raise NotAPrice(f"since is {value!r}, and not a day, as '2026-11-30'")


def closest(those: Iterable[Override], model: str, provider: str, at: datetime) -> Override | None:
    """The one that holds for a model at a time."""
    day = at.astimezone(UTC).date()
    holding = [one for one in those if one.holds(model, provider, day)]
    return max(holding, key=lambda one: one.rank, default=None)
