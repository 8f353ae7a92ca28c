"""Jobs over the API: the list and its pages, one job, its end, another try at it."""

import uuid
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from django.utils import timezone

from automation import jobs
from automation.models import AIRequest, Job, Step

pytestmark = pytest.mark.django_db

JOBS, TYPES = "/api/automation/jobs", "/api/automation/job-types"
NOON = datetime(2026, 11, 25, 12, tzinfo=UTC)


@pytest.fixture
def job():
    return Job.objects.create(job_type="site_check")


@pytest.fixture
def listed(by_token):
    """Ask for the list and return the job types of its jobs, which the tests use as names."""

    def ask(**query):
        answer = by_token.get(JOBS, query)
        assert answer.status_code == 200, answer.json()
        return [job["job_type"] for job in answer.json()["items"]]

    return ask


def make(name, **fields):
    return Job.objects.create(job_type=name, **fields)


# The list


def test_jobs_are_listed_newest_first(listed):
    for minutes in (2, 0, 1):
        make(f"{minutes} minutes ago", created_at=NOON - timedelta(minutes=minutes))

    assert listed() == ["0 minutes ago", "1 minutes ago", "2 minutes ago"]


@pytest.mark.parametrize(
    "query", ["", "&status=failed&status=success&status=cancelled", "&finished_after=2026-01-01T00:00Z"]
)
def test_a_page_leads_to_the_next_one_until_there_is_none(by_token, query):
    """Some were created at the same moment: their ids decide."""
    times = [NOON - timedelta(seconds=number // 3) for number in range(20)]
    statuses = ["failed", "success"] * 10
    Job.objects.bulk_create(
        Job(job_type="x", status=status, created_at=time, finished_at=time)
        for status, time in zip(statuses, times, strict=True)
    )

    seen, address = [], f"{JOBS}?limit=6{query}"
    while address:
        page = by_token.get(address).json()
        assert len(page["items"]) <= 6
        seen += [job["id"] for job in page["items"]]
        address = page["next"]

    assert seen == [str(job.id) for job in Job.objects.order_by("-created_at", "-id")]


def test_a_page_goes_on_where_the_last_one_ended_though_jobs_were_started_meanwhile(by_token):
    for number in range(4):
        make(str(number), created_at=NOON + timedelta(seconds=number))
    first = by_token.get(JOBS, {"limit": 2}).json()
    make("new", created_at=NOON + timedelta(minutes=1))

    second = by_token.get(first["next"]).json()

    assert [[job["job_type"] for job in page["items"]] for page in (first, second)] == [["3", "2"], ["1", "0"]]
    assert second["next"] is None


def test_a_full_last_page_leads_nowhere(by_token):
    Job.objects.bulk_create(Job(job_type="x") for _ in range(50))

    page = by_token.get(JOBS).json()

    assert (len(page["items"]), page["next"]) == (50, None)


def test_the_list_is_filtered_by_status(listed):
    for status in Job.Status.values:
        make(status, status=status)

    assert listed(status="failed") == ["failed"]
    assert set(listed(status=["failed", "running", "running"])) == {"failed", "running"}
    assert set(listed(status=Job.Status.values)) == set(Job.Status.values)


def test_the_list_is_filtered_by_type_user_and_request(listed, user):
    make("by nobody")
    make("by ada", started_by=user)
    make("by request", request_id="b3f1")

    assert listed(job_type="by nobody") == ["by nobody"]
    assert listed(started_by=user.pk) == ["by ada"]
    assert listed(request_id="b3f1") == ["by request"]
    assert listed(request_id="b3f1", started_by=user.pk) == []


def test_the_list_is_filtered_by_error(listed):
    make("good", status="success")
    make("bad", status="failed", error="HTTP 500")
    make("stopped", status="cancelled")
    make("died", status="cancelled", error="Its worker stopped without a word.")

    assert set(listed(has_error=True)) == {"bad", "died"}
    assert listed(has_error=True, status=["failed", "success"]) == ["bad"]
    assert listed(has_error=True, status="success") == []
    assert set(listed(has_error=False)) == {"good", "stopped"}


def test_the_list_is_filtered_by_time(listed):
    for hour in (10, 11, 12):
        moment = NOON.replace(hour=hour)
        make(str(hour), created_at=moment, finished_at=moment + timedelta(hours=10 * (12 - hour)))
    make("running", created_at=NOON)

    assert listed(created_after="2026-11-25T11:00:00Z", created_before="2026-11-25T12:00:00Z") == ["11"]
    assert listed(created_before="2026-11-25T13:00:00+02:00") == ["10"]
    assert listed(finished_after="2026-11-25T12:00Z", finished_before="2026-11-26T06:00Z") == ["11", "12"]


def test_with_a_bound_on_the_end_the_last_to_end_come_first(listed):
    make("long", created_at=NOON, finished_at=NOON + timedelta(hours=9))
    make("short", created_at=NOON + timedelta(hours=1), finished_at=NOON + timedelta(hours=2))

    assert listed(finished_after="2026-11-25T00:00Z") == ["long", "short"]
    assert listed(created_after="2026-11-25T00:00Z") == ["short", "long"]


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("limit=0", "limit"),
        ("limit=201", "limit"),
        ("limit=many", "limit"),
        ("limit=" + "9" * 5000, "limit"),
        ("offset=50", "offset"),
        ("stauts=failed", "stauts"),
        ("cursor=", "cursor"),
        ("cursor=1", "cursor"),
        ("cursor=-1-" + "0" * 32, "cursor"),
        ("cursor=" + "9" * 18 + "-" + "0" * 32, "cursor"),
        ("status=lost", "status"),
        ("job_type=%00", "job_type"),
        ("request_id=" + "x" * 129, "request_id"),
        ("started_by=ada", "started_by"),
        ("started_by=" + "9" * 30, "started_by"),
        ("has_error=perhaps", "has_error"),
        ("created_after=yesterday", "created_after"),
        ("created_after=2026-11-25", "created_after"),
        ("created_after=2026-11-25T01:00:00", "created_after"),
        ("created_after=0001-01-01T00:00:00%2B14:00", "created_after"),
        ("finished_before=1764000000", "finished_before"),
    ],
)
def test_what_the_list_cannot_be_asked_for_is_422_and_names_the_field(by_token, query, field):
    response = by_token.get(f"{JOBS}?{query}")

    assert response.status_code == 422
    assert {error["loc"][1] for error in response.json()["detail"]} == {field}


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("created_after=2026-11-25T01:00:00+02:00", "%2B02:00 (a + itself is a space in an address)"),
        ("created_after=2026-11-25T01:00:00", "Give the time zone as well"),
        ("cursor=1", "take the address of `next`"),
        ("request_id=", "not empty"),
        ("started_by=ada", "There is no such id of a user."),
    ],
)
def test_what_the_list_cannot_be_asked_for_is_told_in_sentences(by_token, query, words):
    [error] = by_token.get(f"{JOBS}?{query}").json()["detail"]

    assert words in error["msg"]
    assert error["msg"][0].isupper()
    assert error["msg"].endswith(".")
    assert "Value error" not in error["msg"]


