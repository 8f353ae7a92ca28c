"""Jobs that the API starts and the task worker runs."""

import pytest
from django_tasks_db.models import DBTaskResult

from automation import jobs
from automation.models import Job
from automation.tasks import enqueue
from tests.automation.conftest import TOKEN, rolled_back

pytestmark = pytest.mark.django_db(transaction=True)


def start(client, web, *paths):
    body = {"job_type": "site_check", "payload": {"base_url": web.url, "paths": paths}}
    headers = {"Authorization": f"Bearer {TOKEN}"}
    return client.post("/api/automation/start", body, content_type="application/json", headers=headers).json()["id"]


def test_the_worker_runs_what_the_api_started(client, web, work):
    good, bad = start(client, web, "/"), start(client, web, "/", "/500")

    work()

    shown = {
        job_id: client.get(f"/api/automation/jobs/{job_id}", headers={"Authorization": f"Bearer {TOKEN}"}).json()
        for job_id in (good, bad)
    }
    assert shown[good]["status"] == "success"
    assert shown[bad]["status"] == "failed"
    assert [step["status"] for step in shown[bad]["steps"]] == ["success", "failed"]
    assert [task.status for task in DBTaskResult.objects.all()] == ["SUCCESSFUL", "SUCCESSFUL"]


def test_a_task_delivered_twice_runs_its_job_once(web, work):
    enqueue(jobs.create_job("site_check", {"base_url": web.url, "paths": ["/"]}))

    work()

    assert DBTaskResult.objects.count() == 2
    assert web.seen == ["/"]


def test_a_job_that_was_rolled_back_is_not_queued(web):
    with rolled_back():
        jobs.create_job("site_check", {"base_url": web.url, "paths": ["/"]})

    assert not Job.objects.exists()
    assert not DBTaskResult.objects.exists()
