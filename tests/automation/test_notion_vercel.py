"""From a page of Notion to a website on Vercel, against the sandbox."""

import json
import time

import pytest

from automation import conf, engine, jobs
from automation.models import AIRequest, Job
from automation.tasks import give_back
from observability.testing import assert_increases
from project.sandbox.addresses import variables
from project.sandbox.notion import page_id
from tests.automation.conftest import KEYS, TOKEN
from tests.canned import answer, canned
from tests.sandbox import run_sandbox
from tests.site import eventually

pytestmark = pytest.mark.django_db(transaction=True)

STEPS = ["fetch_page", "plan", "generate_code", "review", "deploy", "verify"]
GPT, CLAUDE = "gpt-5.4-mini", "claude-haiku-4-5"


@pytest.fixture
def waits(monkeypatch):
    """How long jobs wanted to wait, for the next try or the next look; here they hardly do."""
    waits = []

    def sleep(run, seconds):
        waits.append(seconds)
        time.sleep(0.02)
        run.checkpoint()

    monkeypatch.setattr(engine.Run, "sleep", sleep)
    return waits


@pytest.fixture
def make_website(services, settings, run_job, waits):
    """Run a job, and return its row."""
    places = variables(services.url, ["Vercel"])
    settings.AUTOMATION |= {name: places[name] for name in ("DEPLOYMENT_DOMAIN", "DEPLOYMENT_ADDRESS")}

    def make(page=1, **payload):
        return run_job("notion_vercel", **{"page": page_id(page), "project": "bakery", "model": CLAUDE} | payload)

    return make


def steps(job):
    return [(step.name, step.status) for step in job.steps.all()]


def failed_step(job):
    assert job.status == "failed"
    *_, last = job.steps.all()
    assert (last.status, last.error) == ("failed", job.error)
    return last


def output(job, step):
    return job.steps.get(name=step).output


# A page becomes a website


@pytest.mark.parametrize(("model", "service"), [(GPT, "openai"), (CLAUDE, "anthropic")])
def test_a_page_becomes_a_website(make_website, services, model, service):
    job = make_website(model=model)

    assert (job.status, job.error) == ("success", "")
    assert steps(job) == [(name, "success") for name in STEPS]
    deployment = output(job, "deploy")
    assert job.result == {
        "address": f"{services.url}/_deployments/{deployment['host']}/",
        "deployment": deployment["id"],
        "title": "Bakery Lindqvist",
        "files": ["contact.html", "index.html", "script.js", "style.css"],
    }
    page = services.client.get(f"/_deployments/{deployment['host']}/")
    assert page.text == output(job, "generate_code")["index.html"]
    assert "Cardamom buns" in page.text
    asked = [(entry["operation"], entry["stream"]) for entry in services.requests(service=service)]
    assert [stream for _, stream in asked] == [False, True]
    assert list(job.ai_requests.order_by("id").values_list("status", flat=True)) == ["success", "success"]


def test_the_model_reads_the_page_as_markdown(make_website):
    job = make_website(page=2)

    page = output(job, "fetch_page")
    assert page["title"] == "Chess club Blue Rook"
    assert "1. Start: next evening, next tournament\n2. Tournaments\n   - Results as a table\n" in page["text"]
    assert '```json\n{\n  "round": 3,\n' in page["text"]
    assert page["text"].endswith("- [ ] Decide on the colour of the board\n- [x] Domain is ours")
    assert output(job, "plan").startswith("# Chess club Blue Rook\n\n1. ")


def test_a_preview_has_an_address_of_its_own_and_production_the_project_s(make_website):
    preview, production = make_website(), make_website(target="production")

    assert output(preview, "deploy")["host"].startswith("bakery-")
    assert output(production, "deploy")["host"] == "bakery.vercel.localhost"


def test_a_project_whose_name_no_host_may_have_is_deployed_like_any(make_website):
    job = make_website(project="corner_shop.2", target="production")
    assert (job.status, output(job, "deploy")["host"]) == ("success", "corner-shop-2.vercel.localhost")