@pytest.mark.parametrize("year", ["0001", "9999"])
def test_the_first_and_the_last_year_are_times(listed, year):
    assert listed(created_before=f"{year}-12-31T00:00:00Z", created_after=f"{year}-01-02T00:00:00Z") == []


def test_listing_jobs_takes_one_query_for_many(by_token, user, django_assert_num_queries):
    Job.objects.bulk_create(Job(job_type="site_check", started_by=user) for _ in range(50))

    with django_assert_num_queries(1):
        by_token.get(JOBS)


# One job


def test_a_job_is_shown_with_its_result_its_steps_and_its_ai_requests(by_token, job):
    Job.objects.filter(pk=job.pk).update(result={"url": "https://example.org"}, attempts=2)
    Step.objects.create(job=job, position=2, name="deploy", status="failed", duration=2.5, error="HTTP 500", attempts=3)
    Step.objects.create(job=job, position=1, name="fetch", detail="/", status="success", duration=0.5, output=[1])
    now = timezone.now()
    used = {"input_tokens": 10, "cached_input_tokens": 4, "provider": "openai"}
    priced = {"cost": Decimal("0.0123"), "price_source": "settings", "price_version": "2026-11-01"}
    AIRequest.objects.create(job=job, model="gpt-4", status="success", created_at=now, **used, **priced)
    late = {"created_at": now - timedelta(minutes=1), "error": "It took too long (ReadTimeout)"}
    AIRequest.objects.create(job=job, model="gpt-5", status="timeout", cost=0, **late)

    shown = by_token.get(f"{JOBS}/{job.id}").json()

    assert (shown["id"], shown["result"], shown["attempts"]) == (str(job.id), {"url": "https://example.org"}, 2)
    assert [
        (s["position"], s["name"], s["detail"], s["status"], s["attempts"], s["output"]) for s in shown["steps"]
    ] == [
        (1, "fetch", "/", "success", 1, [1]),
        (2, "deploy", "", "failed", 3, None),
    ]
    assert (shown["steps"][1]["duration"], shown["steps"][1]["error"]) == (2.5, "HTTP 500")
    assert [(r["model"], r["provider"], r["cost"], r["cached_input_tokens"]) for r in shown["ai_requests"]] == [
        ("gpt-5", "", "0.00000000", 0),
        ("gpt-4", "openai", "0.01230000", 4),
    ]
    assert [request["error"] for request in shown["ai_requests"]] == ["It took too long (ReadTimeout)", ""]
    assert [(r["price_source"], r["price_version"]) for r in shown["ai_requests"]] == [
        ("", ""),
        ("settings", "2026-11-01"),
    ]
    assert shown["cost"] == "0.01230000"


def test_the_cost_of_a_job_is_unknown_while_a_price_is(by_token, job):
    AIRequest.objects.create(job=job, model="gpt-4", status="success", cost=1)
    AIRequest.objects.create(job=job, model="unpriced", status="success")

    assert by_token.get(f"{JOBS}/{job.id}").json()["cost"] is None


