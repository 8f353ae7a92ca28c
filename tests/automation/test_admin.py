"""The admin shows jobs and changes none."""

import pytest
from django.contrib.auth.models import Permission

from automation.models import AIRequest, Job, Step

pytestmark = pytest.mark.django_db


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
        "/admin/automation/job/",
        f"/admin/automation/job/{job.id}/change/",
        "/admin/automation/airequest/",
        f"/admin/automation/airequest/{request_row.id}/change/",
    ]


def test_a_job_is_shown_with_its_steps(admin_client, job):
    page = admin_client.get(f"/admin/automation/job/{job.id}/change/").content.decode()

    assert "1 of 1 paths failed." in page
    assert "fetch_path" in page
    assert "HTTP 500" in page
    assert "/&lt;script&gt;" in page
    assert "/<script>" not in page


def test_every_page_opens(admin_client, job, request_row):
    assert [admin_client.get(page).status_code for page in pages(job, request_row)] == [200] * 4


@pytest.mark.parametrize("length", [36, 8])
def test_a_job_is_found_by_its_id_and_by_the_beginning_that_the_list_shows(admin_client, job, length):
    page = admin_client.get(f"/admin/automation/job/?q={str(job.id)[:length]}").content.decode()

    assert f"/admin/automation/job/{job.id}/change/" in page
    assert f">{str(job.id)[:8]}<" in page


@pytest.mark.parametrize("words", ["nothing-like-it", "\x00", "%"])
def test_a_search_for_what_is_not_there_finds_nothing(admin_client, job, words):
    assert admin_client.get("/admin/automation/job/", {"q": words}).status_code == 200


def test_nobody_changes_anything(admin_client, job, request_row):
    for name, key in (("job", job.id), ("airequest", request_row.id)):
        for page in ("add/", f"{key}/delete/"):
            assert admin_client.get(f"/admin/automation/{name}/{page}").status_code == 403
        assert admin_client.post(f"/admin/automation/{name}/{key}/change/", {"status": "success"}).status_code == 403

    job.refresh_from_db()
    assert job.status == "pending"


def test_staff_without_the_permission_sees_nothing(client, staff, job, request_row):
    assert [client.get(page).status_code for page in pages(job, request_row)] == [403] * 4


def test_staff_with_the_view_permission_sees_the_job_and_its_steps(client, staff, job):
    staff.user_permissions.set(Permission.objects.filter(codename__in=["view_job", "view_step"]))

    assert "HTTP 500" in client.get(f"/admin/automation/job/{job.id}/change/").content.decode()


def test_an_anonymous_visitor_must_sign_in(client, job):
    response = client.get("/admin/automation/job/")

    assert response.status_code == 302
    assert response["Location"].startswith("/admin/login/")
