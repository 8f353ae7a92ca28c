"""Cancelling jobs and trying them again in the admin."""

import pytest
from django.contrib.auth.models import Permission
from django.test import Client

from automation.admin import jobs as admin_of_jobs
from automation.models import AIRequest, Job

pytestmark = pytest.mark.django_db

JOBS = "/admin/automation/job/"


@pytest.fixture
def payload(configured):
    return {"base_url": "http://localhost:8000", "paths": ["/"]}


@pytest.fixture
def make(payload):
    return lambda status: Job.objects.create(job_type="site_check", status=status, payload=payload)


@pytest.fixture
def staff(client, django_user_model):
    """Someone who may look at jobs and change them."""
    user = django_user_model.objects.create_user("staff", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=["view_job", "change_job"]))
    client.force_login(user)
    return user


def page(client, job):
    return client.get(f"{JOBS}{job.pk}/change/").content.decode()


def press(client, job, verb, **options):
    return client.post(f"{JOBS}{job.pk}/{verb}/", follow=True, **options)


def act(client, action, *jobs):
    chosen = {"action": f"{action}_selected", "_selected_action": [str(job.pk) for job in jobs]}
    return client.post(JOBS, chosen, follow=True)


def told(response):
    return [str(message) for message in response.context["messages"]]


@pytest.mark.parametrize(
    ("status", "buttons"),
    [
        ("pending", ["cancel"]),
        ("running", ["cancel"]),
        ("success", []),
        ("failed", ["retry"]),
        ("cancelled", ["retry"]),
    ],
)
def test_the_page_of_a_job_offers_what_can_be_done(client, staff, make, status, buttons):
    job = make(status)

    shown = page(client, job)

    assert [verb for verb in ("cancel", "retry") if f"{JOBS}{job.pk}/{verb}/" in shown] == buttons


def test_what_was_done_is_not_offered_again(client, staff, make):
    running, failed = make("running"), make("failed")
    press(client, running, "cancel")
    press(client, failed, "retry")

    assert f"{JOBS}{running.pk}/cancel/" not in page(client, running)
    assert "Running, asked to end" in page(client, running)
    assert f"{JOBS}{failed.pk}/retry/" not in page(client, failed)
    assert str(Job.objects.get(retry_of=failed).pk) in page(client, failed)


def test_a_pending_job_is_cancelled(client, staff, make):
    job = make("pending")

    response = press(client, job, "cancel")

    job.refresh_from_db()
    assert job.status == "cancelled"
    assert told(response) == ["The job is cancelled, or will be at its next checkpoint."]
    assert response.redirect_chain == [(f"{JOBS}{job.pk}/change/", 302)]


def test_a_job_that_ended_meanwhile_stays_as_it_is(client, staff, make):
    job = make("success")

    response = press(client, job, "cancel")

    job.refresh_from_db()
    assert (job.status, job.cancel_requested_at) == ("success", None)
    assert told(response) == ["The job has ended already."]


def test_a_failed_job_is_tried_again_as_a_new_one_once(client, staff, make):
    job = make("failed")

    press(client, job, "retry", headers={"X-Request-ID": "b3f1"})
    response = press(client, job, "retry")

    again = Job.objects.exclude(pk=job.pk).get()
    assert (again.retry_of, again.started_by, again.request_id, again.status) == (job, staff, "b3f1", "pending")
    assert again.task_id
    assert response.redirect_chain == [(f"{JOBS}{again.pk}/change/", 302)]


def test_what_cannot_be_tried_again_says_why(client, staff, make, settings):
    succeeded, failed = make("success"), make("failed")
    settings.AUTOMATION |= {"SITE_CHECK_HOSTS": []}

    assert told(press(client, succeeded, "retry"))[0].endswith("this one is success.")
    assert "no host is allowed" in told(press(client, failed, "retry"))[0]
    assert Job.objects.count() == 2


