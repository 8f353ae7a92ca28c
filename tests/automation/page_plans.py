"""A process of its own, on a database of its own: what do the pages and lists read of large tables?

It fills the tables, asks for each page with each of its filters, and prints the statements that read more rows than a
list has any use for.
"""

import json
import re
from datetime import timedelta

from tests.automation.plans import plan, statements  # sets Django up

from django.conf import settings  # isort: skip
from django.contrib.auth.models import User  # isort: skip
from django.db import connection  # isort: skip
from django.test import Client  # isort: skip
from django.utils import timezone  # isort: skip

from automation.admin.base import BoundedPaginator  # isort: skip
from automation.models import AIRequest, Job, Step  # isort: skip

JOBS = 100_000
OF_JOBS = 4  # every which has a step and an AI request
NOW = timezone.now()
POSTGRES = connection.vendor == "postgresql"
# What a list counts to, and as many again that PostgreSQL may pass over where half of the rows are not asked for.
MOST_ROWS = 2 * BoundedPaginator.bound
SMALL_ONES_APART = r"Seq Scan on automation_(?!budget|spend)"
INSTRUCTIONS = 1000  # of SQLite's machine, between two calls of its progress handler
A_ROW = 15  # instructions, at most


def new_jobs(user):
    for number in range(JOBS):
        at = NOW - timedelta(minutes=number)
        status = ["failed", "cancelled", "success", "success", "success"][number % 5]
        if number % 1000 == 0:
            status = "pending" if number % 2000 else "running"
        yield Job(
            job_type="site_check" if number % 3 else "given_up",
            status=status,
            error="HTTP 500" if status == "failed" else "",
            started_by=user if number % 2 else None,
            request_id=f"request-{number}",
            created_at=at,
            finished_at=None if status in {"pending", "running"} else at + timedelta(seconds=30),
        )


def fill():
    user = User.objects.create_superuser("ada")
    rows = list(new_jobs(user))
    Job.objects.bulk_create(rows, batch_size=2000)
    some = list(enumerate(rows[::OF_JOBS]))
    Step.objects.bulk_create(
        (Step(job=job, position=1, name=f"step-{n % 5}", status="success" if n % 9 else "failed") for n, job in some),
        batch_size=2000,
    )
    AIRequest.objects.bulk_create(
        (
            AIRequest(
                job=job,
                model=f"model-{n % 5}",
                status="success" if n % 9 else "timeout",
                request_id=f"req-{n}",
                created_at=job.created_at,
            )
            for n, job in some
        ),
        batch_size=2000,
    )
    with connection.cursor() as cursor:
        if POSTGRES:
            cursor.execute("VACUUM ANALYZE")  # as autovacuum does; SQLite goes without
    return user, rows[JOBS // 2]


def addresses(user, job):
    """Each page, alone and with each filter."""
    week = (NOW - timedelta(days=7)).isoformat()
    old = (NOW - timedelta(days=60)).isoformat()
    cursor = f"{int(job.created_at.timestamp() * 1e6)}-{job.pk.hex}"
    for query in (
        {},
        {"limit": 200},
        {"cursor": cursor},
        *({"status": status} for status in Job.Status.values),
        {"status": ["pending", "running"]},
        {"status": ["failed", "cancelled", "success"], "cursor": cursor},
        {"job_type": "site_check"},
        {"job_type": "unheard_of"},
        {"job_type": "given_up", "status": "failed", "cursor": cursor},
        {"started_by": user.pk},
        {"started_by": user.pk, "cursor": cursor},
        {"request_id": "request-7"},
        {"has_error": True},
        {"has_error": True, "cursor": cursor},
        {"has_error": False},
        {"created_after": week},
        {"created_before": old},
        {"finished_after": week},
        {"finished_before": old},
        {"finished_after": old, "finished_before": week, "cursor": cursor},
    ):
        yield "/api/automation/jobs", query
    yield f"/api/automation/jobs/{job.pk}", {}
    for query in (
        {},
        {"p": 100},
        *({"status__exact": status} for status in Job.Status.values),
        {"job_type": "site_check"},
        {"job_type": "unheard_of"},
        {"job_type": "given_up", "status__exact": "failed"},
        {"started_by": user.pk},
        {"started_by": "none"},
        {"created_at__gte": week},
        {"created_at__lt": old},
        {"q": str(job.pk)},
        {"q": str(job.pk)[:4]},
        {"q": "request-7"},
        {"q": "nothing like it"},
    ):
        yield "/admin/automation/job/", query
    yield f"/admin/automation/job/{job.pk}/change/", {}
    yield f"/admin/automation/job/{job.pk}/data/", {}
    for query in (
        {},
        {"p": 100},
        {"status__exact": "failed"},
        {"name": "step-1"},
        {"name": "unheard_of"},
        {"job": job.pk},
    ):
        yield "/admin/automation/step/", query
    yield f"/admin/automation/step/{Step.objects.first().pk}/change/", {}
    for query in (
        {},
        {"p": 100},
        {"status__exact": "timeout"},
        {"status__exact": "rate_limited"},
        {"model": "model-1"},
        {"model": "unheard_of"},
        {"created_at__gte": week},
        {"q": "req-7"},
        {"job": job.pk},
    ):
        yield "/admin/automation/airequest/", query
    yield f"/admin/automation/airequest/{AIRequest.objects.first().pk}/change/", {}
    yield "/admin/automation/spend/", {"range": "today"}
    yield "/admin/observability/metric/", {}


def rows_read(statement):
    """How many rows of the application's tables a statement looks at; on SQLite what its machine's work amounts to."""
    if POSTGRES:
        with connection.cursor() as cursor:
            cursor.execute(f"EXPLAIN (ANALYZE, TIMING OFF, FORMAT JSON) {statement}")
            found = cursor.fetchone()[0]
        return rows_of((found if isinstance(found, list) else json.loads(found))[0]["Plan"])
    calls = []
    connection.connection.set_progress_handler(lambda: calls.append(1) and None, INSTRUCTIONS)
    with connection.cursor() as cursor:
        cursor.execute(statement)
        cursor.fetchall()
    connection.connection.set_progress_handler(None, 0)
    return len(calls) * INSTRUCTIONS / A_ROW


def rows_of(node):
    """The rows that came out of a table or index below this node of a plan, and those that a filter dropped there."""
    own = 0
    if "Relation Name" in node:
        dropped = sum(value for key, value in node.items() if key.startswith("Rows Removed by"))
        own = (node["Actual Rows"] + dropped) * node["Actual Loops"]
    return own + sum(rows_of(child) for child in node.get("Plans", []))


def main():
    user, job = fill()
    client = Client(headers={"host": settings.ALLOWED_HOSTS[0]})
    client.force_login(user)
    for address, query in addresses(user, job):
        with statements() as seen:
            answer = client.get(address, query)
        assert answer.status_code == 200, (address, query, answer.content)
        asked = [statement for statement in seen if statement.startswith("SELECT") and "automation_" in statement]
        assert asked, (address, query)
        for statement in asked:
            found, number = plan(statement), rows_read(statement)
            if re.search(SMALL_ONES_APART, found) or number > MOST_ROWS:
                print(f"{address} {query}: {number:,.0f} rows\n{statement}\n{found}\n")


main()
