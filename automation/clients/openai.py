"""OpenAI's chat completions, which many others speak. https://platform.openai.com/docs/api-reference/chat"""

import time
from typing import Any

from automation import conf
from automation.clients.http import Sleep
from automation.clients.llm import LLM, Message, Told


class OpenAI(LLM):
    """OpenAI itself, or what speaks its API at OPENAI_URL."""

    name, provider, path = "OpenAI", "openai", "/chat/completions"

    def __init__(self, sleep: Sleep = time.sleep) -> None:
        access = conf.openai()
        super().__init__(access.url, {"Authorization": f"Bearer {access.key}"}, sleep)

    def _body(self, model: str, messages: list[Message], system: str, max_tokens: int, stream: bool) -> dict[str, Any]:
        instructions = [{"role": "system", "content": system}] if system else []
        body = {"model": model, "messages": instructions + messages, "max_completion_tokens": max_tokens}
        return body | ({"stream": True, "stream_options": {"include_usage": True}} if stream else {})

    def _read(self, answer: dict[str, Any]) -> tuple[str, str]:
        choice = answer["choices"][0]
        return choice["message"]["content"] or "", choice["finish_reason"]

    def _read_event(self, event: dict[str, Any]) -> tuple[str, str]:
        if error := event.get("error"):
            raise Told(error.get("code") or error.get("type"))
        if not event["choices"]:
            return "", ""  # the usage
        choice = event["choices"][0]
        return choice["delta"].get("content") or "", choice.get("finish_reason") or ""
