"""Somebody who opens the pages of the admin: ``python -m benchmarks.visitor`` in the environment of a site.

``fill JOBS REQUESTS`` fills the tables. ``visit SERIES ROUNDS`` records so many series, fills their history over its
whole length, opens each page so often, in turn, and prints the seconds and the database queries that each took;
``watch`` does it with nothing but the new numbers of the page of the metrics, which are what the history is read for.
"""

import json
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace
from random import shuffle

import django
from django.db import connection
from django.db.backends.signals import connection_created

django.setup()

from django.conf import settings  # noqa: E402
from django.contrib.auth import get_user_model  # noqa: E402
from django.test import Client  # noqa: E402

from automation import daybook  # noqa: E402
from automation.admin.spend.ranges import RANGES as SPEND_RANGES  # noqa: E402
from automation.models import Budget, Job  # noqa: E402
from observability import exposition  # noqa: E402
from observability.history import RANGES, ring  # noqa: E402
from observability.history.amounts import Sample, take  # noqa: E402
from observability.metrics import MetricsCollector  # noqa: E402

DAYS, USERS, TYPES, MODELS = 90, 40, 12, 15
STEPS_OF_ONE = 100  # and as many AI requests: those of the newest job

# Evenly over the days up to now; of today as many as of any other day, so that it does not matter when it runs.
WHEN = f"""
    SELECT n, CASE WHEN days < 1 THEN now() - (now() - date_trunc('day', now(), 'UTC')) * days
        ELSE date_trunc('day', now(), 'UTC') - interval '1 day' * (days - 1) END AS at
    FROM (SELECT n, n * {DAYS} / %(jobs)s::float AS days FROM generate_series(0, %(jobs)s - 1) AS n) AS numbers
"""
JOBS = f"""
    INSERT INTO automation_job (id, job_type, status, payload, error, created_at, started_at, finished_at, duration,
        started_by_id, request_id, trace_id, sentry_event_id, asked_digest, attempts, worker)
    SELECT md5(n::text)::uuid, 'type_' || n %% {TYPES}, CASE n %% 10 WHEN 0 THEN 'failed' ELSE 'success' END,
        '{{}}', CASE n %% 10 WHEN 0 THEN 'HTTP 500 of the service' ELSE '' END, at, at + interval '2 s',
        at + interval '60 s', 58, 1 + n %% {USERS}, 'request-' || n, '', '', '', 1, 'worker-1'
    FROM ({WHEN}) AS moments
"""
STEPS = f"""
    INSERT INTO automation_step (job_id, position, name, detail, status, started_at, finished_at, duration, error,
        attempts)
    SELECT id, position, 'step_' || position %% 8, '', 'success', created_at, created_at + interval '6 s', 6, '', 1
    FROM automation_job, generate_series(1, CASE id WHEN md5('0')::uuid THEN {STEPS_OF_ONE} ELSE 2 END) AS position
"""
REQUESTS = f"""
    INSERT INTO automation_airequest (job_id, step, provider, model, status, error, input_tokens, output_tokens,
        cached_input_tokens, cache_write_tokens, reasoning_tokens, cost, price_source, price_version, billed, duration,
        request_id, created_at)
    SELECT id, 'step_' || n %% 8, 'openai', 'model-' || (n * 7 + each) %% {MODELS}, 'success', '', 3000, 900,
        1000, 0, 0, CASE n %% 50 WHEN 7 THEN NULL ELSE 0.01 + n %% 90 * 0.0007 END,
        CASE n %% 50 WHEN 7 THEN 'no_price' ELSE 'genai-prices' END, '', '{{}}', 4, 'req-' || n || '-' || each,
        created_at + each * interval '0.1 s'
    FROM (SELECT *, substr(request_id, 9)::int AS n FROM automation_job) AS jobs,
        generate_series(1, CASE n WHEN 0 THEN {STEPS_OF_ONE} ELSE %(requests)s / %(jobs)s END) AS each
"""


def fill(jobs: int, requests: int) -> None:
    """So many over the last days, which are summed as the workers do it."""
    users = get_user_model().objects
    users.create_superuser("visitor")
    users.bulk_create(users.model(username=f"user-{number}") for number in range(USERS - 1))
    for period in Budget.Period.values:
        Budget.objects.create(name=f"All of a {period}", period=period, limit=1000)
    with connection.cursor() as cursor:
        cursor.execute("SET session_replication_role = replica")  # without a look at each foreign key
        for statement in (JOBS, STEPS, REQUESTS):
            cursor.execute(statement, {"jobs": jobs, "requests": requests})
        cursor.execute("SET session_replication_role = DEFAULT")
        cursor.execute("VACUUM ANALYZE")
    while daybook.close():
        pass


