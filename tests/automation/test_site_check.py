"""What a site check finds on a real server, and where it refuses to look."""

import socket

import pytest

from automation.clients.web import TIMEOUT
from automation.models import Job

pytestmark = pytest.mark.django_db


def steps(job: Job) -> list[tuple[str, str, str, str]]:
    return list(job.steps.values_list("name", "detail", "status", "error"))


def test_a_site_that_answers_is_a_success(check, web):
    job = check("/", "/204", "/news?page=2")

    assert (job.status, job.error) == ("success", "")
    assert steps(job) == [("fetch_path", path, "success", "") for path in ("/", "/204", "/news?page=2")]
    assert job.result == {
        "paths": [
            {"path": "/", "status": 200},
            {"path": "/204", "status": 204},
            {"path": "/news?page=2", "status": 200},
        ]
    }
    assert web.seen == ["/", "/204", "/news?page=2"]


def test_a_job_and_its_steps_know_how_long_they_took(check):
    job = check("/")
    step = job.steps.get()

    assert 0 < step.duration <= job.duration
    assert job.created_at <= job.started_at <= step.started_at <= step.finished_at <= job.finished_at


@pytest.mark.parametrize("status", [400, 404, 500, 503])
def test_a_status_of_400_and_more_fails_its_step_and_the_job(check, status):
    job = check(f"/{status}")

    assert steps(job) == [("fetch_path", f"/{status}", "failed", f"HTTP {status}")]
    assert (job.status, job.error) == ("failed", f"1 of 1 fetch_path steps failed: /{status} (HTTP {status}).")
    assert job.result is None


def test_a_failed_path_does_not_keep_the_others_from_being_tried(check, web):
    job = check("/404", "/", "/500", "/")

    assert [step[2] for step in steps(job)] == ["failed", "success", "failed", "success"]
    assert job.error == "2 of 4 fetch_path steps failed: /404 (HTTP 404), /500 (HTTP 500)."
    assert web.seen == ["/404", "/", "/500", "/"]


def test_many_failed_paths_still_give_a_short_sentence(check):
    job = check(*(f"/{status}" for status in range(400, 408)))

    assert job.error.startswith("8 of 8 fetch_path steps failed: /400 (HTTP 400), ")
    assert job.error.endswith("/404 (HTTP 404) and 3 more.")


def test_a_refused_connection_is_a_failed_step(run_job, settings):
    with socket.socket() as nobody_listens:
        nobody_listens.bind(("127.0.0.1", 0))
        host = f"127.0.0.1:{nobody_listens.getsockname()[1]}"
        settings.AUTOMATION = {"SITE_CHECK_HOSTS": [host]}
        job = run_job("site_check", base_url=f"http://{host}", paths=["/", "/other"])

    assert job.status == "failed"
    assert steps(job) == [
        ("fetch_path", "/", "failed", "ConnectError: [Errno 111] Connection refused"),
        ("fetch_path", "/other", "failed", "ConnectError: [Errno 111] Connection refused"),
    ]


def test_a_cut_connection_is_a_failed_step(check):
    ((_, _, status, error),) = steps(check("/cut"))

    assert status == "failed"
    assert error.startswith("RemoteProtocolError: ")


@pytest.mark.parametrize(
    ("path", "error"),
    [("/slow", "ReadTimeout: timed out"), ("/drip", "not complete within 0.3 seconds")],
)
def test_a_server_that_takes_too_long_is_a_failed_step(check, monkeypatch, path, error):
    monkeypatch.setattr("automation.clients.web.TIMEOUT", 0.3)

    job = check(path)

    assert steps(job) == [("fetch_path", path, "failed", error)]
    assert 0.3 <= job.duration < 3


def test_a_path_has_ten_seconds():
    assert TIMEOUT == 10


def test_a_redirect_is_not_followed(check, web, make_server):
    other = make_server()
    web.elsewhere = other.url + "/secret"

    job = check("/moved")

    assert job.result == {"paths": [{"path": "/moved", "status": 302}]}
    assert (web.seen, other.seen) == (["/moved"], [])


def test_a_proxy_in_the_environment_is_not_asked(check, web, make_server, monkeypatch):
    proxy = make_server()
    monkeypatch.setenv("HTTP_PROXY", proxy.url)
    monkeypatch.setenv("ALL_PROXY", proxy.url)

    assert check("/").status == "success"
    assert (web.seen, proxy.seen) == (["/"], [])


def test_a_path_beyond_ascii_is_asked_for_in_utf_8(check, web):
    assert check("/größe").status == "success"
    assert web.seen == ["/gr%C3%B6%C3%9Fe"]


def test_hosts_that_are_forbidden_before_the_job_runs_are_not_asked(web, settings, client, work, transactional_db):
    payload = {"base_url": web.url, "paths": ["/"]}
    client.post(
        "/api/automation/start",
        {"job_type": "site_check", "payload": payload},
        content_type="application/json",
        headers={"Authorization": f"Bearer {settings.AUTOMATION['API_TOKEN']}"},
    )
    settings.AUTOMATION = {"SITE_CHECK_HOSTS": []}

    work()

    job = Job.objects.get()
    assert job.status == "failed"
    assert "is not allowed; no host is allowed" in job.error
    assert web.seen == []


