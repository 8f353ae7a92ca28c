"""The page of a job in the admin: how it stands and why, its course, what it asked of models, ids that lead on."""

import re
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from html import unescape

import pytest
from django.contrib.auth.models import Permission
from django.db import connection
from django.utils import timezone

from automation.admin import page as admin_page
from automation.admin.timeline import Course, Row
from automation.models import AIRequest, Job, Step
from tests.automation import job_pages
from tests.browser import browser, violations
from tests.servers import requires

pytestmark = pytest.mark.django_db

JOBS = "/admin/automation/job/"
MARKUP = "</p></script><img src=x onerror=alert(1)>"
SENTRY = {
    "SENTRY_TRACE_URL": "https://sentry.test/{trace_id}/",
    "SENTRY_EVENT_URL": "https://sentry.test/?q={event_id}",
}


@pytest.fixture
def job(admin_user):
    return job_pages.failed_after_a_retry(admin_user)


@pytest.fixture
def staff(client, django_user_model):
    user = django_user_model.objects.create_user("staff", is_staff=True)
    client.force_login(user)
    return user


def page_of(job):
    return f"{JOBS}{job.pk}/change/"


def words(html):
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", re.sub(r"</?(?:wbr|bdi)[^>]*>", "", html))).split())


def text(client, job):
    response = client.get(page_of(job))
    assert response.status_code == 200
    return words(response.content.decode().partition("<main")[2])


def table(client, job, name):
    """The rows of a table, each as its cells."""
    html = client.get(page_of(job)).content.decode().partition(f'<table class="{name}"')[2].partition("</table>")[0]
    rows = re.findall(r"<tr>(.*?)</tr>", html, re.S)
    return [[words(cell) for cell in re.findall(r"<t[dh][^>]*>(.*?)</t[dh]>", row, re.S)] for row in rows]


# How it stands


@pytest.mark.parametrize(
    ("make", "verdict"),
    [
        (job_pages.waiting, "○ Pending for 1? s"),
        (job_pages.under_way, "● Running generate_code for 1 min 2? s"),
        (lambda: job_pages.ended("success"), "✓ Success after 1 min 04 s"),
        (lambda: job_pages.ended("cancelled"), "⊘ Cancelled at generate_code after 1 min 04 s"),
        (job_pages.failed_after_a_retry, "✕ Failed at deploy after 13 min 19 s, on attempt 2 of 3 DeploymentError: "),
    ],
    ids=["pending", "running", "success", "cancelled", "failed"],
)
def test_the_verdict_comes_first(admin_client, make, verdict):
    job = make()

    shown = (
        re.sub(r"(?<=[12])\d s", "? s", text(admin_client, job), count=1) if "?" in verdict else text(admin_client, job)
    )

    assert f"{job.job_type} {str(job.pk)[:8]} {verdict}" in shown


def test_a_job_that_waits_once_more_says_after_which_attempt(admin_client):
    job = job_pages.under_way()
    Job.objects.filter(pk=job.pk).update(status="pending", cancel_requested_at=timezone.now())

    assert re.search(r"○ Pending, asked to end for 1 min 2\d s, after attempt 1 of 3", text(admin_client, job))


def test_a_step_that_succeeded_later_is_not_where_the_job_failed(admin_client, job):
    job.steps.filter(name="deploy").delete()

    assert "✕ Failed after" in text(admin_client, job)


def test_a_worker_that_is_silent_is_told_of(admin_client):
    job = job_pages.under_way()
    assert "heard of 0 s ago" in text(admin_client, job)

    Job.objects.filter(pk=job.pk).update(heartbeat_at=timezone.now() - timedelta(seconds=130))

    assert "Nothing was heard of its worker for 2 min 10 s: another one will take the job" in text(admin_client, job)


def test_facts_tell_where_it_came_from_and_what_it_cost(admin_client, job):
    page = text(admin_client, job)

    for fact in (
        "Waited in queue 3.20 s",
        "AI cost $0.1233 ▲ 1 unpriced",
        "Tokens 57,784 in, 7,164 out",
        "Started by admin",
        "Worker worker-2:4211",
        f"First tried as {str(job.retry_of_id)[:8]}",
    ):
        assert fact in page
    assert f'<a href="{page_of(job.retry_of)}">' in admin_client.get(page_of(job)).content.decode()
    assert f"Tried again as {str(job.pk)[:8]}" in text(admin_client, job.retry_of)


