"""Domain signals from any project's own models: on commit, once per transition.

A transition is a change of the status column that was committed; two changes in one transaction are two.
``transition()`` makes one with a conditional UPDATE, so that of many racing writers exactly one wins and counts. A
plain ``save()`` is counted as well, by what the row held just before; two writers that save the same change at the same
moment outside a transaction may both count, so code with concurrent writers calls ``transition()``.

``QuerySet.update()``, ``bulk_update()``, ``bulk_create()`` and deletions send no signals and count nothing: use
``transition_all()`` in place of ``update()``. Neither does SQL of one's own: ``announce()`` follows it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from functools import partial
from typing import Any

from django.core.exceptions import FieldDoesNotExist, ImproperlyConfigured
from django.db import models, router, transaction
from django.db.models import Count, Max, Min
from django.db.models.signals import post_save, pre_save
from django.utils import timezone

from . import metrics, sources
from .logs import warn
from .signals import ai_request_finished, job_finished, job_started, step_finished

Cost = Callable[[Any], Decimal | float | None]
Announce = Callable[[models.Model, str], None]


@dataclass(frozen=True)
class Tracked:
    """What is known of a tracked model: its status field, and whom to tell about a new status."""

    status: str
    announce: Announce


_tracked: dict[type[models.Model], Tracked] = {}
SUCCESS = metrics.JOB_OUTCOMES[0]
OLD_STATUS = "_observability_old_status"
CAME_FROM = "_observability_came_from"


def track_jobs(
    model: type[models.Model],
    *,
    job_type: str = "job_type",
    status: str = "status",
    queued: Collection[str] = ("pending",),
    running: Collection[str] = ("running",),
    finished: Collection[str] = metrics.JOB_OUTCOMES,
    created: str | None = "created_at",
    started: str | None = "started_at",
    ended: str | None = "finished_at",
    duration: str | None = None,
    heartbeat: str | None = None,
    cost: Cost | None = None,
) -> None:
    """Send ``job_started`` and ``job_finished`` for a model, and read its gauges when somebody looks.

    These are ``active_jobs``, ``automation_oldest_active_job_age_seconds`` where there is a ``heartbeat``,
    ``automation_jobs_queued`` and ``automation_job_last_success_timestamp_seconds``, the last for job types named by
    ``expect_labels``. An index over status, job type and end keeps their queries fast.

    The arguments name fields; one that the model does not have is None. Without ``duration`` (seconds) the time
    between ``started`` and ``ended`` is taken. ``heartbeat`` is when a running job last gave a sign of life. ``cost``
    gives the AI cost of a job in USD, or None.
    """
    _require_fields(model, job_type, status, created, started, ended, duration, heartbeat)
    queued, running, finished = _several(queued), _several(running), _several(finished)

    def announce(job: models.Model, now: str) -> None:
        about = {"instance": job, "job_type": _field(job, job_type)}
        if now in running:
            job_started.send_robust(model, **about, queue_wait=_seconds(job, created, started))
        if now in finished:
            seconds = _field(job, duration) if duration else _seconds(job, started, ended)
            spent = _cost(cost, job) if cost else None
            job_finished.send_robust(model, **about, status=now, duration=seconds, cost=spent)

    _track(model, Tracked(status, announce))
    _read_gauges(_Rows(model, job_type, status, ended, heartbeat), queued, running)


@dataclass(frozen=True)
class _Rows:
    """The jobs of a model, as its gauges ask for them."""

    model: type[models.Model]
    job_type: str
    status: str
    ended: str | None
    heartbeat: str | None

    def filter(self, **conditions: Any) -> models.QuerySet[Any]:
        return self.model._default_manager.order_by().filter(**conditions)

    def count(self, statuses: Collection[str]) -> float:
        return self.filter(**{f"{self.status}__in": statuses}).count()

    def count_by_type(self, statuses: Collection[str]) -> sources.Values:
        """Known types without a row are 0."""
        rows = self.filter(**{f"{self.status}__in": statuses}).values_list(self.job_type).annotate(number=Count("pk"))
        return {(kind,): 0.0 for kind in metrics.expected("job_type")} | {(kind,): number for kind, number in rows}

    def oldest_heartbeat(self, statuses: Collection[str]) -> float:
        """Its age in seconds; 0 without a job, since nothing is overdue."""
        oldest = self.filter(**{f"{self.status}__in": statuses}).aggregate(oldest=Min(self.heartbeat))["oldest"]
        return max(0.0, (timezone.now() - oldest).total_seconds()) if isinstance(oldest, datetime) else 0.0

    def last_success(self) -> sources.Values:
        """Of each known type by itself: a look at the end of an index, where all types at once would read all of it."""
        found = {(kind,): self._last_success_of(kind) for kind in metrics.expected("job_type")}
        return {kind: end.timestamp() for kind, end in found.items() if isinstance(end, datetime)}

    def _last_success_of(self, kind: str) -> Any:
        return self.filter(**{self.status: SUCCESS, self.job_type: kind}).aggregate(last=Max(self.ended))["last"]


def _read_gauges(rows: _Rows, queued: Collection[str], running: Collection[str]) -> None:
    register = partial(sources.register, sources.DATABASE, key=rows.model)
    register(metrics.active_jobs, lambda: rows.count(running))
    if rows.heartbeat and _is_column(rows.model, rows.heartbeat):
        oldest = metrics.automation_oldest_active_job_age_seconds
        register(oldest, lambda: rows.oldest_heartbeat(running), combine=max)
    if _is_column(rows.model, rows.job_type):
        register(metrics.automation_jobs_queued, lambda: rows.count_by_type(queued))
        if rows.ended and _is_column(rows.model, rows.ended):
            last = metrics.automation_job_last_success_timestamp_seconds
            register(last, rows.last_success, combine=max)


def _is_column(model: type[models.Model], name: str) -> bool:
    """Whether a query may ask for it: what is tracked may also be a property."""
    return any(field.name == name for field in model._meta.concrete_fields)


def track_steps(
    model: type[models.Model],
    *,
    step: str = "name",
    status: str = "status",
    finished: Collection[str] = ("success", "failed"),
    duration: str | None = "duration",
) -> None:
    """Send ``step_finished`` for a model. The arguments name fields; ``duration`` is in seconds."""
    _require_fields(model, step, status, duration)
    finished = _several(finished)

    def announce(row: models.Model, now: str) -> None:
        if now in finished:
            about = {"step": _field(row, step), "status": now, "duration": _field(row, duration)}
            step_finished.send_robust(model, instance=row, **about)

    _track(model, Tracked(status, announce))


def track_ai_requests(
    model: type[models.Model],
    *,
    name: str = "model",
    status: str = "status",
    finished: Collection[str] = (*metrics.CALL_OUTCOMES, "budget_exceeded"),
    input_tokens: str | None = "input_tokens",
    output_tokens: str | None = "output_tokens",
    cached_input_tokens: str | None = None,
    cache_write_tokens: str | None = None,
    reasoning_tokens: str | None = None,
    cost: str | None = "cost",
    duration: str | None = "duration",
    time_to_first_token: str | None = None,
) -> None:
    """Send ``ai_request_finished`` for a model. The arguments name fields; ``name`` is the AI model's."""
    fields = {
        "model": name,
        "input_tokens": input_tokens,
        "output_tokens": output_tokens,
        "cached_input_tokens": cached_input_tokens,
        "cache_write_tokens": cache_write_tokens,
        "reasoning_tokens": reasoning_tokens,
        "cost": cost,
        "duration": duration,
        "time_to_first_token": time_to_first_token,
    }
    _require_fields(model, status, *fields.values())
    finished = _several(finished)

    def announce(row: models.Model, now: str) -> None:
        if now in finished:
            about = {argument: _field(row, field) for argument, field in fields.items()}
            ai_request_finished.send_robust(model, instance=row, status=now, **about)

    _track(model, Tracked(status, announce))


