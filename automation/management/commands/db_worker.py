"""`manage.py db_worker`: the task library's worker, which also sees to the jobs of workers that died, and to sums."""

import time
from typing import Any

from django.db import connections
from django_tasks_db.management.commands import db_worker
from django_tasks_db.models import DBTaskResult

from automation import daybook
from automation.background import Background
from automation.outages import AWAY, PAUSE, tell
from automation.reaper import reap
from observability import sentry


class Worker(db_worker.Worker):
    """A worker that stays while the database is away, unless it is to end when nothing waits.

    What Sentry is told of a task, as its user, does not go along with the next one.
    """

    def run(self) -> None:
        while self.running:
            try:
                super().run()
                break
            except AWAY as exc:
                if self.batch:
                    raise
                tell(exc)
            connections.close_all()
            time.sleep(PAUSE)

    def run_task(self, db_task_result: DBTaskResult) -> None:
        with sentry.isolated():
            super().run_task(db_task_result)


class Command(db_worker.Command):
    """Found before the library's own, since `automation` stands before it in INSTALLED_APPS."""

    help = "Run the jobs that wait, and see to those whose worker died"

    def handle(self, **options: Any) -> None:
        db_worker.Worker = Worker  # type: ignore[misc]  # the library's command makes it by this name
        beside = [Background("Reaper", reap, rest=True), Background("Daybook", daybook.close)]
        for each in beside:
            each.start()
        try:
            super().handle(**options)
        finally:
            for each in beside:
                each.stop()
