"""How each API tells what it used, as a table: where the numbers stand, and which of them are part of which.

"Beside" are numbers that the API does not count among their whole, so that they are added to it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

from .usage import CONTRADICTION, INVALID, Usage, is_count

OPENAI, ANTHROPIC, GEMINI, BEDROCK = "openai", "anthropic", "gemini", "bedrock"
EMBEDDINGS = "embeddings"  # of OpenAI's API

Step = str | tuple[str, str]  # a key of an object, or of a list's objects the one that has this key with this value
Path = tuple[Step, ...]
MOST_TOLD = 10**20  # of a cost, in its provider's units: beyond that it is garbage


@dataclass(frozen=True)
class Told:
    """Where the cost that a provider bills stands, and how many of its units are one USD."""

    path: Path
    per_usd: int = 1
    own_key: tuple[Path, Path] | None = None  # whether another's key paid, and what was paid there


@dataclass(frozen=True)
class Rule:
    """Where one shape of usage has its numbers; ``source`` is the documentation that says so."""

    source: str
    input: Path
    output: Path
    cached_input: tuple[Path, ...] = ()  # the first that is there
    cache_write: tuple[Path, ...] = ()
    cache_write_1h: Path = ()
    reasoning: Path = ()
    audio_input: Path = ()
    cached_audio: Path = ()
    audio_output: Path = ()
    image_output: Path = ()
    web_searches: Path = ()
    total: Path = ()
    beside_input: tuple[str, ...] = ()  # kinds that the input does not hold
    beside_output: tuple[str, ...] = ()
    more_input: Path = ()  # a number beside the input that is no kind of its own
    zeros_are_left_out: bool = False  # so that a missing number is 0 where the total agrees
    total_tells_reasoning: bool = False  # tokens beyond input and output are reasoning
    told: Told | None = None


def _path(text: str) -> Path:
    return tuple(text.split("."))


CHAT = Rule(
    # Reasoning is among the output, unless the total says that it is not: xAI counts it beside.
    # https://docs.cloud.google.com/vertex-ai/generative-ai/docs/partner-models/grok/capabilities/reasoning
    source="https://platform.openai.com/docs/api-reference/chat/object",
    input=_path("prompt_tokens"),
    output=_path("completion_tokens"),
    cached_input=(
        _path("prompt_tokens_details.cached_tokens"),  # OpenAI, Azure, Groq, Mistral, xAI, OpenRouter, vLLM
        _path("prompt_cache_hit_tokens"),  # https://api-docs.deepseek.com/guides/kv_cache
    ),
    cache_write=(_path("prompt_tokens_details.cache_write_tokens"),),  # OpenAI, OpenRouter
    reasoning=_path("completion_tokens_details.reasoning_tokens"),
    audio_input=_path("prompt_tokens_details.audio_tokens"),
    audio_output=_path("completion_tokens_details.audio_tokens"),
    total=_path("total_tokens"),
)
RESPONSES = Rule(
    source="https://platform.openai.com/docs/api-reference/responses/object",
    input=_path("input_tokens"),
    output=_path("output_tokens"),
    cached_input=(_path("input_tokens_details.cached_tokens"),),
    cache_write=(_path("input_tokens_details.cache_write_tokens"),),
    reasoning=_path("output_tokens_details.reasoning_tokens"),
    total=_path("total_tokens"),
)
MESSAGES = Rule(  # the same on Bedrock and Vertex
    source="https://platform.claude.com/docs/en/build-with-claude/prompt-caching#tracking-cache-performance",
    input=_path("input_tokens"),
    output=_path("output_tokens"),
    cached_input=(_path("cache_read_input_tokens"),),
    cache_write=(_path("cache_creation_input_tokens"),),
    cache_write_1h=_path("cache_creation.ephemeral_1h_input_tokens"),
    reasoning=_path("output_tokens_details.thinking_tokens"),
    web_searches=_path("server_tool_use.web_search_requests"),
    beside_input=("cached_input_tokens", "cache_write_tokens"),
)
CONVERSE = Rule(
    source="https://docs.aws.amazon.com/bedrock/latest/userguide/prompt-caching.html",
    input=_path("inputTokens"),
    output=_path("outputTokens"),
    cached_input=(_path("cacheReadInputTokens"), _path("cacheReadInputTokenCount")),  # the second: Nova, invoked
    cache_write=(_path("cacheWriteInputTokens"), _path("cacheWriteInputTokenCount")),
    cache_write_1h=("cacheDetails", ("ttl", "1h"), "inputTokens"),
    beside_input=("cached_input_tokens", "cache_write_tokens"),
)
GENERATE_CONTENT = Rule(
    source="https://ai.google.dev/api/generate-content#UsageMetadata",
    input=_path("promptTokenCount"),
    output=_path("candidatesTokenCount"),
    cached_input=(_path("cachedContentTokenCount"),),
    reasoning=_path("thoughtsTokenCount"),
    audio_input=("promptTokensDetails", ("modality", "AUDIO"), "tokenCount"),
    cached_audio=("cacheTokensDetails", ("modality", "AUDIO"), "tokenCount"),
    audio_output=("candidatesTokensDetails", ("modality", "AUDIO"), "tokenCount"),
    image_output=("candidatesTokensDetails", ("modality", "IMAGE"), "tokenCount"),
    total=_path("totalTokenCount"),
    beside_output=("reasoning_tokens",),
    more_input=_path("toolUsePromptTokenCount"),
    zeros_are_left_out=True,
)
OPENROUTER = Told(  # https://openrouter.ai/docs/use-cases/usage-accounting
    path=("cost",), own_key=(("is_byok",), _path("cost_details.upstream_inference_cost"))
)
XAI = Told(("cost_in_usd_ticks",), 10**10)  # https://docs.x.ai/developers/cost-tracking

# Of the shapes that an API has, the first whose input is there.
RULES: Mapping[str, tuple[Rule, ...]] = {
    OPENAI: (CHAT, RESPONSES),
    EMBEDDINGS: (replace(CHAT, output=()),),
    ANTHROPIC: (MESSAGES,),
    GEMINI: (GENERATE_CONTENT,),
    BEDROCK: (CONVERSE, MESSAGES),
}
# Providers whose answers in OpenAI's API differ from OpenAI's.
DIFFERENT: Mapping[str, Mapping[str, Any]] = {
    "x-ai": {"told": XAI},
    "openrouter": {"told": OPENROUTER},
    # Thoughts are in the total only: https://ai.google.dev/gemini-api/docs/openai
    "google": {"total_tells_reasoning": True},
}


def read_usage(api: str, said: Mapping[str, Any], provider: str = "") -> Usage:
    """What an answer of this API says that it used; nothing that it can say raises.

    ``said`` is the object named ``usage``, or ``usageMetadata`` of Gemini; ``provider`` is who answered.
    """
    rules = RULES[api]
    rule = next((rule for rule in rules if _find(said, rule.input) is not None), rules[0])
    if api in (OPENAI, EMBEDDINGS):
        rule = replace(rule, **DIFFERENT.get(provider, {}))
    counts = {
        "input_tokens": _find(said, rule.input),
        "output_tokens": _find(said, rule.output) if rule.output else 0,
        "cached_input_tokens": _first(said, rule.cached_input),
        "cache_write_tokens": _first(said, rule.cache_write),
        "cache_write_1h_tokens": _find(said, rule.cache_write_1h),
        "reasoning_tokens": _find(said, rule.reasoning),
        "audio_input_tokens": _find(said, rule.audio_input),
        "cached_audio_tokens": _find(said, rule.cached_audio),
        "audio_output_tokens": _find(said, rule.audio_output),
        "image_output_tokens": _find(said, rule.image_output),
        "web_searches": _find(said, rule.web_searches),
    }
    more, total = _find(said, rule.more_input), _find(said, rule.total)
    refused = [(name, INVALID) for name, value in (("more_input", more), ("total", total)) if _is_wrong(value)]
    if rule.zeros_are_left_out:
        _fill_zeros(counts, total, more, *(counts[kind] for kind in rule.beside_output))
    _add(counts, "input_tokens", more, *(counts[kind] for kind in rule.beside_input))
    _add(counts, "output_tokens", *(counts[kind] for kind in rule.beside_output))
    if not _explains(counts, total, rule.total_tells_reasoning):
        refused.append(("total", CONTRADICTION))
    return Usage(**counts, told_cost=_told_cost(said, rule.told), refused=tuple(refused))


def _fill_zeros(counts: dict[str, Any], total: object, *others: object) -> None:
    """Input and output that are missing are 0 where all the rest makes up the total."""
    wholes = ("input_tokens", "output_tokens")
    told = [count for count in (*(counts[whole] for whole in wholes), *others) if is_count(count)]
    if told and sum(told) == total:
        counts.update({whole: 0 for whole in wholes if counts[whole] is None})


def _add(counts: dict[str, Any], whole: str, *more: object) -> None:
    if is_count(counts[whole]):
        counts[whole] += sum(count for count in more if is_count(count))


def _explains(counts: dict[str, Any], total: object, tells_reasoning: bool) -> bool:
    """Whether input and output make up the total, at the latest with the reasoning that was beside them."""
    read, written, reasoning = counts["input_tokens"], counts["output_tokens"], counts["reasoning_tokens"]
    if not (is_count(read) and is_count(written) and is_count(total)):
        return True
    beyond = total - read - written
    if beyond > 0 and (beyond == reasoning or (tells_reasoning and not reasoning)):
        counts |= {"output_tokens": written + beyond, "reasoning_tokens": beyond}
        return True
    return beyond == 0


def _told_cost(said: Mapping[str, Any], told: Told | None) -> Decimal | None:
    """USD; what is no number becomes one that ``Usage`` refuses."""
    if told is None or (cost := _find(said, told.path)) is None:
        return None
    if told.own_key and _find(said, told.own_key[0]) is True:  # the provider charges its fee only
        there = _find(said, told.own_key[1])
        return None if there is None else _decimal(cost) + _decimal(there)
    return _decimal(cost) / told.per_usd


def _decimal(value: object) -> Decimal:
    if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < MOST_TOLD:
        return Decimal(repr(value))
    return Decimal("NaN")


def _is_wrong(value: object) -> bool:
    return value is not None and not is_count(value)


def _first(said: Mapping[str, Any], paths: tuple[Path, ...]) -> Any:
    return next((found for path in paths if (found := _find(said, path)) is not None), None)


def _find(said: Any, path: Path) -> Any:
    """What stands at a path, None where there is nothing."""
    found = said if path else None
    for step in path:
        if isinstance(step, str):
            found = found.get(step) if isinstance(found, Mapping) else None
        else:
            found = next(
                (item for item in _list(found) if isinstance(item, Mapping) and item.get(step[0]) == step[1]), None
            )
    return found


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
