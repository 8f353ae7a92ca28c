"""System checks: settings that cannot work, jobs that cannot be queued, workers that see to nobody's jobs."""

import math
from collections.abc import Callable, Iterator
from difflib import get_close_matches
from typing import Any

from django.apps import apps
from django.conf import settings
from django.core import checks
from django.core.checks import CheckMessage, Error
from django.db import connection
from django_tasks_db import DatabaseBackend
from django_tasks_db.compat import DEFAULT_TASK_BACKEND_ALIAS, InvalidTaskBackend, task_backends

from automation.conf import DEFAULTS, is_set
from automation.transitions import NOW

QUEUE = "django_tasks_db"
MIDDLEWARE = "observability.request_ids.RequestIDMiddleware"
SECRETS = ("TOKEN", "KEY", "SECRET")


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < math.inf


def _is_whole(value: object) -> bool:
    return _is_number(value) and isinstance(value, int)


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _is_list(value: object) -> bool:
    return isinstance(value, list | tuple) and all(map(_is_text, value))


# By the type of the default: what is wanted, in words and as a test.
KINDS: dict[type, tuple[str, Callable[[object], bool]]] = {
    float: ("a number of seconds above 0", _is_number),
    int: ("a whole number above 0", _is_whole),
    str: ("a string", _is_text),
    list: ("a list of strings", _is_list),
}


def check_settings(app_configs: Any, **kwargs: Any) -> Iterator[CheckMessage]:
    """AUTOMATION is a dictionary, of known keys, with values of their kinds."""
    values = getattr(settings, "AUTOMATION", {})
    if not isinstance(values, dict):
        yield Error(
            f"AUTOMATION must be a dictionary, not {type(values).__name__}.",
            hint='Write AUTOMATION = {"LEASE_SECONDS": 60}, or leave it out.',
            id="automation.E001",
        )
        return
    for key, value in values.items():
        if key not in DEFAULTS:
            yield _unknown_key(key)
        elif is_set(value):
            yield from _wrong_value(key, value)


def _unknown_key(key: object) -> Error:
    close = get_close_matches(str(key).upper(), DEFAULTS, n=1, cutoff=0.8)
    hint = f"Did you mean {close[0]!r}?" if close else f"The keys are {', '.join(DEFAULTS)}."
    return Error(f"AUTOMATION has no key {key!r}.", hint=hint, id="automation.E002")


def _wrong_value(key: str, value: object) -> Iterator[Error]:
    wanted, fits = KINDS[type(DEFAULTS[key])]
    if not fits(value):
        is_secret = any(word in key for word in SECRETS)
        shown = f"the {type(value).__name__} that it is" if is_secret else repr(value)
        hint = f"Leave it out for the default, {DEFAULTS[key]!r}."
        yield Error(f"AUTOMATION[{key!r}] must be {wanted}, not {shown}.", hint=hint, id="automation.E003")


def check_queue(app_configs: Any, **kwargs: Any) -> Iterator[CheckMessage]:
    """Tasks are in the database, where they are committed together with their jobs and found again."""
    if not _queue_is_in_the_database():
        yield Error(
            "The default of TASKS is no queue in the database: no job can be started.",
            hint='Set TASKS = {"default": {"BACKEND": "django_tasks_db.DatabaseBackend"}}.',
            id="automation.E004",
        )


def _queue_is_in_the_database() -> bool:
    try:
        return isinstance(task_backends[DEFAULT_TASK_BACKEND_ALIAS], DatabaseBackend)
    except InvalidTaskBackend:
        return False


def check_apps(app_configs: Any, **kwargs: Any) -> Iterator[CheckMessage]:
    """The queue has its tables, and `db_worker` is ours."""
    names = [app.name for app in apps.get_app_configs()]
    if QUEUE not in names:
        yield Error(
            f"INSTALLED_APPS does not contain {QUEUE!r}: jobs have no queue, and no worker.",
            hint=f"Put {QUEUE!r} after 'automation', and migrate.",
            id="automation.E005",
        )
    elif names.index(QUEUE) < names.index("automation"):
        yield checks.Warning(
            f"INSTALLED_APPS has {QUEUE!r} before 'automation': its workers do not see to the jobs of those that died.",
            hint=f"Put 'automation' before {QUEUE!r}, so that db_worker is the one of 'automation'.",
            id="automation.W001",
        )


def check_database(app_configs: Any, **kwargs: Any) -> Iterator[CheckMessage]:
    """Jobs are taken and ended in SQL of our own."""
    if connection.vendor not in NOW:
        yield Error(
            f"Jobs can be in PostgreSQL or SQLite, and not in {connection.vendor}.",
            hint="Give DATABASES['default'] one of their engines.",
            id="automation.E006",
        )


def check_request_ids(app_configs: Any, **kwargs: Any) -> Iterator[CheckMessage]:
    """Jobs lead back to their requests."""
    if MIDDLEWARE not in settings.MIDDLEWARE:
        yield checks.Warning(
            "MIDDLEWARE does not contain RequestIDMiddleware: no job keeps the id of the request that started it.",
            hint=f"Put {MIDDLEWARE!r} after MetricsMiddleware.",
            id="automation.W002",
        )


ALL = (check_settings, check_queue, check_apps, check_database, check_request_ids)
