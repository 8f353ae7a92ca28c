"""What a model's answer tells, whole or event by event, in all the shapes that the two APIs have."""

from __future__ import annotations

from typing import Any

CONTENTS = {"choices", "content", "data", "output"}  # one of them is in each body
TERMS = ("service_tier", "speed")  # on which a price may depend
LAST_EVENTS = {"done", "message_stop", "response.completed", "response.incomplete"}


class Answer:
    """What was told so far; nothing in it is certain to be of the shape that the documentation promises."""

    def __init__(self) -> None:
        self.model = ""
        self.usage: dict[str, Any] = {}
        self.terms: dict[str, str] = {}
        self.failure = ""  # error or rate_limited, once the answer says so of itself
        self.has_begun = False  # to say what was asked for
        self.has_ended = False

    def take_body(self, value: Any) -> None:
        """Learn from a whole body; None is what could not be read."""
        if isinstance(value, dict) and CONTENTS & value.keys():
            self._learn(value)
        else:
            self.failure = "error"

    def take_event(self, value: Any) -> None:
        """Learn from one event of a stream."""
        if not isinstance(value, dict):
            self.failure = "error"
            return
        kind = str(value.get("type"))
        # Anthropic's first event has a message, OpenAI's last one a response; all others are flat.
        for part in (value, value.get("message"), value.get("response")):
            if isinstance(part, dict):
                self._learn(part)
        if kind == "message_start":
            self.usage.pop("output_tokens", None)  # a placeholder: nothing has been written yet
        choices = [choice for choice in _list(value.get("choices")) if isinstance(choice, dict)]
        self.has_begun |= kind.endswith((".delta", "block_delta")) or any(map(_says_something, choices))
        self.has_ended |= kind in LAST_EVENTS or any(choice.get("finish_reason") for choice in choices)

    def _learn(self, part: dict[str, Any]) -> None:
        if isinstance(part.get("model"), str):
            self.model = part["model"] or self.model
        if isinstance(part.get("usage"), dict):  # later numbers replace earlier ones: they are sums
            self.usage |= {name: number for name, number in part["usage"].items() if number is not None}
        told = self.usage | part  # Anthropic tells its terms within the usage
        self.terms |= {name: told[name] for name in TERMS if isinstance(told.get(name), str)}
        if part.get("type") == "error" or part.get("error"):
            self.failure = "rate_limited" if "rate_limit" in str(part.get("error")) else "error"


def _says_something(choice: dict[str, Any]) -> bool:
    """Whether an event has a token in it; the first one often only names the role."""
    delta = choice.get("delta")
    return isinstance(delta, dict) and any(said for name, said in delta.items() if name != "role")


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
