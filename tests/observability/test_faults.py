"""A database or Redis that is down, or accepts and never answers, costs neither the site nor its metrics."""

import os
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from urllib.parse import urlsplit

import psutil
import pytest
from prometheus_client.parser import text_string_to_metric_families as parse

from tests.servers import start_postgres
from tests.site import eventually, prepare

VIEWS = {"DJANGO_SETTINGS_MODULE": "tests.observability.site_settings"}
BUSY = 1  # seconds that a busy machine adds to a deadline; without one it would be half a minute
NOBODY_LISTENS = 9  # the discard port: refused at once


def values(text):
    return {(s.name, s.labels.get("source", s.labels.get("endpoint"))): s.value for f in parse(text) for s in f.samples}


def timed(call):
    begin = time.monotonic()
    answer = call()
    return answer, time.monotonic() - begin


def database(port):
    return f"postgres://postgres@127.0.0.1:{port}/postgres"


@pytest.fixture(params=["down", "silent"])
def bad_port(request, silent):
    return NOBODY_LISTENS if request.param == "down" else silent


@contextmanager
def stopped(url):
    """All processes of a PostgreSQL stopped, as on a host that hangs: the kernel still accepts connections."""
    port = str(urlsplit(url).port)
    running = psutil.process_iter(["cmdline"])
    server = next(process for process in running if (process.info["cmdline"] or [])[-2:] == ["-p", port])
    server.suspend()  # first, so that it begins no process that would be missed
    processes = [server, *server.children(recursive=True)]
    for process in processes[1:]:
        process.suspend()
    try:
        yield
    finally:
        for process in processes:
            process.resume()


def test_without_its_database_the_site_starts_and_a_scrape_has_all_the_rest(site, bad_port):
    with site(env=VIEWS, database=database(bad_port)) as running:
        assert running.get("/api/metrics/health?live").status_code == 200
        assert running.get("/ok").status_code == 200
        for _ in range(3):
            answer, seconds = timed(running.metrics)
            found = values(answer.text)
            assert answer.status_code == 200
            assert seconds < 1 + BUSY
            assert found["observability_source_up", "database"] == 0
            assert found["observability_source_up", "cache"] == 1
            assert found["http_requests_total", "/ok"] == 1
            assert ("active_jobs", None) not in found


def threads_of_worker(site):
    """The worker of a site that has one, and its number of threads once those for requests are all there."""
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(site.get, ["/slow?seconds=0.2"] * 8))
    worker = psutil.Process(site.processes[1])
    return worker, worker.num_threads()


def test_without_its_database_health_is_503_within_the_deadline_and_live_is_200(site, bad_port):
    with site(env=VIEWS, workers=1, database=database(bad_port)) as running:
        worker, threads = threads_of_worker(running)
        for _ in range(4):
            answer, seconds = timed(lambda: running.get("/api/metrics/health"))
            assert (answer.status_code, answer.json()["status"]) == (503, "unhealthy")
            assert seconds < 2 + BUSY
        eventually(lambda: worker.num_threads() <= threads + 1, True, seconds=5)
        answer, seconds = timed(lambda: running.get("/api/metrics/health?live"))
        assert (answer.status_code, answer.json()["status"]) == (200, "healthy")
        assert seconds < 1 + BUSY


def test_without_its_database_a_session_cookie_opens_nothing(site):
    with site(env=VIEWS, database=database(NOBODY_LISTENS)) as running:
        assert running.get("/api/metrics", headers={"Cookie": f"sessionid={'a' * 32}"}).status_code == 401


def test_health_waits_for_no_session_beyond_the_deadline_and_piles_up_no_threads(site, silent):
    settings = VIEWS | {"DJANGO_SETTINGS_MODULE": "tests.observability.cached_sessions_settings"}
    with site(env=settings, workers=1, redis=f"redis://127.0.0.1:{silent}/0") as running:
        worker, threads = threads_of_worker(running)
        cookie = {"Cookie": f"sessionid={'a' * 32}"}
        for _ in range(3):
            answer, seconds = timed(lambda: running.get("/api/metrics/health", headers=cookie))
            assert (answer.status_code, answer.json()) == (200, {"status": "healthy", "metrics_enabled": True})
            assert seconds < 2 + BUSY
            answer, seconds = timed(lambda: running.get("/api/metrics/health"))
            assert (answer.status_code, seconds < 1 + BUSY) == (200, True), "who has no session waits for none"
        eventually(lambda: worker.num_threads() <= threads + 1, True, seconds=5)


