"""Tokens, from what a model's answer says of them: https://platform.openai.com/docs/api-reference and
https://docs.anthropic.com/en/api/messages.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

MAX_TOKENS = 2**29  # of a kind: a number beyond that is garbage, and three of them fit a column of a database


@dataclass(frozen=True)
class Usage:
    """Tokens of one request; None where the answer did not say.

    Input and output are all that is billed. Cached and written ones are among the input, those of reasoning among the
    output, and those written for an hour, at a higher price, among the written.
    """

    input_tokens: int | None = None
    output_tokens: int | None = None
    cached_input_tokens: int | None = None
    cache_write_tokens: int | None = None
    cache_write_1h_tokens: int | None = None
    reasoning_tokens: int | None = None

    def __bool__(self) -> bool:
        """Whether anything is known."""
        return self.input_tokens is not None or self.output_tokens is not None


def of_openai(said: Mapping[str, Any]) -> Usage:
    """Of chat completions and embeddings (prompt and completion), or of responses (input and output)."""
    read = _tokens(said, "prompt_tokens", "input_tokens")
    written = _tokens(said, "completion_tokens", "output_tokens")
    read_details = _mapping(said, "prompt_tokens_details", "input_tokens_details")
    written_details = _mapping(said, "completion_tokens_details", "output_tokens_details")
    cached, cache_write = _parts(
        read, _tokens(read_details, "cached_tokens"), _tokens(read_details, "cache_write_tokens")
    )
    (reasoning,) = _parts(written, _tokens(written_details, "reasoning_tokens"))
    return Usage(read, written, cached, cache_write, None, reasoning)


def of_anthropic(said: Mapping[str, Any]) -> Usage:
    """Here, input is what neither came from the cache nor went into it: it is added up."""
    fresh, written = _tokens(said, "input_tokens"), _tokens(said, "output_tokens")
    cached = _tokens(said, "cache_read_input_tokens")
    cache_write = _tokens(said, "cache_creation_input_tokens")
    (for_an_hour,) = _parts(cache_write, _tokens(_mapping(said, "cache_creation"), "ephemeral_1h_input_tokens"))
    (reasoning,) = _parts(written, _tokens(_mapping(said, "output_tokens_details"), "thinking_tokens"))
    read = None if fresh is None else fresh + (cached or 0) + (cache_write or 0)
    return Usage(read, written, cached, cache_write, for_an_hour, reasoning)


def _tokens(said: Mapping[str, Any], *names: str) -> int | None:
    found = (said.get(name) for name in names)
    return next((n for n in found if isinstance(n, int) and not isinstance(n, bool) and 0 <= n <= MAX_TOKENS), None)


def _parts(whole: int | None, *parts: int | None) -> tuple[int | None, ...]:
    """The parts, none where together they are more than the whole."""
    fits = whole is not None and sum(part or 0 for part in parts) <= whole
    return parts if fits else (None,) * len(parts)


def _mapping(said: Mapping[str, Any], *names: str) -> Mapping[str, Any]:
    return next((said[name] for name in names if isinstance(said.get(name), dict)), {})
