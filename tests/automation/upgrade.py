"""Brings a database with rows from the first migrations to the newest and back, in a process of its own.

``main()`` prints as JSON what the columns of the first version held at each point, and what the newest shows of them.
"""

import io
import json
import os
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from django.core.management import call_command
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.test import Client

from automation.reaper import reap

FIRST = [("observability", "0001_initial"), ("automation", "0001_initial")]
TABLES = ("automation_job", "automation_step", "automation_airequest", "observability_activeuser")
THEN = datetime(2026, 11, 1, 12, tzinfo=UTC)
JOBS = ("pending", "running", "success", "failed", "cancelled")
STEPS = ("running", "success", "failed")
REQUESTS = ("success", "error", "timeout", "rate_limited", "budget_exceeded")
HEADERS = {"authorization": f"Bearer {os.environ['AUTOMATION_TOKEN']}", "host": "localhost"}


def migrate_to(targets):
    for target in targets:
        call_command("migrate", *target, verbosity=0)


def fill(apps):
    """What a site of the first version had written."""
    user = apps.get_model("auth", "User").objects.create(username="ada")
    apps.get_model("observability", "ActiveUser").objects.create(user_id=user.pk, seen_at=THEN)
    for number, status in enumerate(JOBS):
        job = apps.get_model("automation", "Job").objects.create(
            job_type="site_check",
            status=status,
            payload={"base_url": "http://localhost:8000", "paths": [f"/{number}", "/é"]},
            result={"pages": number} if status == "success" else None,
            error="It was not there." if status == "failed" else "",
            created_at=THEN + timedelta(seconds=number),
            started_at=None if status == "pending" else THEN + timedelta(minutes=1),
            finished_at=None if status in JOBS[:2] else THEN + timedelta(minutes=2),
            duration=None if status in JOBS[:2] else number / 4,
            started_by=user if number % 2 else None,
        )
        add_rows(apps, job)


def add_rows(apps, job):
    if job.status == "failed":
        for position, status in enumerate(STEPS):
            job.steps.create(position=position, name="check", detail=f"/{position}", status=status, started_at=THEN)
    if job.status == "success":
        for number, status in enumerate(REQUESTS):
            cost = None if status == "timeout" else number * Decimal("0.12500001")
            tokens = {"input_tokens": 100 * number, "output_tokens": 10 * number}
            job.ai_requests.create(model="gpt-4", status=status, cost=cost, created_at=THEN, duration=1.5, **tokens)
        apps.get_model("automation", "AIRequest").objects.create(model="gpt-4", status="success", created_at=THEN)


def columns():
    """Those that the tables have now."""
    with connection.cursor() as cursor:
        described = {table: connection.introspection.get_table_description(cursor, table) for table in TABLES}
    return {table: [column.name for column in found] for table, found in described.items()}


def held(first):
    """What these columns hold, row by row."""
    with connection.cursor() as cursor:
        rows = {}
        for table, names in first.items():
            cursor.execute(f"SELECT {', '.join(names)} FROM {table} ORDER BY 1")
            rows[table] = [dict(zip(names, map(str, row), strict=True)) for row in cursor.fetchall()]
        return rows


def shown():
    """The jobs as the API shows them, by the status that they had in the first version."""
    client = Client(headers=HEADERS)
    listed = client.get("/api/automation/jobs").json()["items"]
    jobs = [client.get(f"/api/automation/jobs/{job['id']}").json() for job in reversed(listed)]
    return dict(zip(JOBS, jobs, strict=True))


def spent():
    """What AI has cost, as the command tells it."""
    output = io.StringIO()
    call_command("ai_spend", format="json", stdout=output)
    return json.loads(output.getvalue())["total"]


def main():
    migrate_to(FIRST)
    fill(MigrationExecutor(connection).loader.project_state(FIRST).apps)
    first = columns()
    seen = {"first": held(first)}
    call_command("migrate", verbosity=0)
    seen |= {"newest": held(first), "spent": spent(), "shown": shown()}
    reap()
    seen |= {"reaped": shown(), "before": held(first)}
    migrate_to(FIRST)
    seen |= {"after": held(first), "columns": [first, columns()]}
    print(json.dumps(seen))
