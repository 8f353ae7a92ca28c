"""What the stand-ins for language models have in common: models, prompts, tokens, and answers made of the prompt."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

from project.sandbox.core import Answer, Piece, Refusal, Request, Service, Usage, events, to_json
from project.sandbox.websites import plan, website

CHARACTERS = 4  # of a token
PART = 40 * CHARACTERS  # of a text that is streamed
CACHEABLE = 1024  # tokens at the beginning of a prompt, below which nothing is cached
UNPRICED = "sandbox-unpriced"  # a model that has no price anywhere
PROSE = "Of course! I thought about your brief, and I would rather tell you about the website than write its files."


def dated(names: str) -> dict[str, str]:
    """Models by their names without the date at the end."""
    return {re.sub(r"-\d{4}(-?\d\d-?\d\d)?$", "", name): name for name in names.split()}


def tokens(text: str) -> int:
    """A token for every four characters begun: simple, so that sums can be checked."""
    return -(-len(text) // CHARACTERS)


def parts(text: str) -> list[str]:
    return [text[start : start + PART] for start in range(0, len(text), PART)]


def text_of(content: Any) -> str:
    """The text of a message, which is a string or a list of blocks."""
    if isinstance(content, list):
        return "".join(str(block.get("text", "")) for block in content if isinstance(block, dict))
    return str(content or "")


@dataclass
class Completion:
    """What a model says; ``whole`` unless the limit of tokens cut it short."""

    model: str
    text: str
    whole: bool
    usage: Usage


class LLM(Service):
    """Answers alike to the same request."""

    models: ClassVar[dict[str, str]]  # name -> name with its date
    failure: ClassVar[int]  # the status of an ``error_event`` where nothing is streamed

    def __init__(self) -> None:
        self._seen: set[int] = set()

    def model(self, request: Request) -> str:
        """The dated name of the model that is asked for."""
        given = request.json.get("model")
        if not isinstance(given, str):
            raise Refusal(400, "model: Field required")
        if given in {*self.models.values(), UNPRICED}:
            return given
        if given not in self.models:
            raise Refusal(404, f"The model `{given}` does not exist.", "model_not_found")
        return self.models[given]

    def complete(self, request: Request, usage: Usage, system: str, limit: int | None) -> Completion:
        """The completion of a prompt that has this usage of input, in at most ``limit`` tokens."""
        text = self.reply(request, system)
        room = len(text) if limit is None else max(0, limit - usage.reasoning_tokens) * CHARACTERS
        shown = text[:room]
        usage.output_tokens = usage.reasoning_tokens + tokens(shown)
        return Completion(self.model(request), shown, shown == text, usage)

    def send(self, request: Request, done: Completion) -> Answer:
        """The completion as a stream where one was asked for, else as one body."""
        fails = request.has_fault("error_event")
        if request.wants_stream:
            pieces = list(self.pieces(request, done))
            answer = events([*pieces[: len(pieces) // 2], self.broken()] if fails else pieces)
        elif fails:
            raise Refusal(self.failure, "The sandbox was asked to fail.")
        else:
            answer = to_json(self.body(done))
            answer.pieces = [Piece(answer.pieces[0].data, done.usage.output_tokens)]
        answer.model, answer.usage = done.model, done.usage
        return answer

    def body(self, done: Completion) -> dict[str, Any]:
        """The completion as one object."""
        raise NotImplementedError

    def pieces(self, request: Request, done: Completion) -> Iterator[Piece]:
        """The completion as events."""
        raise NotImplementedError

    def broken(self) -> Piece:
        """The event that says that the stream failed."""
        raise NotImplementedError

    def prompt(self, request: Request) -> list[dict[str, Any]]:
        found = request.json.get("messages")
        if not isinstance(found, list) or not found or not all(isinstance(each, dict) for each in found):
            raise Refusal(400, "messages: Field required")
        return found

    def reply(self, request: Request, system: str) -> str:
        """The text to a prompt: files when it has the word ``"files"`` in quotes, else a plan when it asks for one."""
        if request.has_fault("prose"):
            return PROSE
        asked = f"{system}\n{text_of(self.prompt(request)[-1].get('content'))}"
        if '"files"' in asked:
            return json.dumps({"files": website(asked)}, ensure_ascii=False)
        if re.search(r"\bplan\b", asked, re.IGNORECASE):
            return plan(asked)
        return f"The sandbox read {len(asked)} characters, and has nothing to add to them."

    def seen(self, model: str, prefix: str) -> bool:
        """Whether a prompt began like this before; from now on one did."""
        key = hash((model, prefix))
        known = key in self._seen
        self._seen.add(key)
        return known
