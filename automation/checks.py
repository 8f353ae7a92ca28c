"""System checks: a project whose jobs cannot be queued, or whose workers do not look after each other's jobs."""

from collections.abc import Iterator
from typing import Any

from django.apps import apps
from django.core import checks
from django.core.checks import CheckMessage, Error
from django_tasks_db import DatabaseBackend
from django_tasks_db.compat import DEFAULT_TASK_BACKEND_ALIAS, InvalidTaskBackend, task_backends

QUEUE = "django_tasks_db"


def check_queue(app_configs: Any, **kwargs: Any) -> Iterator[CheckMessage]:
    """Tasks are in the database, where they are committed together with their jobs and found again."""
    if not _queue_is_in_the_database():
        yield Error(
            "The default of TASKS is no queue in the database: no job can be started.",
            hint='Set TASKS = {"default": {"BACKEND": "django_tasks_db.DatabaseBackend"}}.',
            id="automation.E001",
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
            id="automation.E002",
        )
    elif names.index(QUEUE) < names.index("automation"):
        yield checks.Warning(
            f"INSTALLED_APPS has {QUEUE!r} before 'automation': its workers do not see to the jobs of those that died.",
            hint=f"Put 'automation' before {QUEUE!r}, so that db_worker is the one of 'automation'.",
            id="automation.W001",
        )


ALL = (check_queue, check_apps)