def transition(
    instance: models.Model,
    to: str,
    *,
    come_from: str | None = None,
    where: Mapping[str, Any] | None = None,
    **fields: Any,
) -> bool:
    """Move a row from one status to another, unless another writer was first.

    ``come_from`` is the status that the row must still have, by default the one that ``instance`` carries; ``where``
    are further conditions on it, as ``filter()`` takes them; ``fields`` are written with it. True: this caller made
    the change; ``instance`` has it, and its signal is sent on commit. False: nothing happened.
    """
    model, status = type(instance), _tracked_as(type(instance)).status
    using = router.db_for_write(model, instance=instance)
    old = getattr(instance, status) if come_from is None else come_from
    if old == to:  # perhaps a rollback took the row back, and not the instance
        old = instance.__dict__.get(CAME_FROM, to)
    values = {status: to, **fields}
    rows = model._base_manager.using(using).filter(pk=instance.pk, **{status: old}).filter(**where or {})
    if old == to or not rows.update(**values):
        return False
    instance.__dict__[CAME_FROM] = old
    for name, value in values.items():
        if hasattr(value, "resolve_expression"):
            instance.__dict__.pop(name, None)  # only the row knows: it is read when somebody asks
        else:
            setattr(instance, name, value)
    _announce_on_commit(instance, to, using)
    return True


