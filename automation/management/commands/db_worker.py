"""`manage.py db_worker`: the task library's worker, which also sees to the jobs of workers that died."""

from typing import Any

from django_tasks_db.management.commands import db_worker

from automation.background import Background
from automation.reaper import reap


class Command(db_worker.Command):
    """Found before the library's own, since `automation` stands before it in INSTALLED_APPS."""

    help = "Run the jobs that wait, and see to those whose worker died"

    def handle(self, **options: Any) -> None:
        reaper = Background("Reaper", reap)
        reaper.start()
        try:
            super().handle(**options)
        finally:
            reaper.stop()
