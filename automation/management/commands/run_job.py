"""`manage.py run_job site_check base_url=http://localhost:8000 'paths=["/"]'`: one job in the foreground."""

import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from automation import engine, jobs, registry
from automation.errors import InvalidPayload, UnknownJobType, describe
from automation.models import Job, Step
from automation.tasks import give_back


def parse_argument(argument: str) -> tuple[str, Any]:
    """Return key and value of KEY=VALUE; a value that is not JSON is a string."""
    key, equals, value = argument.partition("=")
    if not (key and equals):
        raise CommandError(f"{argument!r} is not KEY=VALUE.")
    try:
        return key, json.loads(value)
    except ValueError:
        return key, value


def parse_payload(arguments: list[str]) -> dict[str, Any]:
    """Return the payload that these KEY=VALUE arguments make."""
    payload: dict[str, Any] = {}
    for key, value in map(parse_argument, arguments):
        if key in payload:
            raise CommandError(f"{key} is given twice.")
        payload[key] = value
    return payload


class Command(BaseCommand):
    help = "Run one automation job here and now, without the queue, and show its steps."

    def add_arguments(self, parser: ArgumentParser) -> None:
        known = ", ".join(registry.names())
        parser.add_argument("job_type", metavar="JOB_TYPE", help=f"one of: {known}")
        parser.add_argument(
            "payload", metavar="KEY=VALUE", nargs="*", default=[], help="VALUE is JSON, or else a string"
        )

    def handle(self, *, job_type: str, payload: list[str], **options: Any) -> None:
        job = self.create(job_type, parse_payload(payload))
        self.stdout.write(f"{job.job_type} {job.id}")
        try:
            self.report(engine.run(job, watch=self.show))
        except KeyboardInterrupt as exc:
            give_back(job, describe(exc))  # not to the queue: it never was there
            raise CommandError("Interrupted; the job has failed.", returncode=130) from None

    def create(self, job_type: str, payload: dict[str, Any]) -> Job:
        try:
            return jobs.create_job(job_type, payload, queued=False)
        except UnknownJobType as exc:
            raise CommandError(str(exc)) from None
        except InvalidPayload as exc:
            raise CommandError(f"The payload does not fit {job_type}: {exc}") from None

    def show(self, step: Step) -> None:
        """Write the step's name when it begins, and on the same line how it ended."""
        if step.status == Step.Status.RUNNING:
            self.stdout.write(f"  {step.name} {step.detail} ... ", ending="")
            self.stdout.flush()
        elif step.status == Step.Status.SUCCESS:
            self.stdout.write(self.style.SUCCESS(f"ok ({step.duration:.3f} s)"))
        else:
            self.stdout.write(self.style.ERROR(f"failed ({step.duration:.3f} s): {step.error}"))

    def report(self, job: Job) -> None:
        if job.status != Job.Status.SUCCESS:
            raise CommandError(f"{job.job_type} {job.status}: {job.error}")
        self.stdout.write(self.style.SUCCESS(f"success in {job.duration:.3f} s"))
        self.stdout.write(json.dumps(job.result, indent=2))