def test_showing_a_job_takes_the_same_few_queries_for_many_steps(by_token, job, django_assert_num_queries):
    Step.objects.bulk_create(Step(job=job, position=number, name="fetch") for number in range(30))
    AIRequest.objects.bulk_create(AIRequest(job=job, model="gpt-4", status="success") for _ in range(30))

    with django_assert_num_queries(4):
        by_token.get(f"{JOBS}/{job.id}")


@pytest.mark.parametrize(("method", "verb"), [("get", ""), ("post", "/cancel"), ("post", "/retry")])
def test_a_job_that_does_not_exist_is_404(by_token, method, verb):
    missing = uuid.uuid4()

    response = getattr(by_token, method)(f"{JOBS}/{missing}{verb}")

    assert response.status_code == 404
    assert response.json() == {"detail": f"There is no job {missing}."}
    assert getattr(by_token, method)(f"{JOBS}/17{verb}").status_code == 404


# Its end


def test_a_pending_job_is_cancelled_at_once(by_token, body):
    job = jobs.create_job(body["job_type"], body["payload"])

    response = by_token.post(f"{JOBS}/{job.id}/cancel")

    assert response.status_code == 202
    assert response.json()["status"] == "cancelled"
    assert response.json()["finished_at"]
    assert response["Location"] == f"{JOBS}/{job.id}"


def test_a_running_job_is_asked_to_end(by_token):
    job = Job.objects.create(job_type="site_check", status="running", attempts=1)

    response = by_token.post(f"{JOBS}/{job.id}/cancel")

    assert response.status_code == 202
    assert response.json()["status"] == "running"
    assert response.json()["cancel_requested_at"]


@pytest.mark.parametrize("status", ["success", "failed", "cancelled"])
def test_a_job_that_has_ended_cannot_be_cancelled(by_token, status):
    job = Job.objects.create(job_type="site_check", status=status)

    response = by_token.post(f"{JOBS}/{job.id}/cancel")

    assert response.status_code == 409
    assert response.json() == {"detail": f"The job has ended already: {status}."}


# Another try


@pytest.fixture
def failed(body):
    return Job.objects.create(**body, status="failed", error="HTTP 500")


def test_a_failed_job_is_tried_again_as_a_new_one(signed_in, user, failed):
    signed_in.handler.enforce_csrf_checks = False

    response = signed_in.post(f"{JOBS}/{failed.id}/retry", headers={"X-Request-ID": "b3f1"})

    again = Job.objects.exclude(pk=failed.pk).get()
    assert response.status_code == 202
    assert response["Location"] == f"{JOBS}/{again.id}"
    assert (again.retry_of, again.payload, again.started_by, again.request_id) == (failed, failed.payload, user, "b3f1")
    assert response.json()["retry_of"] == str(failed.id)


def test_a_job_is_tried_again_once(by_token, failed):
    first, second = (by_token.post(f"{JOBS}/{failed.id}/retry").json()["id"] for _ in range(2))

    assert first == second
    assert Job.objects.count() == 2


@pytest.mark.parametrize("status", ["pending", "running", "success"])
def test_only_what_failed_or_was_cancelled_is_tried_again(by_token, failed, status):
    Job.objects.update(status=status)

    response = by_token.post(f"{JOBS}/{failed.id}/retry")

    assert response.status_code == 409
    assert response.json()["detail"].endswith(f"this one is {status}.")
    assert Job.objects.count() == 1


def test_a_payload_that_its_type_no_longer_takes_is_422(by_token, failed, settings):
    settings.AUTOMATION |= {"SITE_CHECK_HOSTS": []}

    response = by_token.post(f"{JOBS}/{failed.id}/retry")

    assert response.status_code == 422
    assert [error["loc"] for error in response.json()["detail"]] == [["body", "payload", "base_url"]]


def test_a_type_that_is_no_longer_registered_is_404(by_token, failed):
    Job.objects.update(job_type="given_up")

    assert by_token.post(f"{JOBS}/{failed.id}/retry").status_code == 404


# What there is to start


def test_the_job_types_tell_what_their_payload_holds(by_token):
    types = {kind["name"]: kind for kind in by_token.get(TYPES).json()}

    assert types["site_check"]["steps"] == ["fetch_path"]
    assert types["site_check"]["payload"]["required"] == ["base_url", "paths"]
    assert types["site_check"]["payload"]["properties"]["paths"]["maxItems"] == 50


def test_the_job_types_tell_which_models_there_are_and_which_is_taken(by_token, settings):
    settings.AUTOMATION |= {"MODELS": ["gpt-5.5", "claude-sonnet-5"]}
    types = {kind["name"]: kind for kind in by_token.get(TYPES).json()}

    properties = types["notion_vercel"]["payload"]["properties"]
    assert (properties["model"]["enum"], properties["model"]["default"]) == (["gpt-5.5", "claude-sonnet-5"], "gpt-5.5")
    assert properties["target"]["enum"] == ["preview", "production"]
    assert types["notion_vercel"]["payload"]["required"] == ["page", "project"]