def test_the_api_shows_the_files(make_website, client, settings):
    job = make_website()

    settings.AUTOMATION |= {"API_TOKEN": TOKEN}
    shown = client.get(f"/api/automation/jobs/{job.pk}", headers={"Authorization": f"Bearer {TOKEN}"}).json()
    [files] = [step["output"] for step in shown["steps"] if step["name"] == "generate_code"]
    assert files == output(job, "generate_code")


def test_no_key_is_kept_anywhere(make_website, services, capfd):
    services.faults("notion", 401, times=None, match=page_id(2))
    jobs = [make_website(), make_website(page=2)]

    kept = json.dumps([[job.payload, job.result, job.error, list(job.steps.values())] for job in jobs], default=str)
    for key in KEYS.values():
        assert key not in kept + "".join(capfd.readouterr())


# What a job may be asked for

PAGE = page_id(1)
HEX = PAGE.replace("-", "")
TAKEN = [
    PAGE,
    HEX,
    HEX.upper(),
    f"https://www.notion.so/{HEX}",
    f"https://www.notion.so/team/Bakery-Lindqvist-{HEX}?pvs=4",
    f"https://notion.so/Bakery-{HEX}#block",
    f"https://team.notion.site/Bakery-{HEX}",
    f"https://www.notion.so/team/{'0' * 32}?v={'1' * 32}&p={HEX}&pm=s",
]
REFUSED = {
    "page": [
        "",
        "page",
        HEX[:-1],
        f"{HEX}0",
        f"../{HEX}",
        f"{PAGE}/children",
        f"{PAGE}\n",
        f"http://www.notion.so/{HEX}",
        f"https://www.notion.so.evil.example/{HEX}",
        f"https://evil.example/{HEX}",
        f"https://user:password@www.notion.so/{HEX}",
        f"https://www.notion.so:8000/{HEX}",
        f"https://www.notion.so/{HEX}/children",
        "https://www.notion.so/team/Bakery",
        "https://[www.notion.so/",
        f"file:///{HEX}",
        "0" * 2000,
        None,
        7,
    ],
    "project": [
        "",
        "Bakery",
        "prj_Bakery1",
        "a/b",
        "../bakery",
        "a" * 101,
        "bakery?teamId=1",
        "bakery\n",
        "-bakery",
        None,
    ],
    "model": ["", "gpt-4", f"{CLAUDE} ", None],
    "target": ["", "staging", "Production", None],
    "files": [[]],
}


@pytest.mark.parametrize("page", TAKEN)
def test_a_page_is_given_by_its_id_or_address(page):
    job = jobs.create_job("notion_vercel", {"page": page, "project": "bakery"}, queued=False)
    assert job.payload == {"page": PAGE, "project": "bakery", "model": conf.models()[0], "target": "preview"}


@pytest.mark.parametrize(("field", "value"), [(field, value) for field, values in REFUSED.items() for value in values])
def test_anything_else_is_refused_before_anything_is_asked(client, services, settings, field, value):
    settings.AUTOMATION |= {"API_TOKEN": TOKEN}
    payload = {"page": PAGE, "project": "bakery"} | {field: value}
    answer = client.post(
        "/api/automation/start",
        {"job_type": "notion_vercel", "payload": payload},
        content_type="application/json",
        headers={"Authorization": f"Bearer {TOKEN}"},
    )

    assert answer.status_code == 422
    assert {error["loc"][2] for error in answer.json()["detail"]} == {field}
    assert services.requests() == []


def test_the_allowed_models_are_those_of_the_settings(make_website, settings):
    settings.AUTOMATION |= {"MODELS": ["gpt-4o"]}

    assert make_website(model="gpt-4o").status == "success"
    default = jobs.create_job("notion_vercel", {"page": PAGE, "project": "bakery"}, queued=False)
    assert default.payload["model"] == "gpt-4o"


# What may go wrong

PASSING = [
    ("notion", 429),
    ("notion", 500),
    ("notion", "cut"),
    ("notion", "garbage"),
    ("notion", "wrong_shape"),
    ("anthropic", 529),
    ("anthropic", "cut"),
    ("anthropic", "error_event"),
    ("anthropic", "wrong_shape"),
    ("anthropic", "prose"),
    ("vercel", 429),
    ("sites", 404),
    ("sites", 502),
    ("sites", "cut"),
]


