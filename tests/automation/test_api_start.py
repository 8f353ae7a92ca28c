"""Starting a job over the API: once for each key, and traced to its request."""

import json
import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pydantic
import pytest
from django.db import connection
from django_tasks_db.models import DBTaskResult

from automation import registry
from automation.models import Job

pytestmark = pytest.mark.django_db

START, JOBS = "/api/automation/start", "/api/automation/jobs"
KEY = '"8e03978e-40d5-43e8-bc93-6894a57f9324"'


def post(client, body, **headers):
    return client.post(START, body, content_type="application/json", headers=headers)


def with_key(client, body, key):
    return post(client, body, **{"Idempotency-Key": key})


def test_a_started_job_is_pending_and_queued(by_token, body):
    response = post(by_token, body)

    job = Job.objects.get()
    assert response.status_code == 202
    assert response.json() == {
        "id": str(job.id),
        "job_type": "site_check",
        "status": "pending",
        "payload": body["payload"],
        "error": "",
        "created_at": response.json()["created_at"],
        "started_at": None,
        "finished_at": None,
        "duration": None,
        "attempts": 0,
        "cancel_requested_at": None,
        "started_by": None,
        "request_id": response["X-Request-ID"],
        "trace_id": "",
        "sentry_event_id": "",
        "sentry_event_url": "",
        "retry_of": None,
    }
    assert response["Location"] == f"{JOBS}/{job.id}"
    assert DBTaskResult.objects.get().args_kwargs == {"args": [str(job.id)], "kwargs": {}}


def test_a_job_knows_the_user_who_started_it(signed_in, user, body):
    signed_in.handler.enforce_csrf_checks = False

    assert post(signed_in, body).json()["started_by"] == str(user.pk)
    assert Job.objects.get().started_by == user


def test_an_unknown_job_type_is_404_and_lists_the_known_ones(by_token):
    response = post(by_token, {"job_type": "site_chek", "payload": {}})

    assert response.status_code == 404
    assert response.json() == {"detail": "Unknown job type 'site_chek'. Known job types: notion_vercel, site_check."}


@pytest.mark.parametrize(
    ("body", "locations"),
    [
        ({}, [["body", "job_type"], ["body", "payload"]]),
        ({"payload": {}}, [["body", "job_type"]]),
        ({"job_type": "site_check"}, [["body", "payload"]]),
        ({"job_type": 1, "payload": {}}, [["body", "job_type"]]),
        ({"job_type": "x" * 101, "payload": {}}, [["body", "job_type"]]),
        ({"job_type": "\ud800", "payload": {}}, [["body", "job_type"]]),
        ({"job_type": "site_check", "payload": []}, [["body", "payload"]]),
        ({"job_type": "site_check", "payload": None}, [["body", "payload"]]),
        ({"job_type": "site_check", "payload": {}, "idempotency_key": "x"}, [["body", "idempotency_key"]]),
        (
            {"job_type": "site_check", "payload": {}},
            [["body", "payload", "base_url"], ["body", "payload", "paths"]],
        ),
        (
            {"job_type": "site_check", "payload": {"base_url": "http://localhost:8000", "paths": [1]}},
            [["body", "payload", "paths", 0]],
        ),
    ],
)
def test_a_body_that_does_not_fit_is_422_and_names_the_fields(by_token, body, locations):
    response = post(by_token, json.dumps(body))

    assert response.status_code == 422
    assert [error["loc"] for error in response.json()["detail"]] == locations
    assert all(
        {"type", "loc", "msg"} <= error.keys() <= {"type", "loc", "msg", "ctx"} for error in response.json()["detail"]
    )
    assert not Job.objects.exists()


@pytest.mark.parametrize(
    "body", ["{", "nonsense", b"\xff\xfe", "{'job_type': 1}", "[" * 100_000, '{"job_type": ' + "9" * 5000 + "}"]
)
def test_a_body_that_is_not_json_is_400_and_says_so(by_token, body):
    response = post(by_token, body)

    assert response.status_code == 400
    assert response.json() == {"detail": "Cannot parse request body"}


def test_a_body_that_is_too_large_is_413(by_token, body, settings):
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 10

    response = post(by_token, body)

    assert response.status_code == 413
    assert response.json() == {"detail": "The request body is too large."}


@pytest.mark.parametrize("body", ["", "null", "1", "[]", '"text"', "NaN"])
def test_a_body_that_is_not_an_object_is_422_and_says_so(by_token, body):
    response = post(by_token, body)

    assert response.status_code == 422
    [error] = response.json()["detail"]
    assert (error["loc"], error["msg"]) == (["body"], "Send a JSON object.")


def test_a_key_in_the_body_is_refused_and_told_its_place(by_token, body):
    [error] = post(by_token, body | {"idempotency_key": "x"}).json()["detail"]

    assert error["msg"] == "Unknown field. An idempotency key is sent as the header Idempotency-Key."
    assert not Job.objects.exists()