REFUSED_BASE_URLS = [
    "",
    "{host}",
    "//{host}",
    "ftp://{host}",
    "file:///etc/passwd",
    "javascript://{host}",
    "http://",
    "http:///",
    "http:/{host}",
    "http:{host}",
    "http://evil.example",
    "http://127.0.0.1",
    "http://127.0.0.1:1",
    "http://localhost:8000",
    "http://{host}.evil.example",
    "http://evil.example.{host}",
    "http://{host}@evil.example",
    "http://evil.example@{host}",
    "http://user:password@{host}",
    "http://@{host}",
    "http://{host}:80",
    "http://{host}/path",
    "http://{host}//",
    "http://{host}/?a=1",
    "http://{host}?a=1",
    "http://{host}#a",
    "http://{host}\\",
    "http:\\\\{host}",
    "http://evil.example\\@{host}",
    "http://{host}\\.evil.example",
    "http://{host}\n",
    "http://{host}/\n",
    "http://{host}\r\nHost: evil.example",
    " http://{host}",
    "http://{host} ",
    "http://{host}\t",
    "http://{host}\x00",
    "http://{host}\u200b",
    "http://１２７.0.0.1:{port}",
    "http://2130706433:{port}",
    "http://0x7f.1:{port}",
    "http://[::1]:{port}",
    "http://[::ffff:127.0.0.1]:{port}",
    "http://" + "a" * 1000,
    "http://{host}\ud800",
]

REFUSED_PATHS = [
    "",
    "path",
    "//evil.example",
    "//",
    "///",
    "/\\evil.example",
    "\\\\evil.example",
    "http://evil.example/",
    "@evil.example",
    ":1/",
    ".evil.example/",
    "/a\nb",
    "/a\r\nX-Evil: 1",
    "/\x00",
    "/\x1b[2J",
    "/\x85",
    "/\u2028",
    "/\ud800",
    "/" + "a" * 2000,
]


def start(client, **payload):
    """Ask for a check; the client has the token."""
    body = {"job_type": "site_check", "payload": payload}
    return client.post("/api/automation/start", body, content_type="application/json")


@pytest.fixture
def client(client, web, settings):
    client.defaults["HTTP_AUTHORIZATION"] = f"Bearer {settings.AUTOMATION['API_TOKEN']}"
    return client


@pytest.mark.parametrize("base_url", REFUSED_BASE_URLS)
def test_any_other_address_is_refused(client, web, base_url):
    response = start(client, base_url=base_url.format(host=web.host, port=web.server_port), paths=["/"])

    assert response.status_code == 422
    assert [error["loc"] for error in response.json()["detail"]] == [["body", "payload", "base_url"]]
    assert not Job.objects.exists()


@pytest.mark.parametrize("path", REFUSED_PATHS)
def test_a_path_that_might_lead_elsewhere_is_refused(client, web, path):
    response = start(client, base_url=web.url, paths=["/", path])

    assert response.status_code == 422
    assert [error["loc"] for error in response.json()["detail"]] == [["body", "payload", "paths", 1]]
    assert not Job.objects.exists()


@pytest.mark.parametrize("base_url", ["http://{host}", "http://{host}/", "https://{host}"])
def test_an_allowed_host_is_accepted(client, web, base_url):
    assert start(client, base_url=base_url.format(host=web.host), paths=["/"]).status_code == 202


def test_a_refusal_says_which_hosts_are_allowed(client, web, settings):
    settings.AUTOMATION |= {"SITE_CHECK_HOSTS": ["localhost:8000", "example.org"]}

    (error,) = start(client, base_url="http://evil.example", paths=["/"]).json()["detail"]

    assert "'evil.example' is not allowed; allowed hosts: localhost:8000, example.org" in error["msg"]


def test_a_refusal_does_not_repeat_a_password(client, web):
    response = start(client, base_url=f"http://user:hunter2@{web.host}", paths=["/"])

    assert "hunter2" not in response.content.decode()


@pytest.mark.parametrize(
    ("paths", "problem"),
    [
        ([], "at least 1 item"),
        (["/"] * 51, "at most 50 items"),
        ("/", "valid list"),
        (None, "valid list"),
        ({"a": "/"}, "valid list"),
    ],
)
def test_the_number_of_paths_is_bounded(client, web, paths, problem):
    (error,) = start(client, base_url=web.url, paths=paths).json()["detail"]

    assert error["loc"] == ["body", "payload", "paths"]
    assert problem in error["msg"]


def test_fifty_paths_are_accepted(client, web):
    assert start(client, base_url=web.url, paths=["/"] * 50).status_code == 202


@pytest.mark.parametrize("field", ["base_url", "paths"])
def test_a_missing_field_is_named(client, web, field):
    payload = {"base_url": web.url, "paths": ["/"]}
    del payload[field]

    (error,) = start(client, **payload).json()["detail"]

    assert (error["type"], error["loc"]) == ("missing", ["body", "payload", field])


def test_an_unknown_field_is_named(client, web):
    (error,) = start(client, base_url=web.url, paths=["/"], path="/").json()["detail"]

    assert (error["type"], error["loc"]) == ("extra_forbidden", ["body", "payload", "path"])
