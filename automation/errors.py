"""What can go wrong with a job, in sentences for people."""

from typing import Any

MAX_ERROR = 2000  # characters of an error or detail that a row keeps


class Failure(Exception):
    """An expected failure of a step or a job; the message is a sentence for people.

    A step with `retries` is tried again when the error says that it may pass: by a true attribute `retriable`, as any
    exception may have one. `retry_after` is how many seconds to leave it alone at least.
    """

    def __init__(self, message: str = "", *, retriable: bool = False, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retriable = retriable
        self.retry_after = retry_after


class UnknownJobType(Failure, LookupError):
    """No job type is registered under this name."""

    def __init__(self, name: str, known: list[str]) -> None:
        super().__init__(f"Unknown job type {name[:100]!r}. Known job types: {', '.join(known) or 'none'}.")


class InvalidPayload(Failure, ValueError):
    """The payload does not fit its job type; `errors` are pydantic's, without the input."""

    def __init__(self, errors: list[dict[str, Any]]) -> None:
        self.errors = errors
        super().__init__("; ".join(f"{'.'.join(map(str, e['loc'])) or 'payload'}: {e['msg']}" for e in errors))


class IdempotencyKeyTaken(Failure):
    """The key was given before, with another job type or payload."""


class NotConfigured(Failure):
    """A setting that is needed is missing or cannot be right."""


class BudgetExceeded(Failure):
    """A request to a model was not made, since it might have cost more than a budget has left."""

    def __init__(self, budget: str, reason: str) -> None:
        super().__init__(f"AI budget {budget!r}: {reason}")
        self.budget = budget


class NotEnded(Failure):
    """Only a job that failed or was cancelled can be tried again."""


def printable(text: str) -> str:
    """Return text that any database, terminal and log takes: printable, and not too long."""
    return "".join(c if c.isprintable() or c in "\n\t" else "\N{REPLACEMENT CHARACTER}" for c in text[:MAX_ERROR])


def describe(exc: BaseException) -> str:
    """Return what a row may hold of an exception: its class and message, never a traceback."""
    name = "" if isinstance(exc, Failure) else type(exc).__name__
    return printable(": ".join(filter(None, (name, str(exc)))))
