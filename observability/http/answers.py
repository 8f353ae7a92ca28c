"""What a model's answer tells, whole or event by event, in all the shapes that the APIs have."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

CONTENTS = {"choices", "content", "data", "output", "candidates", "promptFeedback"}  # one of them is in each body
# On which a price may depend, by the names that they have here.
TERMS = {
    "service_tier": "service_tier",
    "serviceTier": "service_tier",
    "speed": "speed",
    "inference_geo": "inference_geo",
}
TRAFFIC = "trafficType"  # Vertex's word for the tier, as ON_DEMAND_PRIORITY
LIMITED = ("rate_limit", "RESOURCE_EXHAUSTED", "ThrottlingException")
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
        elif isinstance(value, list) and value:  # Gemini's stream, where no events are asked for
            for event in value:
                self.take_event(event)
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
        candidates = [one for one in _list(value.get("candidates")) if isinstance(one, dict)]
        self.has_begun |= kind.endswith((".delta", "block_delta")) or any(map(_says_something, choices))
        self.has_begun |= any(one.get("content") for one in candidates)
        self.has_ended |= kind in LAST_EVENTS or any(choice.get("finish_reason") for choice in choices)
        self.has_ended |= "promptFeedback" in value or any(one.get("finishReason") for one in candidates)

    def _learn(self, part: dict[str, Any]) -> None:
        model = part.get("model") or part.get("modelVersion")
        if isinstance(model, str):
            self.model = model
        for usage in _usages(part):  # later numbers replace earlier ones: they are sums
            self.usage |= {name: number for name, number in usage.items() if number is not None}
        told = self.usage | part  # Anthropic and Gemini tell their terms within the usage
        self.terms |= dict(_terms(told))
        if part.get("type") == "error" or part.get("error"):
            is_limit = any(word in str(part.get("error")) for word in LIMITED)
            self.failure = "rate_limited" if is_limit else "error"


def _usages(part: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Also Groq's, which a stream has in a place of its own."""
    groq = part.get("x_groq")
    for usage in (part.get("usage"), part.get("usageMetadata"), groq.get("usage") if isinstance(groq, dict) else None):
        if isinstance(usage, dict):
            yield usage


def _terms(told: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for theirs, name in TERMS.items():
        value = told.get(theirs)
        if isinstance(value, dict):  # Bedrock's
            value = value.get("type")
        if isinstance(value, str):
            yield name, value
    if isinstance(traffic := told.get(TRAFFIC), str):
        yield "service_tier", traffic.lower().removeprefix("on_demand").lstrip("_")


def _says_something(choice: dict[str, Any]) -> bool:
    """Whether an event has a token in it; the first one often only names the role."""
    delta = choice.get("delta")
    return isinstance(delta, dict) and any(said for name, said in delta.items() if name != "role")


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