@pytest.mark.parametrize(("service", "fault"), PASSING)
def test_what_passes_is_survived(make_website, services, service, fault):
    match = '"stream":true' if service == "anthropic" else ""
    services.faults(service, fault, match=match)

    job = make_website()

    assert (job.status, job.error) == ("success", "")
    assert len(services.requests(service="vercel", operation="create_deployment", status=200)) == 1


LASTING = [
    ("notion", 404, "fetch_page", "Notion retrieve_page failed: HTTP 404 object_not_found"),
    ("notion", 500, "fetch_page", "Notion retrieve_page failed: HTTP 500 internal_server_error"),
    ("anthropic", 400, "plan", "Anthropic complete failed: HTTP 400 invalid_request_error"),
    ("anthropic", "cut", "plan", "Anthropic complete failed: the answer broke off"),
    ("vercel", 403, "deploy", "Vercel create_deployment failed: HTTP 403 forbidden"),
    ("vercel", "build_canceled", "deploy", " ended as CANCELED."),
    ("vercel", "build_error", "deploy", ' ended as ERROR. Command "npm run build" exited with 1'),
    ("sites", 404, "verify", "/ answers HTTP 404."),
    ("sites", 401, "verify", "/ answers HTTP 401."),
    ("sites", "garbage", "verify", "shows another page: its title is '', not 'Bakery Lindqvist'."),
]


@pytest.mark.parametrize(("service", "fault", "step", "error"), LASTING)
def test_what_lasts_fails_its_step_with_the_reason(make_website, services, service, fault, step, error):
    services.faults(service, fault, times=None)

    job = make_website()

    failed = failed_step(job)
    assert failed.name == step
    assert error in failed.error
    assert job.result is None


def test_a_model_that_answers_with_prose_is_asked_three_times(make_website, services):
    services.faults("anthropic", "prose", match='"stream":true', times=None)

    job = make_website()

    failed = failed_step(job)
    assert failed.error.startswith("The model's answer is not the files that it was asked for: ")
    assert failed.attempts == 3
    assert job.ai_requests.count() == 4
    assert job.ai_cost() > 0


def test_a_page_that_is_too_long_for_a_model_is_refused(make_website, services, monkeypatch):
    monkeypatch.setattr("automation.pipelines.notion_vercel.MAX_PAGE", 500)

    assert failed_step(make_website()).error.endswith(" characters; 500 are allowed.")
    assert services.requests(service="anthropic") == []


def says(text, finish="stop"):
    """A completion and the one after it, streamed, as OpenAI sends them."""
    choice = {"index": 0, "message": {"role": "assistant", "content": "A plan."}, "finish_reason": "stop"}
    chunk = {"choices": [{"index": 0, "delta": {"content": text}, "finish_reason": finish}]}
    stream = f"data: {json.dumps(chunk)}\n\ndata: [DONE]\n\n"
    return answer(json.dumps({"choices": [choice]})), answer(stream, content_type="text/event-stream")


def files(**contents):
    return json.dumps({"files": [{"path": path, "content": content} for path, content in contents.items()]})


INDEX = {"index.html": "<title>Bakery</title>"}


@pytest.mark.parametrize(
    ("said", "step", "error"),
    [
        (files(**INDEX, **{"../up.html": ""}), "review", "'../up.html' is no path within the project."),
        (files(**{"a.html": ""}), "review", "There is no index.html. a.html has no title."),
        (files(**INDEX, **{f"{n}.exe": "" for n in range(9)}), "review", " And 4 more."),
    ],
)
def test_files_that_have_no_business_in_a_website_are_not_deployed(make_website, services, settings, said, step, error):
    with canned(*says(said)) as model:
        settings.AUTOMATION |= {"OPENAI_URL": model.url}
        job = make_website(model=GPT)

    failed = failed_step(job)
    assert failed.name == step
    assert error in failed.error
    assert services.requests(service="vercel") == []


