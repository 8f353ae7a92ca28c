"""Job types: pipelines of named steps, registered by their names."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import pydantic
from django.core.exceptions import ImproperlyConfigured

from automation.errors import InvalidPayload, UnknownJobType
from observability.metrics import expect_labels

Function = Callable[..., Any]  # takes the Run; sync or async
Each = Callable[[Any], Iterable[str]]  # takes the payload


@dataclass(frozen=True)
class StepType:
    """What is done in a step, and how often it is tried; the name is a metric label, hence one of a closed set."""

    name: str
    function: Function
    retries: int
    backoff: float
    each: Each | None


class Pipeline:
    """A job type: the model of its payload, and its steps in the order in which they are declared."""

    def __init__(self, name: str, *, payload: type[pydantic.BaseModel]) -> None:
        if name in _registry:
            raise ImproperlyConfigured(f"There are two job types {name!r}.")
        self.name = name
        self.payload = payload
        self.steps: dict[str, StepType] = {}
        self.make_result: Function | None = None
        _registry[name] = self
        expect_labels(job_type=[name])

    def step(
        self, function: Function | None = None, /, *, retries: int = 0, backoff: float = 1.0, each: Each | None = None
    ) -> Function:
        """Declare the decorated function as the next step, under its name.

        It gets the Run and returns what JSON can hold. After an error that may pass it is tried up to `retries` times
        more, after `backoff` seconds, twice that, and so on. With `each`, which gives texts out of the payload, there
        is one such step for each text, and the function gets that as well; all of them are tried before a Failure of
        one ends the job.
        """

        def declare(function: Function) -> Function:
            name = function.__name__
            if name in self.steps:
                raise ImproperlyConfigured(f"Job type {self.name!r} has two steps {name!r}.")
            self.steps[name] = StepType(name, function, retries, backoff, each)
            expect_labels(step=[name])
            return function

        return declare(function) if function else declare

    def result(self, function: Function) -> Function:
        """Let the decorated function make the job's result of the Run; else it is what the last step returned."""
        self.make_result = function
        return function

    def validate(self, payload: object) -> Any:
        """Return the payload as the pipeline's model, or raise InvalidPayload."""
        try:
            return self.payload.model_validate(payload)
        except pydantic.ValidationError as exc:
            # the original is not chained: it quotes the input, which may hold what a log should not
            raise InvalidPayload([_as_json(e) for e in exc.errors(include_url=False, include_input=False)]) from None


def _as_json(error: Any) -> dict[str, Any]:
    """Return an error of pydantic as JSON can hold it; what a validator of ours raised speaks for itself."""
    if "error" in error.get("ctx", {}):
        text = str(error["ctx"]["error"])
        return {**error, "msg": text, "ctx": {**error["ctx"], "error": text}}
    return dict(error)


_registry: dict[str, Pipeline] = {}


def names() -> list[str]:
    """Return the names of the registered job types."""
    return sorted(_registry)


def step_names() -> list[str]:
    """Return the names of all steps that registered job types may take."""
    return sorted({step for pipeline in _registry.values() for step in pipeline.steps})


def get(name: str) -> Pipeline:
    """Return the job type of this name, or raise UnknownJobType."""
    try:
        return _registry[name]
    except KeyError:
        raise UnknownJobType(name, names()) from None
