"""`manage.py reap_jobs`: one look after the jobs of workers that died; every worker does this by itself."""

from typing import Any

from django.core.management.base import BaseCommand

from automation.reaper import reap


class Command(BaseCommand):
    help = "Queue or fail the jobs whose worker died, once."

    def handle(self, **options: Any) -> None:
        self.stdout.write(f"Jobs seen to: {reap()}")
