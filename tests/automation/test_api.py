"""The API as its callers see it."""

import json
import re
import uuid
from contextlib import closing
from datetime import timedelta
from decimal import Decimal

import pytest
from django.test import Client
from django.utils import timezone
from django_tasks_db.models import DBTaskResult

from automation.models import AIRequest, Job, Step
from tests.automation.conftest import TOKEN

pytestmark = pytest.mark.django_db

START, JOBS = "/api/automation/start", "/api/automation/jobs"
OPENAPI, DOCS = "/api/automation/openapi.json", "/api/automation/docs"


@pytest.fixture(autouse=True)
def configured(settings):
    settings.DEBUG = False
    settings.AUTOMATION = {"API_TOKEN": TOKEN, "SITE_CHECK_HOSTS": ["localhost:8000"]}


@pytest.fixture
def body():
    return {"job_type": "site_check", "payload": {"base_url": "http://localhost:8000", "paths": ["/"]}}


@pytest.fixture
def job():
    return Job.objects.create(job_type="site_check")


@pytest.fixture
def user(django_user_model):
    return django_user_model.objects.create_user("ada")


@pytest.fixture
def anyone():
    """A client as a browser is one: it enforces CSRF."""
    return Client(enforce_csrf_checks=True)


@pytest.fixture
def by_token():
    return Client(enforce_csrf_checks=True, headers={"Authorization": f"Bearer {TOKEN}"})


@pytest.fixture
def signed_in(anyone, user):
    anyone.force_login(user)
    return anyone


def post(client, body, **headers):
    return client.post(START, body, content_type="application/json", headers=headers)


def doors(job, body):
    """Every address of the API, and what a caller who may use it gets there."""
    return [
        (lambda client, **headers: post(client, body, **headers), 202),
        (lambda client, **headers: client.get(JOBS, headers=headers), 200),
        (lambda client, **headers: client.get(f"{JOBS}/{job.id}", headers=headers), 200),
        (lambda client, **headers: client.get(OPENAPI, headers=headers), 200),
        (lambda client, **headers: client.get(DOCS, headers=headers), 200),
    ]


# Who may


def test_an_anonymous_caller_gets_401_at_every_door(anyone, job, body):
    answers = [ask(anyone) for ask, _ in doors(job, body)]

    assert [answer.status_code for answer in answers] == [401] * 5
    assert {answer["WWW-Authenticate"] for answer in answers} == {"Bearer"}
    assert {answer.json()["detail"] for answer in answers} == {"Sign in, or send a valid bearer token."}
    assert Job.objects.count() == 1


def test_the_token_opens_every_door(by_token, job, body):
    for ask, expected in doors(job, body):
        assert ask(by_token).status_code == expected


def test_a_signed_in_user_may_read(signed_in, job):
    for address in (JOBS, f"{JOBS}/{job.id}", OPENAPI, DOCS):
        assert signed_in.get(address).status_code == 200


def test_a_signed_in_user_needs_the_csrf_token_to_start_a_job(signed_in, body):
    refused = post(signed_in, body)

    assert refused.status_code == 403
    assert "X-CSRFToken" in refused.json()["detail"]
    assert not Job.objects.exists()


def test_the_docs_page_hands_out_the_csrf_token_that_starting_a_job_needs(signed_in, body):
    signed_in.get(DOCS)

    assert post(signed_in, body, **{"X-CSRFToken": signed_in.cookies["csrftoken"].value}).status_code == 202


def test_a_deactivated_user_is_nobody(signed_in, user):
    user.is_active = False
    user.save()

    assert signed_in.get(JOBS).status_code == 401


@pytest.mark.parametrize(
    "header",
    [
        "",
        "Bearer",
        "Bearer ",
        "Bearer  ",
        f"Bearer {TOKEN[:-1]}",
        f"Bearer {TOKEN}x",
        f"Bearer  {TOKEN}",
        f"Bearer {TOKEN.upper()}",
        f"Basic {TOKEN}",
        TOKEN,
        "Bearer пароль",
        "Bearer ÿ\x80",
        "Bearer \ud800",
        "Bearer \x00",
        "Bearer " + "x" * 8192,
        "Bearer " + TOKEN * 500,
        "x" * 8192,
    ],
)
def test_an_odd_token_gets_401(anyone, job, body, header):
    for ask, _ in doors(job, body):
        assert ask(anyone, Authorization=header).status_code == 401


@pytest.mark.parametrize("configured", [{"API_TOKEN": ""}, {"API_TOKEN": None}, {}])
@pytest.mark.parametrize("header", ["Bearer", "Bearer ", "", "Bearer None"])
def test_an_empty_configured_token_matches_nothing(anyone, settings, configured, header):
    settings.AUTOMATION = configured

    assert anyone.get(JOBS, headers={"Authorization": header}).status_code == 401


def test_a_token_beyond_ascii_matches_its_utf_8_bytes(anyone, settings):
    settings.AUTOMATION |= {"API_TOKEN": "schlüssel"}
    on_the_wire = "schlüssel".encode().decode("latin-1")  # as WSGI and ASGI hand headers over

    assert anyone.get(JOBS, headers={"Authorization": f"bearer {on_the_wire}"}).status_code == 200


def test_a_token_in_the_query_string_is_not_one(anyone):
    assert anyone.get(f"{JOBS}?token={TOKEN}&api_key={TOKEN}&access_token={TOKEN}").status_code == 401


def test_the_documentation_is_open_while_debug_is_on(anyone, settings):
    settings.DEBUG = True

    assert [anyone.get(address).status_code for address in (DOCS, OPENAPI, JOBS)] == [200, 200, 401]


# Starting