def database_is_up_in_time(site):
    """What a scrape says of the database, within a second."""
    answer, seconds = timed(site.metrics)
    assert seconds < 1 + BUSY
    return values(answer.text)["observability_source_up", "database"]


def test_with_its_database_stopped_and_back_the_site_recovers_by_itself(site):
    """Every process of the database is stopped for a while, as on a host that hangs."""
    url = start_postgres()
    prepare(os.environ | {"DATABASE_URL": url, "REDIS_URL": ""})
    with site(env=VIEWS, database=url) as running:
        assert values(running.metrics().text)["observability_source_up", "database"] == 1
        with stopped(url):
            # a question that the history asked just before is still answered, and shared
            eventually(lambda: database_is_up_in_time(running), 0)
            answer, seconds = timed(lambda: running.get("/api/metrics/health"))
            assert (answer.status_code, seconds < 2 + BUSY) == (503, True)
        eventually(lambda: values(running.metrics().text)["observability_source_up", "database"], 1)
        eventually(lambda: running.get("/api/metrics/health").status_code, 200)


def test_without_its_redis_requests_are_unharmed_and_a_scrape_has_all_the_rest(site, bad_port):
    settings = VIEWS | {"DJANGO_SETTINGS_MODULE": "tests.observability.checked_cache_settings"}
    with site(env=settings, redis=f"redis://127.0.0.1:{bad_port}/0") as running:
        session = signed_in(running)
        for _ in range(5):
            answer, seconds = timed(lambda: running.get("/who", headers={"Cookie": session}))
            assert (answer.status_code, answer.text) == (200, "1")
            assert seconds < 1 + BUSY
        answer, seconds = timed(running.metrics)
        found = values(answer.text)
        assert seconds < 1 + BUSY
        assert found["observability_source_up", "cache"] == 0
        assert found["observability_source_up", "database"] == 1
        assert ("active_users", None) not in found
        answer, seconds = timed(lambda: running.get("/api/metrics/health"))
        assert (answer.status_code, seconds < 2 + BUSY) == (503, True)


@pytest.mark.parametrize("redis", [True, False], ids=["in Redis", "in the database"])
def test_active_users_are_counted_once_over_all_workers(site, redis):
    with site(env=VIEWS, workers=2, redis=redis) as running:
        sessions = [signed_in(running, number) for number in (1, 2, 3)]
        for session in sessions * 4:
            running.get("/who", headers={"Cookie": session})
        running.get("/who")
        eventually(lambda: values(running.metrics().text)["active_users", None], 3)


def test_active_users_leave_after_the_window(site):
    with site(env=VIEWS | {"DJANGO_SETTINGS_MODULE": "tests.observability.short_window_settings"}) as running:
        running.get("/who", headers={"Cookie": signed_in(running)})
        eventually(lambda: values(running.metrics().text)["active_users", None], 1)
        eventually(lambda: values(running.metrics().text)["active_users", None], 0)


@pytest.mark.parametrize("database", [True, False], ids=["PostgreSQL", "SQLite"])
def test_database_connections_are_those_that_are_open(site, database):
    keep = {"CONN_MAX_AGE": "60"}
    with site(env=VIEWS | keep, workers=1, database=database) as running:
        assert values(running.metrics().text)["database_connections", None] == 0
        running.get("/api/health")
        running.get("/who", headers={"Cookie": signed_in(running)})
        eventually(lambda: values(running.metrics().text)["database_connections", None], 1)


def signed_in(site, number=1):
    """The cookie of a session, made in another process on the same database."""
    code = (
        "from django.contrib.auth.models import User\n"
        "from django.test import Client\n"
        f"user, _ = User.objects.get_or_create(username='user-{number}')\n"
        "client = Client(); client.force_login(user)\n"
        "print(client.cookies['sessionid'].value)\n"
    )
    done = site.manage("shell", "--no-imports", "-c", code)
    assert done.returncode == 0, done.stderr
    return f"sessionid={done.stdout.split()[-1]}"
