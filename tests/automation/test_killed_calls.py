"""Workers that are killed, or stand still, while a service answers them."""

import signal
from contextlib import ExitStack

import pytest

from project.sandbox.addresses import SERVICES, variables
from project.sandbox.notion import page_id
from tests.automation.test_exact import Rows, Seen
from tests.site import eventually

MODEL = "claude-sonnet-5"
SETTINGS = """
from project.settings import *
AUTOMATION |= {"LEASE_SECONDS": 2, "COMPLETION_TIMEOUT": 8}
"""

pytestmark = pytest.mark.timeout(240)


@pytest.fixture
def started(site, sandbox, tmp_path):
    """A site with a website to be made, whose workers are soon taken for dead."""
    (tmp_path / "hasty.py").write_text(SETTINGS)
    env = {"AI_MODELS": MODEL, "DJANGO_SETTINGS_MODULE": "hasty", "PYTHONPATH": str(tmp_path)}
    with site(env=variables(sandbox.url, list(SERVICES)) | env, redis=False) as running:
        running.start_job("notion_vercel", page=page_id(3), project="bakery", model=MODEL)
        yield running


def hire(stack, site):
    return stack.enter_context(site.worker())


def kill(worker):
    worker.kill()
    worker.wait()


def until_ended(site):
    eventually(lambda: sum(Seen(site).of("automation_jobs_total").values()), 1, seconds=60)
    return Rows(site)


def test_what_a_killed_worker_asked_of_a_model_is_known(started, sandbox):
    sandbox.faults("anthropic", "drip", seconds=60, match="The plan")
    with ExitStack() as stack:
        worker = hire(stack, started)
        eventually(lambda: len(sandbox.requests(fault="drip")), 1, seconds=40)
        kill(worker)
        hire(stack, started)
        assert [job["status"] for job in until_ended(started).jobs] == ["success"]
        lost = frozenset({("model", MODEL), ("status", "error")})
        eventually(lambda: Seen(started).of("ai_requests_total").get(lost), 1, seconds=40)

    rows = Rows(started)
    assert [row["cost"] for row in rows.requests if row["status"] == "error"] == [None]
    assert len(rows.requests) == len([entry for entry in sandbox.requests() if entry["service"] == "anthropic"])


def test_a_worker_killed_before_vercel_answered_leaves_one_deployment_and_a_job_that_says_so(started, sandbox):
    sandbox.faults("vercel", "slow", seconds=4, match='"name":"bakery"')
    with ExitStack() as stack:
        worker = hire(stack, started)
        eventually(lambda: len(sandbox.requests(operation="create_deployment")), 1, seconds=40)
        kill(worker)
        hire(stack, started)
        [job] = until_ended(started).jobs

    assert (job["status"], job["attempts"]) == ("failed", 2)
    assert job["error"] == "A deployment was asked for, and may have been made: look at Vercel first."
    assert len(sandbox.requests(operation="create_deployment")) == 1


def test_a_deployment_that_surely_was_not_made_is_asked_for_again(started, sandbox):
    sandbox.faults("vercel", 429, times=3, match='"name":"bakery"')
    with ExitStack() as stack:
        hire(stack, started)
        assert [job["status"] for job in until_ended(started).jobs] == ["success"]

    assert [entry["status"] for entry in sandbox.requests(operation="create_deployment")] == [429, 429, 429, 200]


def test_a_deployment_that_two_workers_saw_the_end_of_counts_once(started, sandbox):
    sandbox.faults("vercel", "slow", seconds=3, match="/v13/deployments/dpl_")
    with ExitStack() as stack:
        worker = hire(stack, started)
        eventually(lambda: len(sandbox.requests(operation="get_deployment")), 1, seconds=40)
        worker.send_signal(signal.SIGSTOP)
        hire(stack, started)
        assert [job["status"] for job in until_ended(started).jobs] == ["success"]
        worker.send_signal(signal.SIGCONT)
        eventually(lambda: "given to another worker" in (started.folder / "worker.log").read_text(), True, seconds=20)
        assert Seen(started).of("vercel_deployments_total") == {frozenset({("status", "success")}): 1}