@pytest.mark.parametrize("key", [{}, {"Idempotency-Key": "one"}])
@pytest.mark.parametrize("odd", ["\x00", "\ud800", {"\x00": 1}, json.loads("[" * 900 + "]" * 900)])
def test_a_payload_that_the_database_cannot_hold_is_422(by_token, monkeypatch, odd, key):
    monkeypatch.setattr(registry, "_registry", {})
    registry.Pipeline("free", payload=pydantic.create_model("Free", anything=Any))

    response = post(by_token, json.dumps({"job_type": "free", "payload": {"anything": odd}}), **key)

    assert response.status_code == 422
    assert [error["loc"] for error in response.json()["detail"]] == [["body", "payload"]]
    assert not DBTaskResult.objects.exists()


@pytest.mark.parametrize("number", ["NaN", "Infinity", "1e400"])
@pytest.mark.parametrize("key", [{}, {"Idempotency-Key": "one"}])
def test_a_number_that_json_does_not_have_is_422(by_token, monkeypatch, number, key):
    monkeypatch.setattr(registry, "_registry", {})
    registry.Pipeline("measured", payload=pydantic.create_model("Measured", number=float))

    response = post(by_token, f'{{"job_type": "measured", "payload": {{"number": {number}}}}}', **key)

    assert response.status_code == 422
    assert "NaN or infinity" in response.json()["detail"][0]["msg"]


# Which request


def test_a_job_keeps_the_id_of_the_request_that_started_it(by_token, body):
    response = post(by_token, body, **{"X-Request-ID": "proxy-7:b3f1/d2+c0=@~"})

    assert response["X-Request-ID"] == response.json()["request_id"] == "proxy-7:b3f1/d2+c0=@~"
    assert Job.objects.get().request_id == "proxy-7:b3f1/d2+c0=@~"


@pytest.mark.parametrize("odd", ["", "two words", "a\tb", "<script>", 'a"b', "ü", "x" * 129])
def test_an_odd_request_id_is_replaced_by_a_new_one(by_token, body, odd):
    response = post(by_token, body, **{"X-Request-ID": odd})

    assert uuid.UUID(response["X-Request-ID"]).hex == response.json()["request_id"]


def test_each_answer_tells_the_id_of_its_request(by_token, anyone):
    for client, path in ((by_token, JOBS), (by_token, f"{JOBS}/{uuid.uuid4()}"), (anyone, JOBS)):
        assert client.get(path, headers={"X-Request-ID": "mine"})["X-Request-ID"] == "mine"


# Once for each key


def test_the_same_key_gives_the_same_job(by_token, body):
    first, second = (with_key(by_token, body, KEY) for _ in range(2))

    assert [first.status_code, second.status_code] == [202, 202]
    assert first.json() == second.json()
    assert Job.objects.get().idempotency_key == KEY.strip('"')
    assert DBTaskResult.objects.count() == 1


def test_other_keys_and_no_keys_give_other_jobs(by_token, body):
    with_key(by_token, body, KEY)
    with_key(by_token, body, '"another"')
    for _ in range(2):
        post(by_token, body)

    assert Job.objects.count() == 4


def test_a_key_with_and_without_its_quotes_is_the_same(by_token, body):
    assert with_key(by_token, body, "abc").json() == with_key(by_token, body, '"abc"').json()


def test_quotes_and_backslashes_in_a_key_are_escaped(by_token, body):
    with_key(by_token, body, r'"a \"b\" \\ c"')

    assert Job.objects.get().idempotency_key == r'a "b" \ c'


@pytest.mark.parametrize("other", [{"paths": ["/other"]}, {"base_url": "http://localhost:8000/", "paths": ["/", "/"]}])
def test_a_key_that_was_given_with_another_payload_is_422(by_token, body, other):
    with_key(by_token, body, KEY)
    response = with_key(by_token, body | {"payload": body["payload"] | other}, KEY)

    assert response.status_code == 422
    [error] = response.json()["detail"]
    assert (error["type"], error["loc"]) == ("idempotency_key_taken", ["header", "Idempotency-Key"])
    assert Job.objects.count() == 1


def test_what_is_refused_leaves_its_key_free(by_token, body):
    assert with_key(by_token, {"job_type": "site_check", "payload": {}}, KEY).status_code == 422

    assert with_key(by_token, body, KEY).status_code == 202


@pytest.mark.parametrize(
    "key", ["", '""', '"', '"abc', "two words", "a,b", '"a", "b"', "a;b", r'"a\b"', '"ü"', '"a\tb"', "x" * 256]
)
def test_a_key_that_is_none_is_422(by_token, body, key):
    response = with_key(by_token, body, key)

    assert response.status_code == 422
    [error] = response.json()["detail"]
    assert error["loc"] == ["header", "Idempotency-Key"]
    assert error["msg"].startswith(
        "Give 1 to 255 printable characters of ASCII, in double quotes where there are spaces"
    )
    assert not Job.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_of_many_requests_with_one_key_at_the_same_time_one_starts_the_job(by_token, body):
    def start(_):
        try:
            return with_key(by_token, body, KEY).json()["id"]
        finally:
            connection.close()

    with ThreadPoolExecutor(16) as pool:
        ids = set(pool.map(start, range(32)))

    assert ids == {str(Job.objects.get().id)}
    assert DBTaskResult.objects.count() == 1