def test_an_answer_that_was_cut_short_is_a_failure_with_that_reason(make_website, settings):
    with canned(*says('{"files": [', finish="length")) as model:
        settings.AUTOMATION |= {"OPENAI_URL": model.url}
        job = make_website(model=GPT)

    assert failed_step(job).error == "The model wrote more than 16,000 tokens."


@pytest.mark.parametrize("said", [f"```json\n{files(**INDEX)}\n```", f"Here they are:\n{files(**INDEX)}\nEnjoy!"])
def test_files_may_stand_in_a_fence_or_between_polite_words(make_website, settings, said):
    with canned(*says(said)) as model:
        settings.AUTOMATION |= {"OPENAI_URL": model.url}
        job = make_website(model=GPT)

    assert (job.status, output(job, "generate_code")) == ("success", INDEX)


# Deployments


def test_a_deployment_of_which_nothing_is_known_is_not_made_again(make_website, services):
    services.faults("vercel", "cut", match='"name":')

    job = make_website()

    assert failed_step(job).error.startswith("Vercel create_deployment failed: the answer broke off")
    assert len(services.requests(operation="create_deployment")) == 1


def test_looks_at_a_deployment_that_fail_do_not_make_another(make_website, services, waits):
    services.faults("vercel", 500, match="/v13/deployments/dpl_", times=4)  # more than the client bears

    job = make_website()

    assert job.status == "success"
    assert job.steps.get(name="deploy").attempts == 2
    assert len(services.requests(operation="create_deployment")) == 1


def test_a_deployment_that_does_not_end_is_given_up(make_website, settings):
    settings.AUTOMATION |= {"DEPLOY_TIMEOUT": 0.05}

    assert failed_step(make_website()).error.endswith(" did not end within 0.05 seconds.")


def test_looks_become_rarer(make_website, services, waits):
    make_website()

    looks = len(services.requests(operation="get_deployment"))
    assert waits[:looks] == pytest.approx([min(5, 0.2 * 1.5**number) for number in range(looks)])


def test_a_job_that_is_taken_up_again_does_not_deploy_again(make_website, services, monkeypatch):
    def interrupted(run, seconds):
        raise KeyboardInterrupt

    job = jobs.create_job("notion_vercel", {"page": PAGE, "project": "bakery"})
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(engine.Run, "sleep", interrupted)
        engine.run(job)
    give_back(job, "KeyboardInterrupt")
    with assert_increases("vercel_deployments_total", status="success"):
        job = engine.run(Job.objects.get(pk=job.pk))

    assert (job.status, job.attempts) == ("success", 2)
    assert len(services.requests(operation="create_deployment")) == 1
    noted, output = job.steps.filter(name="deploy").values_list("output", flat=True)
    assert noted == output["id"] == job.result["deployment"]
    assert AIRequest.objects.count() == 2


def test_a_deployment_whose_end_is_told_in_a_form_of_no_use_at_first_counts_once(make_website, settings):
    begun = {"id": "dpl_1", "readyState": "BUILDING", "url": "x.vercel.localhost", "createdAt": 1}
    ready = begun | {"readyState": "READY"}
    odd = {name: value for name, value in ready.items() if name != "url"}
    with canned(*(answer(json.dumps(each)) for each in (begun, odd, odd, ready))) as vercel:
        settings.AUTOMATION |= {"VERCEL_URL": vercel.url}
        with assert_increases("vercel_deployments_total", status="success"):
            job = make_website()

    assert job.steps.get(name="deploy").status == "success"
    assert len(vercel.requests) == 4


