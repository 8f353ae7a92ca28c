"""The admin shows jobs, steps and AI requests; how jobs are ended and tried again there has a file of its own."""

import re
import uuid
from datetime import timedelta
from decimal import Decimal

import pytest
from django.contrib.auth.models import Permission
from django.utils import timezone

from automation.admin import formats
from automation.admin.base import BoundedPaginator
from automation.models import AIRequest, Job, Step
from tests.browser import browser, violations
from tests.servers import requires

pytestmark = pytest.mark.django_db

JOBS, STEPS, REQUESTS = (f"/admin/automation/{name}/" for name in ("job", "step", "airequest"))
TWO_LINES = 26  # pixels
MARKUP = "</p><img src=x onerror=alert(1)>"


@pytest.fixture
def job():
    job = Job.objects.create(job_type="site_check", error="1 of 1 paths failed.")
    Step.objects.create(job=job, position=1, name="fetch_path", detail="/<script>", status="failed", error="HTTP 500")
    return job


@pytest.fixture
def request_row():
    return AIRequest.objects.create(model="gpt-4", status="success")


@pytest.fixture
def staff(client, django_user_model):
    user = django_user_model.objects.create_user("staff", is_staff=True)
    client.force_login(user)
    return user


def pages(job, request_row):
    return [
        JOBS,
        page_of(job),
        STEPS,
        f"{STEPS}{job.steps.first().id}/change/",
        REQUESTS,
        f"{REQUESTS}{request_row.id}/change/",
    ]


def page_of(job):
    return f"{JOBS}{job.pk}/change/"


def text(response):
    assert response.status_code == 200
    return " ".join(re.sub(r"<[^>]+>", " ", response.content.decode().partition("<main")[2]).split())


def listed(client, **query):
    """The beginnings of the ids in the list of jobs."""
    return set(re.findall(r"/change/[^>]*>([0-9a-f]{8}) <", client.get(JOBS, query).content.decode()))


def short(*jobs):
    return {str(job.pk)[:8] for job in jobs}


def test_every_page_opens(admin_client, job, request_row):
    assert [admin_client.get(page).status_code for page in pages(job, request_row)] == [200] * 6


# One of them


def test_a_request_is_shown_with_why_it_failed(admin_client):
    failed = AIRequest.objects.create(model="claude", status="error", error="HTTP 529 overloaded_error")

    for address in (REQUESTS, f"{REQUESTS}{failed.pk}/change/"):
        assert "HTTP 529 overloaded_error" in text(admin_client.get(address))


def test_a_request_that_still_runs_is_not_called_unpriced(admin_client, job):
    AIRequest.objects.create(job=job, model="claude", status="success", cost=Decimal("0.394"))
    AIRequest.objects.create(job=job, model="claude")

    for page in (JOBS, page_of(job)):
        shown = text(admin_client.get(page))
        assert "$0.3940 1 running" in shown
        assert "unpriced" not in shown


def test_markup_is_text_wherever_it_stands(admin_client, job):
    Job.objects.filter(pk=job.pk).update(
        job_type=MARKUP, error=MARKUP, payload={MARKUP: MARKUP}, result=MARKUP, request_id=MARKUP, worker=MARKUP
    )
    about = {"name": MARKUP, "detail": MARKUP, "error": MARKUP, "output": {MARKUP: f"{MARKUP}\n"}}
    step = Step.objects.create(job=job, position=2, **about)
    row = AIRequest.objects.create(job=job, model=MARKUP, provider=MARKUP, request_id=MARKUP, status="success")

    for address in [*pages(job, row), f"{STEPS}{step.pk}/change/", f"{JOBS}{job.pk}/history/"]:
        page = admin_client.get(address, follow=True).content.decode()
        assert "<img src=x" not in page
    assert "onerror=alert(1)&gt;" in admin_client.get(page_of(job)).content.decode()


