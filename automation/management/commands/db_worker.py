"""`manage.py db_worker`: the task library's worker, which also sees to the jobs of workers that died."""

from typing import Any

from django_tasks_db.compat import task_started
from django_tasks_db.management.commands import db_worker

from automation.background import Background
from automation.reaper import reap
from observability import sentry


def _forget(**kwargs: Any) -> None:
    """A task of the project's own begins: Sentry is told nothing of the one before."""
    sentry.forget()


class Command(db_worker.Command):
    """Found before the library's own, since `automation` stands before it in INSTALLED_APPS."""

    help = "Run the jobs that wait, and see to those whose worker died"

    def handle(self, **options: Any) -> None:
        task_started.connect(_forget, dispatch_uid=f"{__name__}._forget")
        reaper = Background("Reaper", reap)
        reaper.start()
        try:
            super().handle(**options)
        finally:
            reaper.stop()