def test_only_hosts_below_the_domain_of_the_settings_are_looked_at(make_website, services, settings):
    settings.AUTOMATION |= {"DEPLOYMENT_DOMAIN": "vercel.app"}

    failed = failed_step(make_website())

    assert failed.name == "deploy"
    assert failed.error.endswith(" has no address below vercel.app.")
    assert services.requests(service="sites") == []


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "vercel.app",
        ".vercel.app",
        "evil.example/.vercel.app",
        "evil.example#.vercel.app",
        "evil.example:80\\.vercel.app",
        "user@evil.vercel.app",
        "127.0.0.1",
        "evil.example?.vercel.app",
        "a.vercel.app.",
        "a\n.vercel.app",
        "a_vercel.app",
    ],
)
def test_a_host_that_leads_elsewhere_is_not_looked_at(make_website, services, settings, host):
    deployment = {"id": "dpl_1", "readyState": "READY", "url": host, "alias": [host, None, 7]}
    with canned(answer(json.dumps(deployment))) as vercel:
        settings.AUTOMATION |= {"VERCEL_URL": vercel.url, "DEPLOYMENT_DOMAIN": "vercel.app"}
        job = make_website()

    assert failed_step(job).error == "The deployment dpl_1 has no address below vercel.app."
    assert services.requests(service="sites") == []


def test_a_protected_deployment_is_opened_with_the_secret(make_website, settings):
    with canned(answer("<title>Bakery Lindqvist</title>")) as page:
        settings.AUTOMATION |= {
            "DEPLOYMENT_ADDRESS": f"{page.url}/{{host}}",
            "VERCEL_AUTOMATION_BYPASS_SECRET": "open-sesame",
        }
        job = make_website()

    assert job.status == "success"
    assert b"\r\nx-vercel-protection-bypass: open-sesame" in page.requests[0]
    assert b"authorization" not in page.requests[0].lower()


# On workers


@pytest.fixture
def agent(site):
    """A site with a worker, and a sandbox that takes its time."""
    with run_sandbox("--build-seconds", "6") as sandbox:
        env = variables(sandbox.url, ["Notion", "Vercel", "OpenAI", "Anthropic"])
        env |= {"DJANGO_SETTINGS_MODULE": "tests.automation.gated_settings", "LEASE_SECONDS": "2"}
        with site(env=env, workers=1, redis=False) as s:
            s.sandbox = sandbox
            yield s


def test_a_worker_killed_while_it_waits_for_a_deployment_leaves_one_deployment(agent):
    with agent.worker() as worker:
        agent.start_job("notion_vercel", page=PAGE, project="bakery")
        eventually(lambda: len(agent.sandbox.requests(operation="get_deployment")) > 2, True, seconds=30)
        worker.kill()
        worker.wait()
    with agent.worker():
        eventually(lambda: agent.value("automation_jobs_total", status="success"), 1, seconds=30)

    assert len(agent.sandbox.requests(operation="create_deployment")) == 1
    assert len(agent.sandbox.requests(service="anthropic")) == 2
    assert agent.value("vercel_deployments_total", status="success") == 1


def test_a_job_is_cancelled_in_the_middle_of_a_stream(agent):
    agent.sandbox.faults("anthropic", "drip", match='"stream":true', seconds=60)
    with agent.worker():
        job = agent.start_job("notion_vercel", page=PAGE, project="bakery")
        eventually(lambda: len(agent.sandbox.requests(service="anthropic", stream=True)), 1, seconds=30)
        code = f"from automation import jobs, models; print(jobs.cancel_job(models.Job.objects.get(pk='{job}')))"
        assert agent.manage("shell", "-v0", "-c", code).stdout == "True\n"
        eventually(lambda: agent.value("automation_jobs_total", status="cancelled"), 1)

    eventually(lambda: [entry["complete"] for entry in agent.sandbox.requests(stream=True)], [False])
    assert agent.sandbox.requests(service="vercel") == []


def test_a_job_that_fails_is_one_line_in_the_log_of_its_worker(agent):
    agent.sandbox.faults("vercel", 403, times=None)
    with agent.worker():
        job = agent.start_job("notion_vercel", page=PAGE, project="bakery")
        eventually(lambda: agent.value("automation_jobs_total", status="failed"), 1, seconds=30)

    [line] = [line for line in agent.lines("worker.log") if line["job_id"] == job]
    assert (line["level"], line["logger"]) == ("WARNING", "automation.engine")
    assert line["message"].startswith(f"Job {job} (notion_vercel, deploy) failed: ")
    assert "Vercel create_deployment failed: HTTP 403 forbidden" in line["message"]