def test_times_are_shown_to_the_second(admin_client, job, settings):
    settings.TIME_ZONE = "Asia/Tokyo"
    at = datetime(2026, 11, 25, 3, 59, 1, 700_000, tzinfo=UTC)
    times = {name: at + timedelta(seconds=n) for n, name in enumerate(["created_at", "started_at", "finished_at"])}
    Job.objects.filter(pk=job.pk).update(cancel_requested_at=at + timedelta(seconds=9), **times)

    page = text(admin_client, job)

    assert "Created 2026-11-25 12:59:01 Waited in queue 1.00 s Started 2026-11-25 12:59:02" in page
    assert "Finished 2026-11-25 12:59:03" in page
    assert "Cancel asked for 2026-11-25 12:59:10" in page


# Its course


def test_steps_are_in_their_order_after_the_wait_and_each_attempt_has_its_row(admin_client, job):
    assert [row[:4] for row in table(admin_client, job, "steps")[1:]] == [
        ["Queued", "waiting", "0 s", "3.20 s"],
        ["fetch_page", "✓ Success", "+3.20 s", "1.10 s"],
        ["generate_code Its worker stopped without a word.", "✕ Failed", "+4.30 s", "2 min 01 s"],
        ["generate_code attempt 2, 3 tries", "✓ Success", "+2 min 15 s", "3 min 34 s"],
        ["run_tests", "✓ Success", "+5 min 49 s", "31.0 s"],
        ['deploy production Command "npm run build" exited with 1', "✕ Failed", "+6 min 20 s", "7 min 02 s"],
    ]


def test_bars_stand_where_their_steps_were(admin_client, job):
    html = admin_client.get(page_of(job)).content.decode()

    bars = re.findall(r'<rect class="colour-(\d)" x="([\d.]+)%" width="([\d.]+)%"', html)

    length = 802  # seconds
    assert [int(colour) for colour, _, _ in bars] == [6, 1, 2, 1, 1, 2]
    assert float(bars[3][1]) == pytest.approx(100 * 135 / length, abs=0.01)
    assert float(bars[3][2]) == pytest.approx(100 * 214 / length, abs=0.01)
    assert all(float(begins) + float(width) <= 100.01 for _, begins, width in bars)


def test_the_same_step_for_another_thing_is_no_other_attempt(admin_client, job):
    Step.objects.create(job=job, position=6, name="deploy", detail="preview", status="failed", duration=1)

    assert table(admin_client, job, "steps")[-1][0] == "deploy preview"


def test_what_is_not_over_grows(admin_client):
    rows = table(admin_client, job_pages.under_way(), "steps")

    assert re.fullmatch(r"1 min 2\d s so far", rows[-1][3])
    assert re.fullmatch(r"1\d\.\d s so far", table(admin_client, job_pages.waiting(), "steps")[-1][3])


@pytest.mark.parametrize(
    ("length", "labels"),
    [
        (0.037, ["0", "10 ms", "20 ms", "30 ms"]),
        (4, ["0", "1 s", "2 s", "3 s", ""]),
        (802, ["0", "5 min", "10 min"]),
        (3 * 3600, ["0", "30 min", "60 min", "90 min", "120 min", "150 min", ""]),
        (30 * 86_400, ["0", "5 d", "10 d", "15 d", "20 d", "25 d", ""]),
    ],
)
def test_the_axis_has_round_times(length, labels):
    assert [tick.label for tick in Course([Row("", "success", 0, length)]).ticks] == labels


# What it asked of models


def test_requests_are_shown_with_all_kinds_of_their_tokens_and_why_they_failed(admin_client, job):
    assert table(admin_client, job, "requests")[1:] == [
        [
            "claude-sonnet-4-5 anthropic ReadTimeout",
            *("✕ Timeout", "generate_code", "+4.40 s", "2 min 00 s"),
            *("18,204", "–", "–", "$0.0000"),
        ],
        [
            "claude-sonnet-4-5 anthropic req_011CVb7",
            *("✓ Success", "generate_code", "+2 min 15 s", "1 min 38 s first token 500 ms"),
            *("26,880 1,000 written", "18,200", "6,120 640 reasoning", "$0.1233"),
        ],
        ["gpt-5.1-codex-preview", "✓ Success", "deploy", "+13 min 10 s", "–", "12,700", "0", "1,044", "▲ no price"],
        ["3 requests", "57,784", "18,200", "7,164", "$0.1233"],
    ]


def test_what_a_running_request_uses_is_not_known(admin_client):
    job = job_pages.under_way()

    assert table(admin_client, job, "requests")[-2][5:] == ["–", "–", "–", "–"]
    assert table(admin_client, job, "requests")[-1] == ["1 request", "–", "–", "–", "–"]
    assert "unpriced" not in text(admin_client, job)


def test_a_job_that_asked_no_model_says_so(admin_client):
    assert "AI requests None so far." in text(admin_client, job_pages.waiting())


# Ids, payload and result


