"""Runs one job: its steps in their order, each recorded, tried again where that may help, and stopped when asked."""

import asyncio
import json
import logging
import time
from collections import defaultdict
from collections.abc import Callable
from contextlib import AbstractContextManager
from inspect import iscoroutinefunction
from typing import Any

from asgiref.sync import sync_to_async
from django.utils import timezone

from automation import coroutines, registry
from automation.errors import Failure, describe, printable
from automation.leases import Cancelled, Lost, Stop, hold, kept
from automation.models import Job, JobStatus, Step, StepStatus
from automation.outages import outlast
from automation.retries import pause
from automation.transitions import finish_job, finish_step, start_job, start_step
from observability import sentry
from observability.correlation import bound

logger = logging.getLogger(__name__)

CHECK_SECONDS = 1.0  # that pass before a checkpoint asks the database again
MAX_WAIT = 120.0  # seconds until a step is tried again; an error that asks for more ends the step
NAMED_FAILURES = 5  # of one step that the job's error names; all are in its steps


class Run:
    """A running job as its steps see it."""

    step: Step  # that runs now

    def __init__(self, job: Job, payload: Any) -> None:
        self.job = job
        self.payload = payload
        self.outputs: dict[str, Any] = {}
        self.noted: Any = None  # by an earlier try at this step, also by another worker's
        self.tell: Callable[[], None] | None = None
        self._checked = time.monotonic()

    def output(self, step: str) -> Any:
        """Return what an earlier step returned, as JSON keeps it; of a step with `each` the list of it."""
        return self.outputs[step]

    def note(self, value: Any) -> None:
        """Keep at once how far this step has come, as `noted` for the next try at it; its end puts the output there."""
        self.noted = value
        outlast(lambda: Step.objects.filter(pk=self.step.pk).update(output=value))

    def once_recorded(self, tell: Callable[[], None]) -> None:
        """Call this when the end of the running step is recorded by this worker, and no other: what it saw counts."""
        self.tell = tell

    async def anote(self, value: Any) -> None:
        """`note()` for an async step."""
        await sync_to_async(self.note)(value)

    def checkpoint(self) -> None:
        """Stop here when the job was cancelled or given to another worker; cheap enough for each turn of a loop."""
        if time.monotonic() - self._checked >= CHECK_SECONDS:
            self._checked = time.monotonic()
            hold(self.job)

    async def acheckpoint(self) -> None:
        """`checkpoint()` for an async step."""
        await sync_to_async(self.checkpoint)()

    def sleep(self, seconds: float) -> None:
        """Wait, with checkpoints."""
        for piece in _pieces(seconds):
            time.sleep(piece)
            self.checkpoint()

    async def asleep(self, seconds: float) -> None:
        """`sleep()` for an async step."""
        for piece in _pieces(seconds):
            await asyncio.sleep(piece)
            await self.acheckpoint()


def _pieces(seconds: float) -> list[float]:
    whole, rest = divmod(seconds, CHECK_SECONDS)
    return [CHECK_SECONDS] * int(whole) + [rest]


Watch = Callable[[Step], None]


def _ignore(step: Step) -> None:
    pass


class Attempt:
    """One worker's way through the steps of a job; those that an earlier attempt completed are not taken again."""

    def __init__(self, run: Run, watch: Watch) -> None:
        self.run = run
        self.watch = watch
        earlier = list(run.job.steps.all()) if run.job.attempts > 1 else []
        self.position = len(earlier)
        self.done: dict[tuple[str, str], list[Any]] = defaultdict(list)
        self.noted: dict[tuple[str, str], Any] = {}
        for step in earlier:
            if step.status == Step.Status.SUCCESS:
                self.done[step.name, step.detail].append(step.output)
            elif step.output is not None:
                self.noted[step.name, step.detail] = step.output

    def take_all(self, pipeline: registry.Pipeline) -> Any:
        """Return the result of the job."""
        output = None
        for kind in pipeline.steps.values():
            output = self.take_each(kind, kind.each) if kind.each else self.take(kind)
            self.run.outputs[kind.name] = output
        return pipeline.make_result(self.run) if pipeline.make_result else output

    def take_each(self, kind: registry.StepType, each: registry.Each) -> list[Any]:
        """An expected failure of one leaves the others to be tried."""
        items = list(each(self.run.payload))
        outputs, failed = [], []
        for item in items:
            try:
                outputs.append(self.take(kind, item))
            except Failure as exc:
                failed.append(f"{item} ({exc})")
        if failed:
            more = f" and {len(failed) - NAMED_FAILURES} more" if len(failed) > NAMED_FAILURES else ""
            named = ", ".join(failed[:NAMED_FAILURES])
            raise Failure(f"{len(failed)} of {len(items)} {kind.name} steps failed: {named}{more}.")
        return outputs

    def take(self, kind: registry.StepType, *item: str) -> Any:
        """Return the output of one step."""
        detail = printable("".join(item))
        if outputs := self.done[kind.name, detail]:
            return outputs.pop(0)
        self.run.checkpoint()
        self.position += 1
        step, clock = start_step(self.run.job, self.position, kind.name, detail), time.perf_counter()
        self.run.step, self.run.noted, self.run.tell = step, self.noted.get((kind.name, detail)), None
        self.watch(step)
        try:
            with bound(step=kind.name), sentry.span(kind.name, op="job.step"):
                output = self.try_out(kind, step, item)
            ended = self.end(step, Step.Status.SUCCESS, clock, output=output)
        except BaseException as exc:
            self.end(step, Step.Status.FAILED, clock, error=describe(exc))
            raise
        finally:
            self.watch(step)
        if not ended:
            raise Lost
        return output

    def end(self, step: Step, status: StepStatus, clock: float, **outcome: Any) -> bool:
        """Record the end of a step, and then what counts with it; False when the job was given to another worker."""
        ended = finish_step(step, status, duration=_since(clock), **outcome)
        if ended and self.run.tell:
            try:
                self.run.tell()
            except Exception:
                logger.exception("Job %s: what %s counts with its end was not counted.", step.job_id, step.name)
        return ended

    def try_out(self, kind: registry.StepType, step: Step, item: tuple[str, ...]) -> Any:
        """Call the step's function, again where its error may pass."""
        while True:
            try:
                return _as_kept(_call(kind.function, self.run, *item))
            except Exception as exc:
                wait = pause(exc, step.attempts, tries=kind.retries + 1, first=kind.backoff, longest=MAX_WAIT)
                if wait is None:
                    raise
                logger.warning("Job %s: %s failed, again in %.1f s: %s", step.job_id, kind.name, wait, describe(exc))
            self.run.sleep(wait)
            step.attempts += 1


