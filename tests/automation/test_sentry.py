"""A job in Sentry, with the real SDK, a real receiver and a worker of its own."""

import json

import pytest

from project.sandbox.addresses import variables
from project.sandbox.notion import page_id
from tests.sentry import exception, frames
from tests.servers import new_folder
from tests.site import eventually

PAGE = page_id(1)


@pytest.fixture
def environment(sentry):
    return {
        "SENTRY_DSN": sentry.dsn,
        "SENTRY_TRACES_SAMPLE_RATE": "1",
        "SENTRY_EVENT_URL": "https://sentry.example.org/{event_id}",
        "APP_VERSION": "2026.11",
        "ENVIRONMENT": "staging",
        "DJANGO_SETTINGS_MODULE": "tests.automation.gated_settings",
        "LEASE_SECONDS": "6",
    }


@pytest.fixture
def deployment(site, environment):
    """A site, ``deployment.show(job_id)``: the job over the API."""
    with site(env=environment, workers=1, redis=False) as running:
        yield running


def with_token(site):
    return {"Authorization": f"Bearer {site.env['AUTOMATION_TOKEN']}", "X-Request-ID": "asked-by-a-test"}


def start(site, job_type):
    body = {"job_type": job_type, "payload": {"folder": str(new_folder(job_type))}}
    return site.post("/api/automation/start", json=body, headers=with_token(site)).json()["id"]


def transactions(sentry, name):
    return [item for item in sentry.items("transaction") if item["transaction"].startswith(name)]


def test_one_request_that_starts_a_job_that_fails_has_the_same_ids_everywhere(deployment, sentry):
    job_id = start(deployment, "broken")
    with deployment.worker():
        [event] = sentry.wait("event", seconds=40)
        eventually(lambda: len(transactions(sentry, "broken")), 1)
    [web], [work] = transactions(sentry, "/api/automation/start"), transactions(sentry, "broken")
    job = deployment.get(f"/api/automation/jobs/{job_id}", headers=with_token(deployment)).json()
    logged = [line for name in ("web.log", "worker.log") for line in deployment.lines(name) if line["job_id"] == job_id]

    sent = [event, web, work]
    assert (job["status"], job["request_id"], job["sentry_event_id"]) == (
        "failed",
        "asked-by-a-test",
        event["event_id"],
    )
    assert job["sentry_event_url"] == f"https://sentry.example.org/{event['event_id']}"
    assert {item["contexts"]["trace"]["trace_id"] for item in sent} == {job["trace_id"]}
    assert {item["tags"]["request_id"] for item in sent} == {"asked-by-a-test"}
    assert {(line["request_id"], line["trace_id"]) for line in logged} == {("asked-by-a-test", job["trace_id"])}
    assert [line["message"] for line in logged if line["level"] == "ERROR"] == [
        f"Job {job_id} (broken, fall) failed unexpectedly."
    ]

    assert exception(event)["value"] == "the step's own fault"
    assert frames(event)[-1] == "fall"
    assert event["tags"].items() >= {"job_id": job_id, "step": "fall", "job_type": "broken"}.items()
    assert (event["release"], event["environment"]) == ("2026.11", "staging")
    assert (work["contexts"]["trace"]["op"], work["contexts"]["trace"]["status"]) == ("queue.process", "internal_error")
    steps = {span["description"]: span.get("status") for span in work["spans"] if span["op"] == "job.step"}
    assert steps == {"stand": None, "fall": "internal_error"}


def test_a_failure_that_was_expected_is_no_event(deployment, sentry):
    start(deployment, "closed")
    with deployment.worker():
        eventually(lambda: len(transactions(sentry, "closed")), 1, seconds=40)
        eventually(lambda: deployment.value("automation_jobs_total", status="failed"), 1)
    assert transactions(sentry, "closed")[0]["contexts"]["trace"]["status"] == "internal_error"
    assert sentry.wait("event", number=0) == []


