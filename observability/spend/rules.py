"""How each API tells what it used, as a table: where the numbers stand, and which of them are part of which.

"Beside" are numbers that the API does not count among their whole, so that they are added to it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import cache
from typing import Any

from .usage import CONTRADICTION, INVALID, KINDS, Usage, is_count

OPENAI, ANTHROPIC, GEMINI, BEDROCK = "openai", "anthropic", "gemini", "bedrock"
EMBEDDINGS = "embeddings"  # of OpenAI's API

Step = str | tuple[str, str]  # a key of an object, or of a list's objects the one that has this key with this value
STEP = re.compile(r"\[?([^.\[\]=]+)(?:=([^\]]+)\])?")
MOST_TOLD = 10**20  # of a cost, in its provider's units: beyond that it is garbage


@dataclass(frozen=True)
class Told:
    """Where the cost that a provider bills stands, and how many of its units are one USD."""

    path: str
    per_usd: int = 1
    own_key: tuple[str, str] = ("", "")  # whether a key of the customer's own paid elsewhere, and what


@dataclass(frozen=True)
class Rule:
    """Where one shape of usage has its numbers; ``source`` is the documentation that says so.

    A path is as ``details.cached``, or ``details[modality=AUDIO].count`` for one of a list; the first that is there
    counts.
    """

    source: str
    paths: Mapping[str, tuple[str, ...]]
    total: str = ""
    beside_input: tuple[str, ...] = ()  # kinds, or paths of numbers that are no kind, which the input does not hold
    beside_output: tuple[str, ...] = ()
    writes_nothing: bool = False
    zeros_are_left_out: bool = False  # so that a missing number is 0 where the total agrees
    total_tells_reasoning: bool = False  # tokens beyond input and output are reasoning
    elsewhere: str = ""  # a list of steps, of which the numbers hold only those of type message
    told: Told | None = None


CHAT = Rule(
    source="https://platform.openai.com/docs/api-reference/chat/object",
    paths={
        "input_tokens": ("prompt_tokens",),
        "output_tokens": ("completion_tokens",),
        "cached_input_tokens": (
            "prompt_tokens_details.cached_tokens",  # OpenAI, Azure, Groq, Mistral, xAI, OpenRouter, vLLM
            "prompt_cache_hit_tokens",  # https://api-docs.deepseek.com/guides/kv_cache
        ),
        "cache_write_tokens": ("prompt_tokens_details.cache_write_tokens",),  # OpenAI, OpenRouter
        "reasoning_tokens": ("completion_tokens_details.reasoning_tokens",),
        "audio_input_tokens": ("prompt_tokens_details.audio_tokens",),
        "audio_output_tokens": ("completion_tokens_details.audio_tokens",),
    },
    # Reasoning is among the output, unless the total says that it is not: xAI counts it beside.
    # https://docs.cloud.google.com/vertex-ai/generative-ai/docs/partner-models/grok/capabilities/reasoning
    total="total_tokens",
)
RESPONSES = Rule(
    source="https://platform.openai.com/docs/api-reference/responses/object",
    paths={
        "input_tokens": ("input_tokens",),
        "output_tokens": ("output_tokens",),
        "cached_input_tokens": ("input_tokens_details.cached_tokens",),
        "cache_write_tokens": ("input_tokens_details.cache_write_tokens",),
        "reasoning_tokens": ("output_tokens_details.reasoning_tokens",),
    },
    total="total_tokens",
)
MESSAGES = Rule(  # the same on Bedrock, Vertex and Azure
    source="https://platform.claude.com/docs/en/build-with-claude/prompt-caching#tracking-cache-performance",
    paths={
        "input_tokens": ("input_tokens",),
        "output_tokens": ("output_tokens",),
        "cached_input_tokens": ("cache_read_input_tokens",),
        "cache_write_tokens": ("cache_creation_input_tokens",),
        "cache_write_1h_tokens": ("cache_creation.ephemeral_1h_input_tokens",),
        "reasoning_tokens": ("output_tokens_details.thinking_tokens",),
        "web_searches": ("server_tool_use.web_search_requests",),
    },
    beside_input=("cached_input_tokens", "cache_write_tokens"),
    elsewhere="iterations",  # https://platform.claude.com/docs/en/build-with-claude/compaction#understanding-usage
)
CONVERSE = Rule(
    source="https://docs.aws.amazon.com/bedrock/latest/userguide/prompt-caching.html",
    paths={
        "input_tokens": ("inputTokens",),
        "output_tokens": ("outputTokens",),
        # The second of each is that of Nova, where it is invoked.
        "cached_input_tokens": ("cacheReadInputTokens", "cacheReadInputTokenCount"),
        "cache_write_tokens": ("cacheWriteInputTokens", "cacheWriteInputTokenCount"),
        "cache_write_1h_tokens": ("cacheDetails[ttl=1h].inputTokens",),
    },
    beside_input=("cached_input_tokens", "cache_write_tokens"),
)
GENERATE_CONTENT = Rule(
    source="https://ai.google.dev/api/generate-content#UsageMetadata",
    paths={
        "input_tokens": ("promptTokenCount",),
        "output_tokens": ("candidatesTokenCount",),
        "cached_input_tokens": ("cachedContentTokenCount",),
        "reasoning_tokens": ("thoughtsTokenCount",),
        "audio_input_tokens": ("promptTokensDetails[modality=AUDIO].tokenCount",),
        "cached_audio_tokens": ("cacheTokensDetails[modality=AUDIO].tokenCount",),
        "audio_output_tokens": ("candidatesTokensDetails[modality=AUDIO].tokenCount",),
        "image_output_tokens": ("candidatesTokensDetails[modality=IMAGE].tokenCount",),
    },
    total="totalTokenCount",
    beside_input=("toolUsePromptTokenCount",),
    beside_output=("reasoning_tokens",),
    zeros_are_left_out=True,
)
OPENROUTER = Told(  # https://openrouter.ai/docs/use-cases/usage-accounting
    "cost", own_key=("is_byok", "cost_details.upstream_inference_cost")
)
XAI = Told("cost_in_usd_ticks", 10**10)  # https://docs.x.ai/developers/cost-tracking

# Of the shapes that an API has, the first whose input is there.
RULES: Mapping[str, tuple[Rule, ...]] = {
    OPENAI: (CHAT, RESPONSES),
    EMBEDDINGS: (replace(CHAT, writes_nothing=True),),
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
    rule = _rule(api, said, provider)
    counts = {kind: _first(said, rule.paths.get(kind, ())) for kind in KINDS}
    if rule.writes_nothing:
        counts["output_tokens"] = 0
    beside = {
        name: counts[name] if name in counts else _find(said, name)
        for name in (*rule.beside_input, *rule.beside_output)
    }
    total = _find(said, rule.total)
    refused = [(name, INVALID) for name, value in (beside | {rule.total: total}).items() if _is_wrong(value)]
    if rule.zeros_are_left_out:
        _fill_zeros(counts, total, *beside.values())
    _add(counts, "input_tokens", *(beside[name] for name in rule.beside_input))
    _add(counts, "output_tokens", *(beside[name] for name in rule.beside_output))
    if not _explains(counts, total, rule.total_tells_reasoning):
        refused.append((rule.total, CONTRADICTION))
    if not _holds_all(_find(said, rule.elsewhere)):
        refused.append((rule.elsewhere, CONTRADICTION))
    refused = [(name, reason) for name, reason in refused if name not in counts]  # ``Usage`` looks at kinds itself
    return Usage(**counts, told_cost=_told_cost(said, rule.told), refused=tuple(refused))


def _rule(api: str, said: Mapping[str, Any], provider: str) -> Rule:
    rules = RULES[api]
    rule = next((rule for rule in rules if _first(said, rule.paths["input_tokens"]) is not None), rules[0])
    return replace(rule, **DIFFERENT.get(provider, {})) if api in (OPENAI, EMBEDDINGS) else rule


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


def _holds_all(steps: object) -> bool:
    """Whether no step was of another kind, or of another model, whose tokens are told beside the numbers."""
    return all(isinstance(step, Mapping) and step.get("type") == "message" for step in _list(steps))


def _told_cost(said: Mapping[str, Any], told: Told | None) -> Decimal | None:
    """USD; what is no such number becomes one that ``Usage`` refuses."""
    if told is None or (cost := _find(said, told.path)) is None:
        return None
    is_own_key, elsewhere = (_find(said, path) for path in told.own_key)
    if is_own_key is True:  # the provider charges its fee only
        return None if elsewhere is None else _decimal(cost) + _decimal(elsewhere)
    return _decimal(cost) / told.per_usd


def _decimal(value: object) -> Decimal:
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < MOST_TOLD:
        return Decimal(repr(value))
    return Decimal("NaN")


def _is_wrong(value: object) -> bool:
    return value is not None and not is_count(value)


def _first(said: Mapping[str, Any], paths: tuple[str, ...]) -> Any:
    return next((found for path in paths if (found := _find(said, path)) is not None), None)


def _find(said: Any, path: str) -> Any:
    """What stands at a path, None where there is nothing."""
    found = said if path else None
    for step in _steps(path):
        if isinstance(step, str):
            found = found.get(step) if isinstance(found, Mapping) else None
        else:
            found = _one_of(found, *step)
    return found


def _one_of(items: Any, key: str, value: str) -> Any:
    return next((item for item in _list(items) if isinstance(item, Mapping) and item.get(key) == value), None)


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


@cache
def _steps(path: str) -> tuple[Step, ...]:
    """``a.b[c=d].e`` step by step."""
    return tuple((one, two) if two else one for one, two in STEP.findall(path))
