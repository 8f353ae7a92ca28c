"""A process beside the site's: ``python -m benchmarks.backlog`` in its environment.

``work COUNT ROUNDS`` gives the workers that are running so many of each kind to do, in turn, and prints the seconds
that each took them. ``fill COUNT`` puts so many jobs that have ended into the table, and their tasks. ``record COUNT``
records so many requests to each of some models, which come under none to three budgets, and prints the milliseconds.
"""

import json
import sys
import time
import uuid
from datetime import timedelta
from decimal import Decimal
from time import perf_counter

import django
from django.db import transaction
from django.db.models import Max, Min
from django.utils import timezone

django.setup()

from django_tasks_db.models import DBTaskResult  # noqa: E402

from automation.clients import LLM, llm_for  # noqa: E402
from automation.jobs import create_job  # noqa: E402
from automation.models import AIRequestStatus, Budget, Job  # noqa: E402
from automation.transitions import finish_request, start_request  # noqa: E402
from benchmarks.empty.tasks import nothing  # noqa: E402

KINDS = {
    "task": nothing.enqueue,
    "job": lambda: create_job("empty", {}),
    "job with a step": lambda: create_job("one_step", {}),
}


def seconds(start, count: int) -> float:
    """From the start of the first of so many to the end of the last one."""
    begin = timezone.now()
    with transaction.atomic():
        for _ in range(count):
            start()
    while DBTaskResult.objects.filter(status__in=["READY", "RUNNING"]).exists():
        time.sleep(0.05)
    done = DBTaskResult.objects.filter(started_at__gte=begin)
    return done.aggregate(time=Max("finished_at") - Min("started_at"))["time"].total_seconds()


def work(count: int, rounds: int) -> dict[str, list[float]]:
    """By kind; a first round to warm up is left out."""
    times = [{kind: seconds(start, count) for kind, start in KINDS.items()} for _ in range(1 + rounds)]
    return {kind: [each[kind] for each in times[1:]] for kind in KINDS}


def fill(count: int) -> None:
    """One job a minute until now; one in ten failed."""
    now = timezone.now()
    for first in range(0, count, 5_000):
        numbers = range(first, min(first + 5_000, count))
        ids = {number: uuid.uuid4() for number in numbers}
        Job.objects.bulk_create(_job(number, now, ids[number]) for number in numbers)
        DBTaskResult.objects.bulk_create(_task(number, now, ids[number]) for number in numbers)


def _job(number: int, now, task_id: uuid.UUID) -> Job:
    then = now - timedelta(minutes=number)
    times = {"created_at": then, "started_at": then, "finished_at": then}
    status = "success" if number % 10 else "failed"
    return Job(job_type="empty", status=status, duration=1.0, attempts=1, task_id=task_id, **times)


def _task(number: int, now, task_id: uuid.UUID) -> DBTaskResult:
    then = now - timedelta(minutes=number)
    where = {"task_path": "automation.tasks.run_job", "queue_name": "default", "backend_name": "default"}
    arguments = {"args": [str(task_id)], "kwargs": {}}
    return DBTaskResult(
        id=task_id,
        status="SUCCESSFUL",
        args_kwargs=arguments,
        run_after=then,
        started_at=then,
        finished_at=then,
        worker_ids=["a"],
        exception_class_path="",
        traceback="",
        **where,
    )


BUDGETS = {"gpt-5.5": 0, "gpt-5.4": 1, "gpt-5.2": 3}


def record(count: int) -> dict[int, list[float]]:
    """By the number of budgets that each request comes under, in turn; the first of each is left out."""
    for model, number in BUDGETS.items():
        for name in range(number):
            Budget.objects.create(name=f"{model} {name}", model=model, limit=10**6)
    with llm_for("gpt")(sleep=time.sleep) as client:
        times = [{number: _milliseconds(client, model) for model, number in BUDGETS.items()} for _ in range(1 + count)]
    return {number: [each[number] for each in times[1:]] for number in BUDGETS.values()}


def _milliseconds(client: LLM, model: str) -> float:
    """Record a request without sending it."""
    body = {"model": model, "messages": [{"role": "user", "content": "A question. " * 300}]}
    begin = perf_counter()
    row = start_request(None, "openai", model, lambda: client._most(model, body, 900))
    finish_request(row, AIRequestStatus.SUCCESS, duration=1.0, cost=Decimal("0.01"))
    return (perf_counter() - begin) * 1e3


if __name__ == "__main__":
    name, *numbers = sys.argv[1:]
    print(json.dumps(globals()[name](*map(int, numbers))))