@pytest.mark.parametrize("addresses", [SENTRY, {}], ids=["as links", "where it is not known"])
def test_ids_lead_on(admin_client, job, settings, addresses):
    settings.OBSERVABILITY = settings.OBSERVABILITY | addresses
    Job.objects.filter(pk=job.pk).update(idempotency_key="k-1")

    html = admin_client.get(page_of(job)).content.decode()

    ids = [str(job.pk), job.request_id, job.trace_id, job.sentry_event_id, "k-1"]
    assert re.findall(r"<code>([^<]+)</code> <button", html) == ids
    assert f'<a href="{JOBS}?q={job.request_id}">Jobs of this request</a>' in html
    for address in (f"https://sentry.test/{job.trace_id}/", f"https://sentry.test/?q={job.sentry_event_id}"):
        assert (f'<a href="{address}">Open in Sentry</a>' in html) == bool(addresses)


def test_files_are_shown_one_by_one_and_long_texts_are_folded(admin_client, job):
    files = {"app/page.tsx": "export default\nfunction Page() {}", "empty.css": ""}
    Job.objects.filter(pk=job.pk).update(result=files, payload={"notes": ["x" * 5000]})

    page = admin_client.get(page_of(job)).content.decode()

    assert '<summary>app/page.tsx</summary><pre tabindex="0">export default\nfunction Page() {}</pre>' in page
    assert "<summary>empty.css</summary>" in page
    assert re.search(r"<summary>5,0\d\d characters</summary>", page)


def test_what_is_very_long_is_cut(admin_client, job):
    Job.objects.filter(pk=job.pk).update(result="x" * 1_000_000)

    page = admin_client.get(page_of(job)).content.decode()

    assert len(page) < 200_000
    assert "… and 900,000 characters more." in page


def test_what_a_step_returned_is_a_click_away(admin_client, job):
    step = job.steps.first()
    address = f"/admin/automation/step/{step.pk}/change/"
    html = admin_client.get(page_of(job)).content.decode()

    assert f'<a href="{address}">' in html
    assert "Home&quot;" not in html
    assert "&quot;title&quot;: &quot;Home&quot;" in admin_client.get(address).content.decode()


def test_markup_is_text_wherever_it_stands(admin_client, job):
    about = dict.fromkeys(("job_type", "error", "request_id", "trace_id", "worker"), MARKUP)
    Job.objects.filter(pk=job.pk).update(
        payload={MARKUP: MARKUP}, result=MARKUP, status="running", sentry_event_id=MARKUP[:32], **about
    )
    Step.objects.create(job=job, position=7, **dict.fromkeys(("name", "detail", "error"), MARKUP))
    AIRequest.objects.create(
        job=job, **dict.fromkeys(("model", "error", "request_id", "step"), MARKUP), provider="<img"
    )

    for address in (page_of(job), f"{JOBS}{job.pk}/data/"):
        answer = admin_client.get(address)
        shown = "".join(answer.json()["fragments"].values()) if "data" in address else answer.content.decode()
        assert "<img" not in shown
        assert shown.count("onerror=alert(1)&gt;") >= 8


# Many rows


def many(job, number):
    Step.objects.bulk_create(
        Step(job=job, position=n, name="fetch", status="failed" if n == 10 else "success", duration=1, output="x" * 99)
        for n in range(10, number + 10)
    )
    AIRequest.objects.bulk_create(
        AIRequest(job=job, model=f"m-{n}", status="error" if n == 10 else "success", cost=Decimal("0.01"))
        for n in range(10, number + 10)
    )


def test_of_many_rows_those_that_did_not_succeed_and_the_last_ones_are_shown(admin_client, job, monkeypatch):
    monkeypatch.setattr(admin_page, "MOST", 20)
    many(job, 60)

    page = text(admin_client, job)
    steps, asked = table(admin_client, job, "steps"), table(admin_client, job, "requests")

    assert [row[1] for row in steps].count("✕ Failed") == 3
    assert len(steps) == 20 + 2  # with the heads and the wait
    assert len(asked) == 20 + 2  # with the heads and the sums
    assert {"m-10", "m-69"} <= {row[0] for row in asked}
    assert "20 of 65 steps: those that did not succeed, and the last ones." in page
    assert asked[-1] == ["63 requests", "57,784", "18,200", "7,164", "$0.7233"]
    for name, shown in (("step", "65 steps"), ("airequest", "63 AI requests")):
        address = f"/admin/automation/{name}/?job={job.pk}"
        assert f'href="{address}"' in admin_client.get(page_of(job)).content.decode()
        assert shown in words(admin_client.get(address).content.decode())


def test_a_page_takes_the_same_few_queries_for_many_rows(admin_client, job, django_assert_num_queries, monkeypatch):
    """Session, user, the job, its retry, what it was given; steps, requests, their numbers, and the sums."""
    monkeypatch.setattr(admin_page, "MOST", 20)
    many(job, 60)
    admin_client.get(page_of(job))

    with django_assert_num_queries(10) as seen:
        admin_client.get(page_of(job))
    assert not [query for query in seen if '"output"' in query["sql"]]


