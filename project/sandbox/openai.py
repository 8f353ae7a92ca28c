"""OpenAI: chat completions, streamed or not.

Shapes: https://platform.openai.com/docs/api-reference/chat.
"""

import json
import time
from collections.abc import Iterator
from typing import Any

from project.sandbox.core import Answer, Piece, Refusal, Request, Usage, new_id, to_json
from project.sandbox.llm import CACHEABLE, LLM, Completion, dated, parts, text_of, tokens

CACHE_STEP = 128  # tokens
TYPES = {429: "requests"}
CODES = {401: "invalid_api_key", 429: "rate_limit_exceeded"}
FAILED = {"message": "The server had an error while processing your request.", "type": "server_error"}


class OpenAI(LLM):
    """Reasoning models think half as long as they write; a long first message that was sent before is cached."""

    name = "openai"
    failure = 500
    routes = (("POST", "/v1/chat/completions", "chat_completions"),)
    models = dated(
        "gpt-4-0613 gpt-4o-2024-08-06 gpt-4o-mini-2024-07-18 gpt-4.1-2025-04-14 gpt-4.1-mini-2025-04-14"
        " gpt-5-2025-08-07 gpt-5.4-mini-2026-03-17 gpt-5.5-2026-04-23 o3-mini-2025-01-31"
    )

    def answer(self, request: Request, operation: str, arguments: dict[str, str]) -> Answer:
        answer = super().answer(request, operation, arguments)
        left = "0" if answer.status == 429 else "499"
        limits = {"x-ratelimit-limit-requests": "500", "x-ratelimit-remaining-requests": left}
        answer.headers |= limits | {"x-ratelimit-reset-requests": "120ms", "x-request-id": new_id("req_")}
        return answer

    def refused(self, refusal: Refusal) -> Answer:
        status = refusal.status
        kind = TYPES.get(status, "server_error" if status >= 500 else "invalid_request_error")
        code = refusal.code or CODES.get(status)
        error = {"message": refusal.message, "type": kind, "param": None, "code": code}
        return to_json({"error": error}, status, refusal.headers)

    def authorize(self, request: Request) -> None:
        if not request.bearer:
            raise Refusal(401, "You didn't provide an API key.")

    def chat_completions(self, request: Request) -> Answer:
        model, messages = self.model(request), self.prompt(request)
        usage = Usage(sum(tokens(text_of(each.get("content"))) for each in messages))
        usage.cached_tokens = self.cached(model, text_of(messages[0].get("content")))
        system = [text_of(each.get("content")) for each in messages if each.get("role") in {"system", "developer"}]
        if model.startswith(("o", "gpt-5")):
            usage.reasoning_tokens = tokens(self.reply(request, "".join(system))) // 2
        return self.send(request, self.complete(request, usage, "".join(system), _limit(request, usage)))

    def cached(self, model: str, first: str) -> int:
        long = tokens(first) >= CACHEABLE
        return tokens(first) // CACHE_STEP * CACHE_STEP if long and self.seen(model, first) else 0

    def body(self, done: Completion) -> dict[str, Any]:
        message = {"role": "assistant", "content": done.text, "refusal": None}
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": _finish(done)}
        return _head("chat.completion", done) | {"choices": [choice], "usage": _usage(done.usage)}

    def pieces(self, request: Request, done: Completion) -> Iterator[Piece]:
        head = _head("chat.completion.chunk", done)
        with_usage = (request.json.get("stream_options") or {}).get("include_usage")
        if with_usage:
            head["usage"] = None
        first = {"role": "assistant", "content": "", "refusal": None}
        yield _event(head | _choice(first), done.usage.reasoning_tokens)
        for part in parts(done.text):
            yield _event(head | _choice({"content": part}), tokens(part))
        yield _event(head | _choice({}, _finish(done)))
        if with_usage:
            yield _event(head | {"choices": [], "usage": _usage(done.usage)})
        yield Piece(b"data: [DONE]\n\n")

    def broken(self) -> Piece:
        return _event({"error": FAILED | {"param": None, "code": None}})


def _limit(request: Request, usage: Usage) -> int | None:
    body = request.json
    if usage.reasoning_tokens and "max_tokens" in body:
        advice = "Use 'max_completion_tokens' instead."
        raise Refusal(400, f"'max_tokens' is not supported with this model. {advice}", "unsupported_parameter")
    return body.get("max_completion_tokens") or body.get("max_tokens")


def _head(kind: str, done: Completion) -> dict[str, Any]:
    made = {"id": new_id("chatcmpl-"), "object": kind, "created": int(time.time())}
    return made | {"model": done.model, "service_tier": "default", "system_fingerprint": "fp_sandbox"}


def _choice(delta: dict[str, Any], finish: str | None = None) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}]}


def _finish(done: Completion) -> str:
    return "stop" if done.whole else "length"


def _usage(usage: Usage) -> dict[str, Any]:
    return {
        "prompt_tokens": usage.input_tokens,
        "completion_tokens": usage.output_tokens,
        "total_tokens": usage.input_tokens + usage.output_tokens,
        "prompt_tokens_details": {"cached_tokens": usage.cached_tokens, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": usage.reasoning_tokens, "audio_tokens": 0},
    }


def _event(data: dict[str, Any], tokens_in_it: int = 0) -> Piece:
    return Piece(f"data: {json.dumps(data)}\n\n".encode(), tokens_in_it)