def test_many_jobs_are_cancelled_at_once(client, staff, make):
    pending, running, ended = make("pending"), make("running"), make("success")

    response = act(client, "cancel", pending, running, ended)

    assert told(response) == ["2 of 3 jobs cancelled, or to be at their next checkpoint."]
    assert Job.objects.get(pk=pending.pk).status == "cancelled"
    assert Job.objects.get(pk=running.pk).cancel_requested_at
    assert Job.objects.get(pk=ended.pk).status == "success"


def test_many_jobs_are_tried_again_at_once(client, staff, make):
    failed, cancelled, ended = make("failed"), make("cancelled"), make("success")

    response = act(client, "retry", failed, cancelled, ended)

    assert told(response)[0].startswith("2 of 3 jobs are tried again. Only a job that failed")
    assert set(Job.objects.exclude(retry_of=None).values_list("retry_of", flat=True)) == {failed.pk, cancelled.pk}


def test_too_many_at_once_are_left_alone(client, staff, make, monkeypatch):
    monkeypatch.setattr(admin_of_jobs, "AT_ONCE", 2)

    response = act(client, "cancel", *(make("pending") for _ in range(3)))

    assert told(response) == ["Nothing was done: select at most 2 jobs at once."]
    assert set(Job.objects.values_list("status", flat=True)) == {"pending"}


def test_who_did_what_is_in_the_history(client, staff, make):
    pending, failed = make("pending"), make("failed")
    press(client, pending, "cancel")
    press(client, failed, "retry")

    for job, words in ((pending, "Asked for its end."), (failed, "Tried again as ")):
        history = client.get(f"{JOBS}{job.pk}/history/").content.decode()
        assert "staff" in history
        assert words in history


def test_whoever_may_only_look_can_do_neither(client, staff, make):
    staff.user_permissions.set(Permission.objects.filter(codename="view_job"))
    pending, failed = make("pending"), make("failed")

    assert "/cancel/" not in page(client, pending)
    assert "/retry/" not in page(client, failed)
    assert press(client, pending, "cancel").status_code == 403
    assert press(client, failed, "retry").status_code == 403
    assert "cancel_selected" not in client.get(JOBS).content.decode()
    act(client, "cancel", pending)
    assert set(Job.objects.values_list("status", flat=True)) == {"pending", "failed"}


def test_strangers_links_and_foreign_sites_can_do_neither(client, staff, make):
    job = make("pending")
    from_elsewhere = Client(enforce_csrf_checks=True)
    from_elsewhere.force_login(staff)

    assert press(Client(), job, "cancel").redirect_chain[0][0].startswith("/admin/login/")
    assert client.get(f"{JOBS}{job.pk}/cancel/").status_code == 405
    assert press(from_elsewhere, job, "cancel").status_code == 403
    job.refresh_from_db()
    assert job.status == "pending"


def test_a_job_that_does_not_exist_is_404(client, staff):
    assert client.post(f"{JOBS}5f3c1e9a-77b0-4c39-9f15-0a6d2f4b8c11/cancel/").status_code == 404


@pytest.mark.parametrize(("status", "verb"), [("pending", "cancel"), ("failed", "retry"), ("success", "retry")])
def test_they_lead_back_to_the_admin_site_of_a_host(client, staff, make, settings, status, verb):
    settings.ROOT_URLCONF = "tests.automation.own_admin_urls"
    job = make(status)

    answer = client.post(f"/workshop/automation/job/{job.pk}/{verb}/")

    assert answer["Location"].startswith("/workshop/automation/job/")


def test_links_of_a_list_stay_on_the_admin_site_of_a_host(admin_client, admin_user, settings):
    settings.ROOT_URLCONF = "tests.automation.own_admin_urls"
    job = Job.objects.create(job_type="site_check", started_by=admin_user)
    AIRequest.objects.create(job=job, model="gpt-5")

    html = admin_client.get("/workshop/automation/job/").content.decode()
    assert f"/workshop/automation/job/?started_by={admin_user.pk}" in html
    assert 'href="/admin/' not in html
    html = admin_client.get("/ledger/automation/airequest/").content.decode()
    assert str(job.pk)[:8] in html
    assert "automation/job/" not in html