# Who may


def test_each_part_needs_its_permission(client, staff, job):
    def shown(*names):
        staff.user_permissions.set(Permission.objects.filter(codename__in=names))
        data = client.get(f"{JOBS}{job.pk}/data/").json()["fragments"]
        return text(client, job), "".join(data.values())

    for page in shown("view_job"):
        assert "DeploymentError" in page
        assert "fetch_" not in page
        assert "claude" not in page
    for page in shown("view_job", "view_step"):
        assert "fetch_" in page
        assert "claude" not in page
    for page in shown("view_job", "view_airequest"):
        assert "fetch_" not in page
        assert "claude" in page


def test_the_data_of_a_page_are_for_who_may_see_it(client, django_user_model, job):
    address = f"{JOBS}{job.pk}/data/"
    assert client.get(address).status_code == 302
    for is_staff, status in ((False, 302), (True, 403)):
        client.force_login(django_user_model.objects.create_user(f"u{is_staff}", is_staff=is_staff))
        assert client.get(address).status_code == status


@pytest.mark.parametrize("address", ["5f3c1e9a-77b0-4c39-9f15-0a6d2f4b8c11/data/", "nothing/change/"])
def test_a_job_that_does_not_exist_is_404(admin_client, address):
    assert admin_client.get(f"{JOBS}{address}").status_code == 404


# In a browser


@pytest.fixture
def opened(live_server, admin_client, monkeypatch):
    monkeypatch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "true")
    cookie = {"name": "sessionid", "value": admin_client.cookies["sessionid"].value, "url": live_server.url}

    @contextmanager
    def open_page(job, **options):
        with browser(strict="**/automation/job/**", **options) as page:
            page.context.add_cookies([cookie])
            page.goto(f"{live_server.url}{page_of(job)}")
            yield page
            connection.close()  # within, where Playwright's loop runs, Django has one of its own

    return open_page


@requires("chromium")
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1300, 390])
@pytest.mark.parametrize("make", [job_pages.failed_after_a_retry, job_pages.under_way])
def test_the_page_is_sound_on_any_screen(opened, make, scheme, width):
    job = make()
    Job.objects.filter(pk=job.pk).update(payload={"a.css": "a {\n}" * 900, "b.css": "\n"}, error="long" * 99)
    Step.objects.create(job=job, position=9, name="n" * 100, detail="d" * 300, status="failed", duration=1)
    AIRequest.objects.create(job=job, model="m" * 200, status="error", request_id="r" * 128, step="s" * 100)
    with opened(job, color_scheme=scheme, width=width) as page:
        page.click("text=a.css")
        assert page.locator("pre:visible", has_text="a {").count() == 1
        assert page.evaluate("document.documentElement.scrollWidth") == width
        assert violations(page) == []
        assert page.errors == []


@requires("chromium")
def test_an_id_is_copied_by_the_keyboard(opened, job):
    with opened(job, permissions=["clipboard-read", "clipboard-write"]) as page:
        page.get_by_role("button", name="Copy request_id").focus()
        page.keyboard.press("Enter")

        page.get_by_role("status").get_by_text("Copied request_id").wait_for(state="attached")
        assert page.evaluate("navigator.clipboard.readText()") == job.request_id
        page.get_by_role("button", name="Copy request_id").wait_for()


@requires("chromium")
def test_without_scripts_all_is_there_but_copying(opened, job):
    with opened(job, java_script_enabled=False) as page:
        assert page.get_by_text("generate_code").count() >= 4
        assert not page.get_by_role("button", name="Copy").first.is_visible()


@requires("chromium")
def test_a_running_job_is_followed_to_its_end_without_reload(opened, admin_client):
    job = job_pages.under_way()
    with opened(job) as page:
        page.evaluate("window.same = true")
        page.get_by_role("status").get_by_text("Live").wait_for()
        assert page.get_by_role("button", name="Cancel").is_visible()

        Step.objects.filter(job=job, status="running").update(status="failed", duration=9, error="HTTP 529")
        Job.objects.filter(pk=job.pk).update(
            status="failed", error="HTTP 529", duration=9, finished_at=timezone.now(), result="half a page"
        )

        page.get_by_text("Failed at generate_code").wait_for()
        assert page.get_by_role("status").first.inner_text() == "The job has ended"
        assert page.get_by_role("button", name="Try again").is_visible()
        assert page.get_by_text("half a page").is_visible()
        assert not page.get_by_role("button", name="Pause").is_visible()
        assert page.evaluate("window.same")
        assert page.errors == []