def test_a_started_job_is_pending_and_queued(by_token, body):
    response = post(by_token, body)

    job = Job.objects.get()
    assert response.status_code == 202
    assert response.json() == {
        "id": str(job.id),
        "job_type": "site_check",
        "status": "pending",
        "payload": body["payload"],
        "result": None,
        "error": "",
        "created_at": response.json()["created_at"],
        "started_at": None,
        "finished_at": None,
        "duration": None,
        "started_by": None,
    }
    assert DBTaskResult.objects.get().args_kwargs == {"args": [str(job.id)], "kwargs": {}}


def test_a_job_knows_the_user_who_started_it(user, body):
    client = Client()
    client.force_login(user)

    assert post(client, body).json()["started_by"] == str(user.pk)
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
def test_a_body_that_is_not_an_object_is_422(by_token, body):
    assert post(by_token, body).status_code == 422


# Reading


def test_jobs_are_listed_newest_first(by_token):
    now = timezone.now()
    for minutes in (2, 0, 1):
        Job.objects.create(job_type=f"{minutes} minutes ago", created_at=now - timedelta(minutes=minutes))

    listed = by_token.get(JOBS).json()

    assert [job["job_type"] for job in listed["items"]] == ["0 minutes ago", "1 minutes ago", "2 minutes ago"]
    assert listed["count"] == 3


def test_the_list_comes_in_pages(by_token):
    now = timezone.now()
    Job.objects.bulk_create(
        Job(job_type=str(number), created_at=now - timedelta(seconds=number)) for number in range(60)
    )

    def page(query):
        return [int(job["job_type"]) for job in by_token.get(f"{JOBS}?{query}").json()["items"]]

    assert page("") == list(range(50))
    assert page("offset=50") == list(range(50, 60))
    assert page("limit=2&offset=3") == [3, 4]
    assert page("offset=2147483647") == []


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("limit=0", "limit"),
        ("limit=201", "limit"),
        ("limit=many", "limit"),
        ("offset=-1", "offset"),
        ("offset=2147483648", "offset"),
        ("offset=" + "9" * 5000, "offset"),
    ],
)
def test_a_page_that_cannot_be_is_422(by_token, query, field):
    response = by_token.get(f"{JOBS}?{query}")

    assert response.status_code == 422
    assert [error["loc"] for error in response.json()["detail"]] == [["query", field]]


def test_listing_jobs_takes_the_same_few_queries_for_many(by_token, django_assert_num_queries):
    Job.objects.bulk_create(Job(job_type="site_check") for _ in range(50))

    with django_assert_num_queries(2):
        by_token.get(JOBS)


def test_a_job_is_shown_with_its_steps_and_its_ai_requests(by_token, job):
    Step.objects.create(job=job, position=2, name="deploy", status="failed", duration=2.5, error="HTTP 500")
    Step.objects.create(job=job, position=1, name="fetch", detail="/", status="success", duration=0.5)
    AIRequest.objects.create(
        job=job, model="gpt-4", status="success", input_tokens=10, output_tokens=5, cost=Decimal("0.0123")
    )
    AIRequest.objects.create(job=job, model="unpriced", status="success")

    shown = by_token.get(f"{JOBS}/{job.id}").json()

    assert shown["id"] == str(job.id)
    assert [(step["position"], step["name"], step["detail"], step["status"]) for step in shown["steps"]] == [
        (1, "fetch", "/", "success"),
        (2, "deploy", "", "failed"),
    ]
    assert (shown["steps"][1]["duration"], shown["steps"][1]["error"]) == (2.5, "HTTP 500")
    assert {request["model"]: request["cost"] for request in shown["ai_requests"]} == {
        "gpt-4": "0.01230000",
        "unpriced": None,
    }


def test_a_job_that_does_not_exist_is_404(by_token):
    missing = uuid.uuid4()

    response = by_token.get(f"{JOBS}/{missing}")

    assert response.status_code == 404
    assert response.json() == {"detail": f"There is no job {missing}."}


def test_an_id_that_is_none_is_404(by_token):
    assert by_token.get(f"{JOBS}/17").status_code == 404


@pytest.mark.parametrize(("address", "method"), [(START, "get"), (JOBS, "post"), (JOBS, "delete")])
def test_other_methods_are_405(by_token, address, method):
    assert getattr(by_token, method)(address).status_code == 405


# The documentation


def test_the_openapi_document_names_every_answer(by_token):
    paths = by_token.get(OPENAPI).json()["paths"]

    answers = {
        f"{method} {path}": sorted(map(int, operation["responses"]))
        for path, operations in paths.items()
        for method, operation in operations.items()
    }
    assert answers == {
        "post /api/automation/start": [202, 400, 401, 403, 404, 413, 422],
        "get /api/automation/jobs": [200, 401, 422],
        "get /api/automation/jobs/{job_id}": [200, 401, 404],
    }


def test_the_openapi_document_names_both_ways_in(by_token):
    document = by_token.get(OPENAPI).json()

    schemes = document["components"]["securitySchemes"]
    assert {(scheme["type"], scheme.get("scheme", scheme.get("in"))) for scheme in schemes.values()} == {
        ("http", "bearer"),
        ("apiKey", "cookie"),
    }
    for operations in document["paths"].values():
        for operation in operations.values():
            assert len(operation["security"]) == 2


def test_the_docs_page_loads_nothing_from_elsewhere(by_token):
    page = by_token.get(DOCS).content.decode()

    loaded = re.findall(r'(?:src|href)="([^"]+)"', page)
    assert any("swagger-ui-bundle" in address for address in loaded)
    assert all(address.startswith("/static/") for address in loaded)
    for address in loaded:
        with closing(by_token.get(address)) as file:
            assert file.status_code == 200