@pytest.mark.parametrize(("name", "queries"), [("job", 4), ("step", 4), ("airequest", 6)])
def test_a_list_takes_the_same_few_queries_for_many_rows(admin_client, user, name, queries, django_assert_num_queries):
    jobs = [Job(job_type="site_check", started_by=user, error="x") for _ in range(60)]
    Job.objects.bulk_create(jobs)
    Step.objects.bulk_create(Step(job=job, position=1, name="fetch") for job in jobs)
    AIRequest.objects.bulk_create(AIRequest(job=job, model="x", status="success") for job in jobs)
    admin_client.get(f"/admin/automation/{name}/")

    with django_assert_num_queries(queries):
        admin_client.get(f"/admin/automation/{name}/")


# Finding


@pytest.mark.parametrize("length", [36, 8, 4])
def test_a_job_is_found_by_the_beginning_of_its_id(admin_client, job, length):
    other = Job.objects.create(job_type="site_check", pk=uuid.UUID(int=job.pk.int ^ (1 << 127)))

    assert listed(admin_client, q=str(job.id)[:length]) == short(job)
    assert listed(admin_client, q=str(other.id)[:length].upper()) == short(other)


def test_a_job_is_found_by_the_request_that_started_it(admin_client, job):
    started = Job.objects.create(job_type="site_check", request_id="b3f1d7d2")

    assert listed(admin_client, q=" b3f1d7d2 ") == short(started)
    assert listed(admin_client, q=" ") == short(job, started)


def test_an_ai_request_is_found_by_the_id_of_its_provider(admin_client, request_row):
    AIRequest.objects.create(model="gpt-5", status="success", request_id="req_011")

    assert re.search(r"\b1 AI request\b", text(admin_client.get(REQUESTS, {"q": "req_011"})))


@pytest.mark.parametrize("words", ["nothing-like-it", "\x00", "%", "0" * 33])
def test_a_search_for_what_is_not_there_finds_nothing(admin_client, job, words):
    assert listed(admin_client, q=words) == set() or words == "\x00"  # which a form takes for no words


def test_jobs_are_filtered(admin_client, admin_user, user, job):
    mine = Job.objects.create(job_type="other", started_by=admin_user, status="failed")
    old = Job.objects.create(job_type="other", started_by=user, created_at=timezone.now() - timedelta(days=40))

    assert listed(admin_client) == short(job, mine, old)
    assert listed(admin_client, status__exact="failed") == short(mine)
    assert listed(admin_client, job_type="site_check") == short(job)
    assert listed(admin_client, job_type="other") == short(mine, old)
    assert listed(admin_client, started_by=admin_user.pk) == short(mine)
    assert listed(admin_client, started_by=user.pk) == short(old)
    assert listed(admin_client, started_by="none") == short(job)
    assert listed(admin_client, created_at__gte=timezone.now() - timedelta(days=7)) == short(job, mine)


@pytest.mark.parametrize(
    "query",
    [{"started_by": "somebody"}, {"started_by": "9" * 30}, {"job_type": "\x00"}, {"status__exact": "lost"}],
)
def test_a_filter_that_cannot_be_is_no_error(admin_client, job, query):
    assert admin_client.get(JOBS, query, follow=True).status_code == 200


@pytest.mark.parametrize("address", [JOBS, STEPS, REQUESTS])
def test_a_list_is_asked_for_nothing_but_its_filters(admin_client, address):
    for query in ({"error__contains": "x"}, {"status__regex": "x"}, {"payload__contains": "x"}, {"job__error": "x"}):
        assert admin_client.get(address, query).status_code == 400


def test_the_models_that_were_asked_can_be_chosen_from(admin_client):
    for model in ("gpt-5", "claude", "gpt-5"):
        AIRequest.objects.create(model=model, status="success")

    page = text(admin_client.get(REQUESTS))
    assert "By model All claude gpt-5 " in page
    assert "2 AI requests" in text(admin_client.get(REQUESTS, {"model": "gpt-5"}))