def transition_all(queryset: models.QuerySet[Any], to: str, **fields: Any) -> int:
    """``QuerySet.update()`` that counts: each row by itself. The number of rows that this caller changed."""
    status = _tracked_as(queryset.model).status
    return sum(transition(instance, to, **fields) for instance in queryset.exclude(**{status: to}))


def announce(instance: models.Model, *, using: str | None = None) -> None:
    """Send, on commit, the signals of the status that ``instance`` carries, after SQL of the caller's own wrote it."""
    using = using or router.db_for_write(type(instance), instance=instance)
    _announce_on_commit(instance, getattr(instance, _tracked_as(type(instance)).status), using)


def _require_fields(model: type[models.Model], *names: str | None) -> None:
    """A slip in a name is told when the site starts, not when a job ends."""
    for name in names:
        if name is not None and not hasattr(model, name):
            raise ImproperlyConfigured(f"{model.__name__} has no field {name!r}: name the one it has, or pass None.")


def _several(statuses: Collection[str]) -> Collection[str]:
    """One status by itself is a collection of one, not of its letters."""
    return (statuses,) if isinstance(statuses, str) else statuses


def _tracked_as(model: type[models.Model]) -> Tracked:
    tracked = _find(model)
    if tracked is None:
        raise LookupError(f"{model.__name__} is not tracked: call track_jobs({model.__name__}) in AppConfig.ready().")
    return tracked


def _find(model: type[models.Model]) -> Tracked | None:
    """A proxy is tracked with the model that it stands for."""
    return _tracked.get(model._meta.concrete_model or model)


def _track(model: type[models.Model], tracked: Tracked) -> None:
    _tracked[model] = tracked
    # Of every model, since a proxy sends signals of its own: for others it costs a dictionary lookup a save.
    pre_save.connect(_remember_status, dispatch_uid="observability.tracking._remember_status")
    post_save.connect(_compare_status, dispatch_uid="observability.tracking._compare_status")


def _remember_status(
    sender: type[models.Model],
    instance: models.Model,
    using: str,
    update_fields: Collection[str] | None = None,
    raw: bool = False,
    **kwargs: object,
) -> None:
    """Ask the row itself: what the instance once loaded may be long out of date."""
    tracked = _find(sender)
    if tracked is None:
        return
    status = tracked.status
    if raw or (update_fields is not None and status not in update_fields):
        instance.__dict__[OLD_STATUS] = getattr(instance, status)
    elif not _is_new(instance):
        instance.__dict__[OLD_STATUS] = _stored_status(sender, instance, status, using)


def _is_new(instance: models.Model) -> bool:
    """Whether a plain save inserts a row: one of an instance that was made with the key of a row changes that row."""
    return instance._state.adding and (
        instance.pk is None or all(field.has_default() or field.has_db_default() for field in instance._meta.pk_fields)
    )


def _stored_status(sender: type[models.Model], instance: models.Model, status: str, using: str) -> str | None:
    rows = sender._base_manager.using(using).filter(pk=instance.pk)
    if transaction.get_connection(using).in_atomic_block:
        rows = rows.select_for_update()  # the save takes this lock a moment later anyway
    return rows.values_list(status, flat=True).first()


def _compare_status(sender: type[models.Model], instance: models.Model, using: str, **kwargs: object) -> None:
    tracked = _find(sender)
    if tracked is None:
        return
    now = getattr(instance, tracked.status)
    if instance.__dict__.pop(OLD_STATUS, None) != now:
        _announce_on_commit(instance, now, using)


def _announce_on_commit(instance: models.Model, now: str, using: str) -> None:
    def announce() -> None:
        _tracked_as(type(instance)).announce(instance, now)

    # robust: what goes wrong in telling others must not reach the one who committed
    transaction.on_commit(announce, using=using, robust=True)


def _field(instance: models.Model, name: str | None) -> Any:
    """The value as the database would give it back: a new row may still carry a number as text."""
    if name is None:
        return None
    value = getattr(instance, name)
    try:
        field = instance._meta.get_field(name)
    except FieldDoesNotExist:
        return value  # a property
    return field.to_python(value) if isinstance(field, models.Field) else value


def _cost(read: Cost, job: models.Model) -> Decimal | float | None:
    """A cost that cannot be read is unknown; the job's end counts all the same."""
    try:
        return read(job)
    except Exception as error:
        warn("job cost", "The cost of %r cannot be read: %r", job, error)
        return None


def _seconds(instance: models.Model, begin: str | None, end: str | None) -> float | None:
    """Between two timestamps; a clock that was set back in between gives 0."""
    first, last = _field(instance, begin), _field(instance, end)
    if isinstance(first, datetime) and isinstance(last, datetime):
        return max(0.0, (last - first).total_seconds())
    return None