def _call(function: Callable[..., Any], *arguments: Any) -> Any:
    try:
        return coroutines.wait_for(function, *arguments) if iscoroutinefunction(function) else function(*arguments)
    except BaseExceptionGroup as group:  # as asyncio.TaskGroup raises for its tasks
        stops, others = group.split(Stop)
        if stops is None or others is not None:
            raise
        raise _first(stops) from None


def _first(group: BaseExceptionGroup[Stop]) -> Stop:
    first = group.exceptions[0]
    return _first(first) if isinstance(first, BaseExceptionGroup) else first


def _as_kept(value: Any) -> Any:
    """Return a value as JSON gives it back, so that a job taken up again sees nothing else than it saw before."""
    return json.loads(json.dumps(value, allow_nan=False))


def _since(clock: float) -> float:
    """Return the seconds since a reading of `perf_counter`, to the microsecond."""
    return round(time.perf_counter() - clock, 6)


def run(job: Job, watch: Watch = _ignore) -> Job:
    """Run a pending job to its end and return it as it is then; a job that another worker took is left alone.

    `watch` is called with each step when it begins and when it ends. KeyboardInterrupt and SystemExit go on to the
    caller, who has the job still and says what becomes of it.
    """
    with sentry.isolated(), bound(job_id=job.pk):
        if start_job(job):
            with bound(request_id=job.request_id), kept(job), _transaction(job):
                _execute(job, watch)
        else:
            job.refresh_from_db()
    return job


def _transaction(job: Job) -> AbstractContextManager[None]:
    """In Sentry, in the trace of the request that started the job."""
    return sentry.transaction(job.job_type, op="queue.process", trace_id=job.trace_id, job_type=job.job_type)


def _execute(job: Job, watch: Watch) -> None:
    clock = time.perf_counter() - _spent(job)
    try:
        pipeline = registry.get(job.job_type)
        # validated once more: settings may have changed since the job was asked for
        attempt = Attempt(Run(job, pipeline.validate(job.payload)), watch)
        result = _as_kept(attempt.take_all(pipeline))
        _end(job, Job.Status.SUCCESS, clock, result=result)
    except Cancelled:
        _end(job, Job.Status.CANCELLED, clock)
    except Lost:
        _let_go(job)
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as exc:
        event_id = _report(job, exc)
        _end(job, Job.Status.FAILED, clock, error=describe(exc), event_id=event_id)


def _end(job: Job, status: JobStatus, clock: float, **outcome: Any) -> None:
    if not finish_job(job, status, duration=_since(clock), **outcome):
        _let_go(job)
    elif status != Job.Status.FAILED:  # that was said with its reason
        logger.info("Job %s (%s): %s.", job.pk, job.job_type, status)


def _let_go(job: Job) -> None:
    logger.warning("Job %s (%s) was given to another worker, or ended by others.", job.pk, job.job_type)
    job.refresh_from_db()


def _spent(job: Job) -> float:
    """Return the seconds from the job's first start to this attempt at it."""
    if job.attempts == 1 or job.started_at is None:
        return 0.0
    return max(0.0, (timezone.now() - job.started_at).total_seconds())


def _report(job: Job, exc: BaseException) -> str:
    """Return the id of the event in Sentry, which has only what was not expected."""
    sentry.mark_failed()
    step = outlast(job.steps.filter(status=Step.Status.FAILED).last)
    where = f"{job.job_type}, {step.name}" if step else job.job_type
    with bound(step=step and step.name):
        if isinstance(exc, Failure):
            logger.warning("Job %s (%s) failed: %s", job.pk, where, describe(exc))
            return ""
        event_id = sentry.capture_exception(exc)
        logger.error("Job %s (%s) failed unexpectedly.", job.pk, where, exc_info=exc)  # which is no second event
        return event_id or ""