def test_a_list_counts_no_further_than_its_pages_lead(admin_client, monkeypatch):
    monkeypatch.setattr(BoundedPaginator, "bound", 150)
    Job.objects.bulk_create(Job(job_type="site_check") for _ in range(200))

    page = text(admin_client.get(JOBS, {"p": 2}))

    assert "150 jobs" in page
    assert "Counted no further" in page


# Who may


def test_nobody_changes_anything(admin_client, job, request_row):
    for name, key in (("job", job.id), ("step", job.steps.get().id), ("airequest", request_row.id)):
        for page in ("add/", f"{key}/delete/"):
            assert admin_client.get(f"/admin/automation/{name}/{page}").status_code == 403
        answer = admin_client.post(f"/admin/automation/{name}/{key}/change/", {"status": "success"})
        assert answer.status_code == (405 if name == "job" else 403)

    job.refresh_from_db()
    assert job.status == "pending"


def test_staff_without_the_permission_sees_nothing(client, staff, job, request_row):
    assert [client.get(page).status_code for page in pages(job, request_row)] == [403] * 6


def test_staff_with_the_view_permission_sees_the_job_and_its_steps(client, staff, job):
    staff.user_permissions.set(Permission.objects.filter(codename__in=["view_job", "view_step"]))

    assert "HTTP 500" in text(client.get(page_of(job)))


def test_an_anonymous_visitor_must_sign_in(client, job):
    response = client.get("/admin/automation/job/")

    assert response.status_code == 302
    assert response["Location"].startswith("/admin/login/")


# Numbers for people


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, "–"),
        (0, "0 ms"),
        (0.0374, "37 ms"),
        (0.9996, "1.00 s"),
        (9.8, "9.80 s"),
        (9.996, "10.0 s"),
        (14.84, "14.8 s"),
        (59.97, "1 min 00 s"),
        (185.2, "3 min 05 s"),
        (3599.7, "1 h 00 min"),
        (4860, "1 h 21 min"),
    ],
)
def test_durations_are_written_for_people(value, shown):
    assert formats.seconds(value) == shown


# On any screen


@requires("chromium")
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1300, 390])
def test_a_person_sees_in_each_list_what_it_cost_and_why_it_failed(
    live_server, admin_user, job, scheme, width, monkeypatch
):
    monkeypatch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "true")
    error = "The deployment dpl_266fc4b28f2348f7affd9ebd ended as CANCELED, and nobody knows why."
    Job.objects.filter(pk=job.pk).update(status="failed", error=error, started_by=admin_user, duration=185.2)
    Step.objects.filter(job=job).update(error=error)
    about = {"input_tokens": 138_454, "output_tokens": 23_794, "cost": Decimal("12.3456"), "duration": 185.2}
    for model in ("claude-haiku-4-5-20251001", "vendor/" + "long" * 30):
        AIRequest.objects.create(job=job, model=model, status="rate_limited", error=error, **about)

    with browser(color_scheme=scheme, width=width) as page:
        page.goto(f"{live_server.url}{JOBS}")
        page.fill("#id_username", "admin")
        page.fill("#id_password", "password")
        page.click("[type=submit]")
        for address, shown in ((JOBS, "$24.6912"), (STEPS, "The deployment"), (REQUESTS, "$12.3456")):
            page.goto(f"{live_server.url}{address}")
            sizes = page.eval_on_selector_all(".results, html", "all => all.map(e => [e.scrollWidth, e.clientWidth])")
            assert [wide for wide, room in sizes if wide > room] == []
            assert page.get_by_text(shown).first.is_visible()
            assert page.get_by_text("ended as").first.is_visible()
            assert violations(page, within=".results") == []
        assert page.locator(".results").get_by_text("claude-haiku-4-5-20251001").bounding_box()["height"] < TWO_LINES
        assert page.errors == []
