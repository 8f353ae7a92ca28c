"""Tokens of one request to a model, by kinds that mean the same for every provider."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from decimal import Decimal
from typing import Any, TypeGuard

MAX_TOKENS = 2**29  # of a kind: a number beyond that is garbage, and three of them fit a column of a database
INVALID, CONTRADICTION = "invalid_value", "contradiction"

# Each whole with parts that do not overlap, in the order in which they are looked at.
PARTS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("input_tokens", ("cached_input_tokens", "cache_write_tokens")),
    ("cache_write_tokens", ("cache_write_1h_tokens",)),
    ("input_tokens", ("audio_input_tokens",)),
    ("cached_input_tokens", ("cached_audio_tokens",)),
    ("audio_input_tokens", ("cached_audio_tokens",)),
    ("output_tokens", ("reasoning_tokens",)),
    ("output_tokens", ("audio_output_tokens", "image_output_tokens")),
)


@dataclass(frozen=True)
class Usage:
    """What one request used; None where the answer did not say, which is not 0.

    Input and output are all that is billed. Cached and written tokens are among the input, those written for an hour
    among the written, those of reasoning among the output; tokens of sound and images are among input and output as
    well. A value that cannot be (negative, fractional, text) and parts that are more than their whole are None, and
    named in ``refused``: what such a request has cost is unknown.
    """

    input_tokens: int | None = None
    output_tokens: int | None = None
    cached_input_tokens: int | None = None
    cache_write_tokens: int | None = None
    cache_write_1h_tokens: int | None = None
    reasoning_tokens: int | None = None
    audio_input_tokens: int | None = None
    cached_audio_tokens: int | None = None
    audio_output_tokens: int | None = None
    image_output_tokens: int | None = None
    web_searches: int | None = None
    told_cost: Decimal | None = field(default=None, kw_only=True)  # USD, where the provider bills and says it
    refused: tuple[tuple[str, str], ...] = field(default=(), kw_only=True, compare=False)  # kinds, each with a reason

    def __post_init__(self) -> None:
        given = {kind: value for kind in KINDS if (value := getattr(self, kind)) is not None}
        invalid = [kind for kind, value in given.items() if not is_count(value)]
        if not _is_cost(self.told_cost):
            invalid.append("told_cost")
        self._refuse(INVALID, *invalid)
        for whole, parts in PARTS:
            self._check(whole, parts)

    def __bool__(self) -> bool:
        """Whether anything is known."""
        return self.input_tokens is not None or self.output_tokens is not None

    @property
    def is_whole(self) -> bool:
        """Whether it is known well enough to be priced."""
        return not (self.refused or self.input_tokens is None or self.output_tokens is None)

    def told(self) -> dict[str, Any]:
        """What is known, as JSON holds it."""
        known = {item.name: getattr(self, item.name) for item in fields(self) if item.name != "refused"}
        return {name: _plain(value) for name, value in known.items() if value is not None}

    def _check(self, whole: str, parts: tuple[str, ...]) -> None:
        """Parts of an unknown whole are unknown; those of a smaller one contradict it."""
        given = [part for part in parts if getattr(self, part) is not None]
        total = getattr(self, whole)
        if given and total is None:
            self._forget(given)
        elif sum(getattr(self, part) for part in given) > (total or 0):
            self._refuse(CONTRADICTION, *given)

    def _refuse(self, reason: str, *kinds: str) -> None:
        self._forget(kinds)
        object.__setattr__(self, "refused", (*self.refused, *((kind, reason) for kind in kinds)))

    def _forget(self, kinds: Iterable[str]) -> None:
        for kind in kinds:
            object.__setattr__(self, kind, None)


KINDS = tuple(item.name for item in fields(Usage) if item.name not in ("told_cost", "refused"))


def from_told(told: Mapping[str, Any]) -> Usage:
    """What ``Usage.told()`` gave."""
    cost = told.get("told_cost")
    counts = [told.get(kind) for kind in KINDS]
    return Usage(*counts, told_cost=None if cost is None else Decimal(str(cost)))


def is_count(value: object) -> TypeGuard[int]:
    """Whether this can be a number of tokens."""
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MAX_TOKENS


def _is_cost(value: object) -> bool:
    return value is None or (isinstance(value, Decimal) and value.is_finite() and value >= 0)


def _plain(value: int | Decimal) -> int | str:
    return str(value) if isinstance(value, Decimal) else value
