"""The same numbers from every door of a running site: gunicorn, uvicorn, another process, Prometheus's own parser."""

import json
import socket
import subprocess
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest
from prometheus_client.parser import text_string_to_metric_families as parse

from tests.servers import requires
from tests.site import eventually

VIEWS = {"DJANGO_SETTINGS_MODULE": "tests.observability.site_settings"}

MIX = [
    *[("GET", "/ok", 200)] * 350,
    *[("GET", "/file", 200)] * 50,
    *[("POST", "/ok?status=201", 201)] * 100,
    *[("GET", "/shop/7/name", 200)] * 150,
    *[("GET", "/nowhere", 404)] * 120,
    *[("GET", "/fail", 500)] * 30,
    *[("GET", "/stream", 200)] * 100,
    *[("GET", "/async/ok", 200)] * 100,
]
ENDPOINTS = {"/shop/7/name": "/shop/<int:shop>/<slug:name>", "/nowhere": "unmatched"}
EXPECTED = Counter((method, ENDPOINTS.get(path, path.partition("?")[0]), str(status)) for method, path, status in MIX)


def send(site, requests):
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda request: site.request(request[0], request[1]).status_code, requests))
    assert answers == [status for _, _, status in requests]


def counted(samples):
    """Requests by method, endpoint and status, without those for the metrics themselves."""
    found = Counter()
    for labels, value in samples:
        if not labels["endpoint"].startswith("/api/metrics"):
            found[labels["method"], labels["endpoint"], labels["status"]] += value
    return found


def from_text(site):
    families = parse(site.metrics().text)
    return counted((s.labels, s.value) for f in families for s in f.samples if s.name == "http_requests_total")


def from_json(content):
    return counted((s["labels"], s["value"]) for s in content["http_requests_total"]["samples"])


@pytest.mark.parametrize("asgi", [False, True], ids=["gunicorn", "uvicorn"])
def test_a_thousand_requests_over_two_workers_are_a_thousand_everywhere(site, asgi):
    assert len(MIX) == 1000
    with site(env=VIEWS, workers=2, asgi=asgi) as running:
        send(running, MIX)
        eventually(lambda: from_text(running), EXPECTED)
        assert from_json(running.metrics("/api/metrics/json").json()) == EXPECTED
        dumped = running.manage("dump_metrics", "--format", "json")
        assert from_json(json.loads(dumped.stdout)) == EXPECTED
        durations = json.loads(dumped.stdout)["http_request_duration_seconds"]["samples"]
        counts = [s for s in durations if s["name"].endswith("_count") and "metrics" not in s["labels"]["endpoint"]]
        assert sum(s["value"] for s in counts) == 1000


@requires("promtool")
def test_promtool_has_no_complaint(site):
    with site(env=VIEWS) as running:
        send(running, MIX[::20])
        job = running.start_job("site_check", base_url=running.url, paths=["/ok", "/nowhere"])
        with running.worker():
            eventually(lambda: job_status(running, job), "failed")
        text = running.metrics().content
    done = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


def job_status(site, job):
    headers = {"Authorization": f"Bearer {site.env['AUTOMATION_TOKEN']}"}
    return site.get(f"/api/automation/jobs/{job}", headers=headers).json()["status"]


def in_progress(site):
    families = parse(site.metrics().text)
    return sum(s.value for f in families for s in f.samples if s.name == "http_requests_in_progress")


def gone(site, path):
    """A client that sends a request, reads a little and goes away."""
    host, _, port = site.url.removeprefix("http://").partition(":")
    with socket.create_connection((host, int(port))) as connection:
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
        connection.settimeout(0.3)
        with suppress(TimeoutError):
            connection.recv(100)
        time.sleep(0.3)


def sizes(site, endpoint):
    """Bytes that were sent of a route, and in how many responses."""
    found = {
        s.name.rpartition("_")[2]: s.value
        for f in parse(site.metrics().text)
        for s in f.samples
        if f.name == "http_response_size_bytes" and s.labels["endpoint"] == endpoint
    }
    return found["sum"], found["count"]


LONG = 200_000_000  # bytes: more than any socket takes before its reader reads

CUT_SHORT = ["/async/slow?seconds=20", "/slow?seconds=1", "/async/stream?parts=200&pause=0.1", f"/file?size={LONG}"]


@pytest.mark.parametrize("path", [*CUT_SHORT, "/stream?parts=3&size=50000000"])
def test_a_client_that_goes_away_counts_as_499_and_leaves_nothing_in_progress(site, path):
    endpoint = path.partition("?")[0]
    with site(env=VIEWS, workers=1, asgi=True) as running:
        running.get("/ok")
        for _ in range(3):
            gone(running, path)
        eventually(lambda: from_text(running), {("GET", "/ok", "200"): 1, ("GET", endpoint, "499"): 3})
        assert in_progress(running) == 1  # the scrape itself


@pytest.mark.parametrize("path", ["/stream?parts=100&pause=0.05", f"/file?size={LONG}", "/async/stream?size=50000000"])
def test_a_stream_that_a_client_leaves_counts_as_499_under_gunicorn(site, path):
    endpoint = path.partition("?")[0]
    with site(env=VIEWS, workers=2) as running:
        gone(running, path)
        eventually(lambda: from_text(running), {("GET", endpoint, "499"): 1})
        assert in_progress(running) == 1
        sent, responses = sizes(running, endpoint)
        assert (0 <= sent < LONG / 2, responses) == (True, 1)


@pytest.mark.parametrize("asgi", [False, True], ids=["gunicorn", "uvicorn"])
@pytest.mark.parametrize("path", ["/stream", "/async/stream", "/file"])
def test_any_stream_is_timed_to_its_last_byte_and_measured_whole_whatever_server_sends_it(site, path, asgi):
    size = 20_000_000
    with (
        site(env=VIEWS, workers=1, asgi=asgi) as running,
        running.client.stream("GET", f"{path}?size={size}") as answer,
    ):
        parts = answer.iter_raw(65536)
        next(parts)
        time.sleep(1)  # the server has to wait
        received = 65536 + sum(map(len, parts))
        eventually(lambda: from_text(running), {("GET", path, "200"): 1})
        assert sizes(running, path) == (received, 1)
        assert duration(running, path) >= 1


def duration(site, endpoint):
    name = "http_request_duration_seconds_sum"
    families = parse(site.metrics().text)
    return sum(s.value for f in families for s in f.samples if s.name == name and s.labels["endpoint"] == endpoint)


def test_requests_in_progress_are_seen_over_all_workers_and_gone_with_a_killed_one(site):
    with site(env=VIEWS, workers=3) as running, ThreadPoolExecutor(2) as pool:
        slow = [pool.submit(running.client.get, "/slow?seconds=3") for _ in range(2)]
        eventually(lambda: in_progress(running), 3, seconds=2.5)
        for answer in slow:
            assert answer.result().status_code == 200
        eventually(lambda: in_progress(running), 1)
