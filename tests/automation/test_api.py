"""The API as a whole: who may use it, and what it says of itself."""

import re
from contextlib import closing

import pytest

from automation.models import Job
from tests.automation.conftest import TOKEN, permit

pytestmark = pytest.mark.django_db

START, JOBS, TYPES = "/api/automation/start", "/api/automation/jobs", "/api/automation/job-types"
OPENAPI, DOCS = "/api/automation/openapi.json", "/api/automation/docs"
SOMETHING = "8e03978e-40d5-43e8-bc93-6894a57f9324"


@pytest.fixture
def job():
    return Job.objects.create(job_type="site_check", payload={"base_url": "http://localhost:8000", "paths": ["/"]})


def post(client, body, **headers):
    return client.post(START, body, content_type="application/json", headers=headers)


def doors(job, body):
    """Every address of the API, and what a caller who may use it gets there."""
    return [
        (lambda client, **headers: post(client, body, **headers), 202),
        (lambda client, **headers: client.get(JOBS, headers=headers), 200),
        (lambda client, **headers: client.get(f"{JOBS}/{job.id}", headers=headers), 200),
        (lambda client, **headers: client.post(f"{JOBS}/{job.id}/cancel", headers=headers), 202),
        (lambda client, **headers: client.post(f"{JOBS}/{job.id}/retry", headers=headers), 202),
        (lambda client, **headers: client.get(TYPES, headers=headers), 200),
        (lambda client, **headers: client.get(OPENAPI, headers=headers), 200),
        (lambda client, **headers: client.get(DOCS, headers=headers), 200),
    ]


# Who may


def test_an_anonymous_caller_gets_401_at_every_door(anyone, job, body):
    answers = [ask(anyone) for ask, _ in doors(job, body)]

    assert {answer.status_code for answer in answers} == {401}
    assert {answer["WWW-Authenticate"] for answer in answers} == {"Bearer"}
    assert {answer.json()["detail"] for answer in answers} == {"Sign in, or send a valid bearer token."}
    assert [job.status for job in Job.objects.all()] == ["pending"]


def test_the_token_opens_every_door(by_token, job, body):
    for ask, expected in doors(job, body):
        assert ask(by_token).status_code == expected


def test_a_signed_in_user_may_read(signed_in, job):
    for address in (JOBS, f"{JOBS}/{job.id}", TYPES, OPENAPI, DOCS):
        assert signed_in.get(address).status_code == 200


@pytest.mark.parametrize(
    ("permissions", "reading", "changing"), [([], 403, 403), (["view_job"], 200, 403), (["change_job"], 403, 202)]
)
def test_a_signed_in_user_needs_the_permissions_that_the_admin_asks_for(
    signed_in, user, job, body, permissions, reading, changing
):
    permit(user, *permissions)
    signed_in.handler.enforce_csrf_checks = False
    asked = [*map(signed_in.get, (JOBS, TYPES, f"{JOBS}/{job.id}"))]
    changed = [post(signed_in, body), signed_in.post(f"{JOBS}/{job.id}/cancel")]

    assert {answer.status_code for answer in asked} == {reading}
    assert {answer.status_code for answer in changed} == {changing}
    for refused in (answer for answer in (*asked, *changed) if answer.status_code == 403):
        assert "You need the permission automation." in refused.json()["detail"]


def test_a_signed_in_user_needs_the_csrf_token_to_change_anything(signed_in, job, body):
    refused = [post(signed_in, body), *(signed_in.post(f"{JOBS}/{job.id}/{verb}") for verb in ("cancel", "retry"))]

    assert {answer.status_code for answer in refused} == {403}
    assert all("X-CSRFToken" in answer.json()["detail"] for answer in refused)
    assert [job.status for job in Job.objects.all()] == ["pending"]


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


# Nowhere


@pytest.mark.parametrize(
    ("address", "method", "allowed"),
    [
        (START, "get", "POST"),
        (JOBS, "post", "GET"),
        (JOBS, "delete", "GET"),
        (TYPES, "options", "GET"),
        (DOCS, "post", "GET, HEAD"),
    ],
)
def test_other_methods_are_405(by_token, anyone, address, method, allowed):
    for client in (by_token, anyone):
        answer = getattr(client, method)(address, headers={"X-Request-ID": "mine"})

        assert (answer.status_code, answer["Allow"], answer["X-Request-ID"]) == (405, allowed, "mine")
        assert answer.json() == {"detail": f"This address takes {allowed} only."}


@pytest.mark.parametrize("method", ["get", "post", "delete"])
@pytest.mark.parametrize(
    "path",
    [
        "",
        "start/",
        "jobs/",
        "jobs/xyz",
        f"jobs/{SOMETHING.replace('-', '')}",
        f"jobs/{SOMETHING}/",
        "jobs/a%2Fb",
        "no/such%0Apath",
    ],
)
def test_an_address_that_there_is_not_is_404(by_token, anyone, path, method):
    for client in (by_token, anyone):
        answer = getattr(client, method)(f"/api/automation/{path}", headers={"X-Request-ID": "mine"})

        assert (answer.status_code, answer["X-Request-ID"]) == (404, "mine")
        assert answer.json() == {"detail": "There is nothing at this address."}


def test_the_documentation_tells_the_id_of_its_request(by_token):
    for address in (DOCS, OPENAPI):
        assert by_token.get(address, headers={"X-Request-ID": "mine"})["X-Request-ID"] == "mine"


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
        "get /api/automation/jobs": [200, 401, 403, 422],
        "get /api/automation/jobs/{job_id}": [200, 401, 403, 404],
        "post /api/automation/jobs/{job_id}/cancel": [202, 401, 403, 404, 409],
        "post /api/automation/jobs/{job_id}/retry": [202, 401, 403, 404, 409, 422],
        "get /api/automation/job-types": [200, 401, 403],
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
    for permission in ("automation.view_job", "automation.change_job"):
        assert f"`{permission}`" in document["info"]["description"]


def test_the_docs_page_loads_nothing_from_elsewhere(by_token):
    page = by_token.get(DOCS).content.decode()

    loaded = re.findall(r'(?:src|href)="([^"]+)"', page)
    assert any("swagger-ui-bundle" in address for address in loaded)
    assert all(address.startswith("/static/") for address in loaded)
    for address in loaded:
        with closing(by_token.get(address)) as file:
            assert file.status_code == 200
