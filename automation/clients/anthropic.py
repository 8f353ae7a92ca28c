"""Anthropic's messages. https://docs.anthropic.com/en/api/messages"""

import time
from typing import Any

from automation import conf
from automation.clients.http import Sleep
from automation.clients.llm import LLM, Message, Told

VERSION = "2023-06-01"


class Anthropic(LLM):
    """Anthropic at ANTHROPIC_URL."""

    name, provider, path = "Anthropic", "anthropic", "/v1/messages"

    def __init__(self, sleep: Sleep = time.sleep) -> None:
        access = conf.anthropic()
        super().__init__(access.url, {"x-api-key": access.key, "anthropic-version": VERSION}, sleep)

    def _body(self, model: str, messages: list[Message], system: str, max_tokens: int, stream: bool) -> dict[str, Any]:
        body: dict[str, Any] = {"model": model, "messages": messages, "max_tokens": max_tokens, "stream": stream}
        return body | ({"system": system} if system else {})

    def _read(self, answer: dict[str, Any]) -> tuple[str, str]:
        texts = [block["text"] for block in answer["content"] if block["type"] == "text"]
        return "".join(texts), answer["stop_reason"]

    def _read_event(self, event: dict[str, Any]) -> tuple[str, str]:
        match event:
            case {"type": "error", "error": {"type": str(code)}}:
                raise Told(code)
            case {"type": "content_block_delta", "delta": {"type": "text_delta", "text": str(text)}}:
                return text, ""
            case {"type": "message_delta", "delta": {"stop_reason": str(reason)}}:
                return "", reason
            case {"type": str()}:
                return "", ""
        raise TypeError("no event")
