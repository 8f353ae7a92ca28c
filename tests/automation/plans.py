"""A process of its own, on a database of its own: which queries read all of a large table of jobs?

It fills the table, does everything that a page, a scrape or a worker does, and prints the plan of each statement that
reads a whole table of the application.
"""

import re
import uuid
from contextlib import contextmanager
from datetime import timedelta

import django

django.setup()

from django.db import connection  # noqa: E402
from django.utils import timezone  # noqa: E402
from django_tasks_db.models import DBTaskResult  # noqa: E402

from automation import engine, jobs  # noqa: E402
from automation.models import AIRequest, Budget, BudgetPeriod, Job, Step  # noqa: E402
from automation.reaper import reap  # noqa: E402
from observability import sources  # noqa: E402

JOBS = 20_000
EXPLAIN = {"postgresql": "EXPLAIN ", "sqlite": "EXPLAIN QUERY PLAN "}[connection.vendor]
WHOLE_TABLE = {  # of those that grow: people make budgets
    "postgresql": r"Seq Scan on (automation_(?!budget\b)|django_tasks_)",
    "sqlite": r"\bSCAN (?!CONSTANT|automation_budget\b)",  # of a table by its name or its alias
}[connection.vendor]
TABLES = re.compile("automation_|django_tasks_")
PAYLOAD = {"base_url": "http://127.0.0.1:1", "paths": ["/"]}


def new_jobs():
    """Nearly all have ended; a few run without a sign of life, and a few wait for a task that was lost."""
    for number in range(JOBS):
        at = timezone.now() - timedelta(minutes=number + 2)
        status = "failed" if number % 10 == 0 else "success"
        if number % 2_000 == 0:
            status = "pending" if number % 4_000 else "running"
        yield Job(
            job_type="site_check", status=status, created_at=at, finished_at=at, heartbeat_at=at, task_id=uuid.uuid4()
        )


def finished_tasks(rows):
    for job in rows:
        yield DBTaskResult(
            id=job.task_id,
            status="SUCCESSFUL",
            task_path="automation.tasks.run_job",
            args_kwargs={"args": [str(job.pk)], "kwargs": {}},
            backend_name="default",
            run_after=job.created_at,
            started_at=job.created_at,
        )


def fill():
    rows = list(new_jobs())
    Job.objects.bulk_create(rows, batch_size=2000)
    DBTaskResult.objects.bulk_create(finished_tasks(rows), batch_size=2000)
    Step.objects.bulk_create(Step(job=job, position=1, name="x", status="success") for job in rows[:5000])
    AIRequest.objects.bulk_create(AIRequest(job=job, model="x", status="success") for job in rows[:5000])
    budget = Budget.objects.create(name="day", limit=1)
    days = [timezone.now() - timedelta(days=number) for number in range(5000)]
    BudgetPeriod.objects.bulk_create(
        BudgetPeriod(budget=budget, begins=day, warn_since=day, has_warned=True) for day in days
    )
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")


def do_everything():
    for read in list(sources._reads[sources.DATABASE].values()):
        read()
    job = jobs.create_job("site_check", PAYLOAD, idempotency_key="key")
    assert jobs.create_job("site_check", PAYLOAD, idempotency_key="key") == job
    assert engine.run(job).status == "failed"
    assert jobs.cancel_job(jobs.retry_job(job))
    assert reap() == 10


@contextmanager
def statements():
    seen = []

    def record(execute, sql, params, many, context):
        result = execute(sql, params, many, context)
        seen.append(connection.ops.last_executed_query(context["cursor"], sql, params))
        return result

    with connection.execute_wrapper(record):
        yield seen


def plan(statement):
    with connection.cursor() as cursor:
        cursor.execute(EXPLAIN + statement)
        return "\n".join(" ".join(map(str, row)) for row in cursor.fetchall())


def main():
    fill()
    with statements() as seen:
        do_everything()
    asked = [statement for statement in seen if TABLES.search(statement) and not statement.startswith("INSERT")]
    assert len(asked) > 20
    for statement in asked:
        if re.search(WHOLE_TABLE, found := plan(statement)):
            print(f"{statement}\n{found}\n")


if __name__ == "__main__":
    main()
