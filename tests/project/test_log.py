"""The log of the running site: one JSON object a line, and one key from a request to what it led to."""

import json
import re
import socket
from urllib.parse import quote

import pytest

from tests.site import eventually

VIEWS = {"DJANGO_SETTINGS_MODULE": "tests.observability.site_settings"}
FORGED = '\r\n{"level": "CRITICAL", "message": "forged"}\x1b[2J\u2028'
ODD_HEADERS = [b"", b"two words", b"a\tb", b"\x1b[31m", b"\xc3\xbc", b"\xff", b"x" * 200, b'"}{"level": "CRITICAL"']


def of(lines, **wanted):
    return [line for line in lines if wanted.items() <= line.items()]


def send(site, request_id):
    """What no client library would send; returns the head of the answer, "" when the server gave none."""
    host, _, port = site.url.removeprefix("http://").partition(":")
    head = [b"GET /fail HTTP/1.1", b"Host: 127.0.0.1", b"X-Request-ID: " + request_id, b"Connection: close"]
    with socket.create_connection((host, int(port)), timeout=20) as connection:
        connection.sendall(b"\r\n".join([*head, b"", b""]))
        answer = b"".join(iter(lambda: connection.recv(65536), b"")).decode()
    return answer.partition("\r\n\r\n")[0]


@pytest.mark.parametrize("asgi", [False, True], ids=["gunicorn", "uvicorn"])
def test_each_error_in_the_log_of_a_server_leads_to_its_request(site, asgi):
    paths = {"r1": "/fail", "r2": "/async/fail", "r3": "/ok?status=503"}
    with site(env=VIEWS, workers=1, asgi=asgi) as running:
        for request_id, path in paths.items():
            assert running.get(path, headers={"X-Request-ID": request_id}).headers["X-Request-ID"] == request_id
        eventually(lambda: len(of(running.lines(), logger="django.request")), 3)
        lines = running.lines()

    for request_id, path in paths.items():
        [line] = of(lines, request_id=request_id)
        assert line["level"] == "ERROR"
        assert ("the view's own fault" in line.get("exception", "")) == path.endswith("fail")


def test_a_line_of_gunicorns_access_log_leads_to_its_request(site):
    env = VIEWS | {"GUNICORN_CMD_ARGS": "--access-logfile -"}
    with site(env=env, workers=1, database=False, redis=False) as running:
        given = running.get("/ok", headers={"X-Request-ID": "release-27"}).headers["X-Request-ID"]
        made = running.get("/ok").headers["X-Request-ID"]
        eventually(lambda: len(of(running.lines(), logger="gunicorn.access")) >= 2, True)
        lines = of(running.lines(), logger="gunicorn.access")
    asked = [line["request_id"] for line in lines if '"GET /ok ' in line["message"]]
    assert asked == [given, made]


@pytest.mark.parametrize("asgi", [False, True], ids=["gunicorn", "uvicorn"])
def test_what_a_client_sends_makes_no_line_of_its_own(site, asgi):
    with site(env=VIEWS, workers=1, asgi=asgi) as running:
        heads = [send(running, header) for header in ODD_HEADERS]
        running.get(f"/shop/{quote(FORGED)}")
        running.get(f"/fail?{quote(FORGED)}", headers={"User-Agent": 'x"}{"level": "CRITICAL"'})
        eventually(lambda: "/fail" in running.log, True)
        lines, text = running.lines(), running.log

    answered = [head for head in heads if " 500 " in head]
    assert len(answered) >= len(ODD_HEADERS) - 2  # a server refuses what is no header at all
    for head in answered:
        assert re.search(r"(?im)^x-request-id: [0-9a-f]{32}\r?$", head)
    assert not of(lines, level="CRITICAL")
    assert all(line.isprintable() for line in text.split("\n"))


def test_a_request_its_job_and_the_workers_lines_have_the_same_ids(site):
    with site(workers=1) as running:
        host = {"base_url": running.url}
        token = {"Authorization": f"Bearer {running.env['AUTOMATION_TOKEN']}"}

        def start(request_id, *paths):
            body = {"job_type": "site_check", "payload": host | {"paths": paths}}
            answer = running.post("/api/automation/start", json=body, headers=token | {"X-Request-ID": request_id})
            assert (answer.status_code, answer.json()["request_id"]) == (202, request_id)
            return answer.json()["id"]

        with running.worker():
            good, bad = start("release-27", "/"), start("release-28", "/", '/"}{"level":"CRITICAL"')
            eventually(lambda: running.value("automation_jobs_total"), 2)
            eventually(lambda: len(of(running.lines("worker.log"), job_id=bad)), 1)
        web, worker = running.lines(), running.lines("worker.log")

    for request_id, job_id, status in (("release-27", good, "success"), ("release-28", bad, "failed")):
        [started] = of(web, job_id=job_id)
        [ended] = of(worker, job_id=job_id)
        assert started["request_id"] == ended["request_id"] == request_id
        assert status in ended["message"]
    assert not of(worker, level="CRITICAL")
    assert [line for line in worker if line["job_id"] is None and line["request_id"]] == []


def test_a_management_command_logs_in_the_same_form(site):
    with site() as running:
        done = running.manage("run_job", "site_check", f"base_url={running.url}", 'paths=["/nowhere"]')
    lines = [json.loads(line) for line in done.stderr.splitlines() if line.startswith("{")]
    [failed] = of(lines, logger="automation.engine")
    assert failed["job_id"] in failed["message"]
    assert failed["step"] == "fetch_path"