def record(series: int) -> None:
    """What a site counts: requests by endpoint, jobs and steps by type, AI requests by model."""
    record = MetricsCollector
    for number in range(TYPES):
        record.record_automation_job(job_type=f"type_{number}", status="success", duration=58)
        record.record_automation_step(step=f"step_{number % 8}", status="success", duration=6)
    for number in range(MODELS):
        record.record_ai_request(model=f"model-{number}", status="success", tokens=3900, cost=0.04)
    number = 0
    while recorded() < series:
        endpoint, status = f"/api/things/{number}/<uuid:thing_id>", 500 if number % 7 == 0 else 200
        record.record_http_request(
            method="GET", endpoint=endpoint, status=status, duration=0.01 * (1 + number), size=99
        )
        number += 1


def recorded() -> float:
    return next(f.samples[0].value for f in exposition.snapshot(["observability_series"]))


def keep_history() -> None:
    """All the samples that each ring has room for from one instance, whose counters grew evenly."""
    backend, families, now = ring.backend(), exposition.snapshot(), time.time()
    for tier in ring.TIERS:
        newest = take(families, tier.wanted, now)
        for slot in range(tier.slot(now - tier.seconds) + 1, tier.slot(now) + 1):
            at = slot * tier.step
            sample = _as_of(newest, at, 1 - (now - at) / (2 * tier.seconds))
            backend.write(tier, ring.Row(ring.instance(), slot, sample.pack()))


def _as_of(sample: Sample, at: float, part: float) -> Sample:
    counters = {name: {key: value * part for key, value in of.items()} for name, of in sample.counters.items()}
    return replace(sample, at=at, counters=counters)


def new_numbers() -> Iterator[tuple[str, str]]:
    """What an open page of the metrics asks for, by its name."""
    for one in RANGES.values():
        yield f"Metrics, new numbers, {one.short}", f"/admin/observability/metric/data/?range={one.name}"


def pages() -> Iterator[tuple[str, str]]:
    """The addresses of all, by their names."""
    yield "Metrics, the page", "/admin/observability/metric/"
    yield from new_numbers()
    for one in SPEND_RANGES.values():
        yield f"AI spend, {one.short}", f"/admin/automation/spend/?range={one.name}"
    yield "AI spend, CSV of 90 days", "/admin/automation/spend/csv/?range=90d"
    yield "list of jobs", "/admin/automation/job/"
    newest = Job.objects.latest("created_at")
    yield f"a job with {STEPS_OF_ONE} steps and AI requests", f"/admin/automation/job/{newest.pk}/change/"


class Queries:
    """Counts the queries of all threads."""

    def __init__(self) -> None:
        self.number = 0
        connection.execute_wrappers.append(self)
        connection_created.connect(self.watch)

    def watch(self, connection, **_) -> None:
        if self not in connection.execute_wrappers:
            connection.execute_wrappers.append(self)

    def __call__(self, execute, *arguments):
        self.number += 1
        return execute(*arguments)


Figures = dict[str, dict[str, list[float]]]  # by page, the seconds and the queries of each time


def visit(series: int, rounds: int) -> Figures:
    return _opened(dict(pages()), series, rounds)


def watch(series: int, rounds: int) -> Figures:
    return _opened(dict(new_numbers()), series, rounds)


def _opened(addresses: dict[str, str], series: int, rounds: int) -> Figures:
    """A first round to warm up is left out."""
    record(series)
    keep_history()
    queries, found = Queries(), defaultdict(lambda: {"seconds": [], "queries": []})
    client = Client(headers={"host": settings.ALLOWED_HOSTS[0]})
    client.force_login(get_user_model().objects.get(username="visitor"))
    order = list(addresses.items())
    for _ in range(1 + rounds):
        shuffle(order)  # else the garbage of all is collected at the same page each time
        for name, address in order:
            before, begin = queries.number, time.perf_counter()
            answer = client.get(address)
            seconds = time.perf_counter() - begin
            assert answer.status_code == 200, f"{address}: {answer.status_code}"
            found[name]["seconds"].append(seconds)
            found[name]["queries"].append(queries.number - before)
    return {name: {what: values[1:] for what, values in found[name].items()} for name in addresses}


if __name__ == "__main__":
    name, *numbers = sys.argv[1:]
    print(json.dumps(globals()[name](*map(int, numbers))))