def test_a_job_knows_nothing_of_the_one_before_it_in_the_same_worker(deployment, sentry):
    start(deployment, "leaky")
    start(deployment, "broken")
    with deployment.worker():
        first, second = sentry.wait("event", number=2, seconds=40)
    assert (first["user"], first["tags"]["left"]) == ({"id": "7"}, "behind")
    assert "user" not in second
    assert "left" not in second["tags"]
    assert "left behind" not in json.dumps(second)


def test_a_job_whose_worker_was_killed_once_too_often_is_an_event_to_which_its_row_leads(site, sentry, environment):
    folder = new_folder("gate")
    with site(env=environment | {"MAX_ATTEMPTS": "1", "LEASE_SECONDS": "2"}, workers=1, redis=False) as running:
        body = {"job_type": "slow", "payload": {"folder": str(folder)}}
        job_id = running.post("/api/automation/start", json=body, headers=with_token(running)).json()["id"]
        with running.worker() as worker:
            eventually(lambda: len([*folder.iterdir()]), 1, seconds=40)
            worker.kill()
            worker.wait()
        with running.worker():
            [event] = sentry.wait("event", seconds=40)
        job = running.get(f"/api/automation/jobs/{job_id}", headers=with_token(running)).json()
        told = [line for line in running.lines("worker.log") if "lost its worker" in line["message"]]
    assert event["message"] == "A job has failed because its workers stopped without a word."
    assert event["tags"].items() >= {"job_id": job_id, "request_id": "asked-by-a-test"}.items()
    assert (job["status"], job["sentry_event_id"]) == ("failed", event["event_id"])
    assert [(line["job_id"], line["request_id"], line["trace_id"]) for line in told] == [
        (job_id, "asked-by-a-test", job["trace_id"])
    ]


def test_calls_of_services_and_models_are_spans_and_the_reaper_checks_in(site, sentry, sandbox, environment):
    env = environment | variables(sandbox.url, ["Notion", "Vercel", "OpenAI", "Anthropic"])
    with site(env=env, workers=1, redis=False) as running, running.worker():
        running.start_job("notion_vercel", page=PAGE, project="bakery")
        eventually(lambda: len(transactions(sentry, "notion_vercel")), 1, seconds=60)
        eventually(lambda: {item["status"] for item in sentry.items("check_in")}, {"in_progress", "ok"}, seconds=20)
    [job] = transactions(sentry, "notion_vercel")
    called = {span["description"].partition("?")[0] for span in job["spans"] if span["op"] == "http.client"}
    assert any("/notion/v1/pages/" in name for name in called)
    assert any("/vercel/v13/deployments" in name for name in called)
    models = [span for item in sentry.items("span") for span in item["items"]]
    assert {span["attributes"]["sentry.op"]["value"] for span in models} == {"gen_ai.chat"}
    for span in models:
        assert span["trace_id"] == job["contexts"]["trace"]["trace_id"]
        assert span["name"] == f"chat {span['attributes']['gen_ai.request.model']['value']}"
        assert span["attributes"]["gen_ai.usage.input_tokens"]["value"] > 0
    monitor = sentry.items("check_in")[0]
    assert monitor["monitor_slug"] == "automation-reaper"
    assert monitor["monitor_config"]["schedule"] == {"type": "interval", "value": 1, "unit": "minute"}


def test_a_task_that_is_no_job_is_reported_once_and_knows_nothing_of_the_one_before_it(deployment, sentry):
    code = "from tests.automation.gated.pipeline import leave_behind as t; t.enqueue(1); t.enqueue(2)"
    assert deployment.manage("shell", "-c", code).returncode == 0
    with deployment.worker():
        events = sentry.wait("event", number=2, seconds=40)
    left = {exception(event)["value"]: [tag for tag in event["tags"] if "left" in tag] for event in events}
    assert left == {f"the fault of task {number}": [f"left_by_{number}"] for number in (1, 2)}
