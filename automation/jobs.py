"""The registry of job types, and the engine that runs one job."""

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pydantic
from django.contrib.auth.base_user import AbstractBaseUser
from django.db import transaction

from automation.models import Job, Step
from automation.transitions import finish_job, finish_step, start_job, start_step
from observability.exemplars import exemplar

logger = logging.getLogger(__name__)

MAX_ERROR = 2000  # characters of an error or detail that a row keeps


class Failure(Exception):
    """An expected failure of a step or a job; the message is a sentence for people."""


class UnknownJobType(Failure, LookupError):
    """No job type is registered under this name."""

    def __init__(self, name: str) -> None:
        super().__init__(f"Unknown job type {name[:100]!r}. Known job types: {', '.join(names()) or 'none'}.")


class InvalidPayload(Failure, ValueError):
    """The payload does not fit its job type; `errors` are pydantic's, without the input."""

    def __init__(self, errors: list[dict[str, Any]]) -> None:
        self.errors = errors
        super().__init__("; ".join(f"{'.'.join(map(str, e['loc'])) or 'payload'}: {e['msg']}" for e in errors))


@dataclass(frozen=True)
class JobType:
    """What can be run: the names of its steps are metric labels, hence a closed set."""

    name: str
    payload: type[pydantic.BaseModel]
    steps: tuple[str, ...]
    function: Callable[["Run", Any], Any]


_registry: dict[str, JobType] = {}


def job_type(
    name: str, *, payload: type[pydantic.BaseModel], steps: tuple[str, ...]
) -> Callable[[Callable[["Run", Any], Any]], Callable[["Run", Any], Any]]:
    """Register the decorated function; it gets a Run and its payload, and returns a JSON result."""

    def register(function: Callable[["Run", Any], Any]) -> Callable[["Run", Any], Any]:
        _registry[name] = JobType(name, payload, steps, function)
        return function

    return register


def names() -> list[str]:
    """Return the names of the registered job types."""
    return sorted(_registry)


def step_names() -> list[str]:
    """Return the names of all steps that registered job types may take."""
    return sorted({step for kind in _registry.values() for step in kind.steps})


def get(name: str) -> JobType:
    """Return the job type of this name, or raise UnknownJobType."""
    try:
        return _registry[name]
    except KeyError:
        raise UnknownJobType(name) from None


def validate(kind: JobType, payload: object) -> pydantic.BaseModel:
    """Return the payload as the job type's model, or raise InvalidPayload."""
    try:
        return kind.payload.model_validate(payload)
    except pydantic.ValidationError as exc:
        # the original is not chained: it quotes the input, which may hold what a log should not
        raise InvalidPayload([_plain(e) for e in exc.errors(include_url=False, include_input=False)]) from None


def _plain(error: Any) -> dict[str, Any]:
    """Return an error of pydantic as JSON can hold it; what a validator of ours raised speaks for itself."""
    if "error" in error.get("ctx", {}):
        text = str(error["ctx"]["error"])
        return {**error, "msg": text, "ctx": {**error["ctx"], "error": text}}
    return dict(error)


def create_job(name: str, payload: object, started_by: AbstractBaseUser | None = None) -> Job:
    """Return a new pending job; raises UnknownJobType and InvalidPayload."""
    valid = validate(get(name), payload)
    return Job.objects.create(
        job_type=name,
        payload=valid.model_dump(mode="json"),
        started_by=started_by,  # type: ignore[misc]  # which user model it is, the project says
    )


def storable(text: str) -> str:
    """Return text that any database, terminal and log takes: printable, and not too long."""
    return "".join(c if c.isprintable() or c in "\n\t" else "\N{REPLACEMENT CHARACTER}" for c in text[:MAX_ERROR])


def _since(clock: float) -> float:
    """Return the seconds since a reading of `perf_counter`, to the microsecond."""
    return round(time.perf_counter() - clock, 6)


def describe(exc: BaseException) -> str:
    """Return what a row may hold of an exception: its class and message, never a traceback."""
    name = "" if isinstance(exc, Failure) else type(exc).__name__
    return storable(": ".join(filter(None, (name, str(exc)))))


def _ignore(step: Step) -> None:
    pass


class Run:
    """A running job as its function sees it."""

    def __init__(self, job: Job, steps: tuple[str, ...], watch: Callable[[Step], None] = _ignore) -> None:
        self.job = job
        self._steps = steps
        self._watch = watch
        self._taken = 0

    @contextmanager
    def step(self, name: str, detail: str = "") -> Iterator[Step]:
        """Record the block as a step; an exception fails the step and goes on to the caller."""
        step, clock = self._begin(name, detail), time.perf_counter()
        try:
            yield step
        except BaseException as exc:
            finish_step(step, Step.Status.FAILED, duration=_since(clock), error=describe(exc))
            raise
        else:
            finish_step(step, Step.Status.SUCCESS, duration=_since(clock))
        finally:
            self._watch(step)

    def _begin(self, name: str, detail: str) -> Step:
        if name not in self._steps:
            raise LookupError(f"Step {name!r} is not among the steps of {self.job.job_type}: {self._steps}.")
        self._taken += 1
        step = start_step(self.job, self._taken, name, storable(detail))
        self._watch(step)
        return step


def run(job: Job, watch: Callable[[Step], None] = _ignore) -> Job:
    """Run a pending job to its end and return it as it is then; a job that another worker took is left alone.

    `watch` is called with each step when it begins and when it ends.
    """
    with exemplar(job_id=job.pk):
        if start_job(job):
            _execute(job, watch)
    job.refresh_from_db()
    return job


def _execute(job: Job, watch: Callable[[Step], None]) -> None:
    clock = time.perf_counter()
    try:
        kind = get(job.job_type)
        # validated once more: settings may have changed since the job was asked for
        result = kind.function(Run(job, kind.steps, watch), validate(kind, job.payload))
        with transaction.atomic():  # a result that the database refuses breaks no transaction around the job
            finish_job(job, Job.Status.SUCCESS, duration=_since(clock), result=result)
        logger.info("Job %s (%s) succeeded.", job.pk, job.job_type)
    except BaseException as exc:
        finish_job(job, Job.Status.FAILED, duration=_since(clock), error=describe(exc))
        _log(job, exc)
        if not isinstance(exc, Exception):
            raise  # Ctrl-C and SystemExit end the worker, not only the job


def _log(job: Job, exc: BaseException) -> None:
    if isinstance(exc, Failure):
        logger.warning("Job %s (%s) failed: %s", job.pk, job.job_type, describe(exc))
    else:
        logger.error("Job %s (%s) failed unexpectedly.", job.pk, job.job_type, exc_info=exc)
