"""The sandbox's Vercel, and the sites that were deployed there."""

import base64

import httpx2
import pytest

from tests.sandbox import run_sandbox
from tests.site import eventually

FILES = [{"file": "index.html", "data": "<h1>Bakery</h1>"}, {"file": "css/style.css", "data": "h1 { color: brown }"}]
DOT = base64.b64encode(b"\x89PNG\xff").decode()


@pytest.fixture
def vercel(sandbox):
    with connected(sandbox) as client:
        yield client


def connected(sandbox):
    headers = {"Authorization": "Bearer any token"}
    return httpx2.Client(base_url=f"{sandbox.url}/vercel", headers=headers, trust_env=False)


def deploy(vercel, name="bakery", files=FILES, team=None, **values):
    body = {"name": name, "files": files, "projectSettings": {"framework": None}, **values}
    return vercel.post("/v13/deployments", params={"teamId": team} if team else None, json=body).json()


def state(vercel, deployment):
    return vercel.get(f"/v13/deployments/{deployment['id']}").json()["readyState"]


def visit(sandbox, host, path=""):
    return sandbox.client.get(f"/_deployments/{host}/{path}")


def test_a_deployment_passes_through_its_states_and_answers_when_it_is_ready():
    with run_sandbox("--build-seconds", "1") as slow, connected(slow) as vercel:
        made = deploy(vercel)
        assert visit(slow, made["url"]).headers["x-vercel-error"] == "DEPLOYMENT_NOT_FOUND"
        seen = [made["readyState"]]
        while seen[-1] != "READY":
            seen.append(state(vercel, made))
        assert visit(slow, made["url"]).status_code == 200
    order = ["QUEUED", "INITIALIZING", "BUILDING", "READY"]
    assert seen == sorted(seen, key=order.index)
    assert {"QUEUED", "BUILDING"} < set(seen)


def test_a_ready_deployment_says_when_and_where(vercel):
    made = deploy(vercel, target="production")
    eventually(lambda: state(vercel, made), "READY")
    ready = vercel.get(f"/v13/deployments/{made['url']}").json()
    assert ready["id"] == made["id"]
    assert ready["ready"] - ready["createdAt"] == 200
    assert (ready["alias"], ready["target"]) == (["bakery.vercel.localhost"], "production")


def test_a_deployment_serves_its_files(sandbox, vercel):
    made = deploy(vercel, files=[*FILES, {"file": "dot.png", "data": DOT, "encoding": "base64"}])
    eventually(lambda: state(vercel, made), "READY")
    assert visit(sandbox, made["url"]).text == "<h1>Bakery</h1>"
    assert visit(sandbox, made["url"], "css/style.css").headers["content-type"] == "text/css"
    assert visit(sandbox, made["url"], "dot.png").content == b"\x89PNG\xff"
    assert visit(sandbox, made["url"], "missing.html").status_code == 404


def test_an_alias_leads_to_the_newest_production_deployment(sandbox, vercel):
    for number, target in enumerate(["production", "production", None]):
        made = deploy(vercel, "shop", [{"file": "index.html", "data": f"{number}"}], target=target)
    eventually(lambda: state(vercel, made), "READY")
    assert visit(sandbox, "shop.vercel.localhost").text == "1"


def test_a_build_may_fail(sandbox, vercel):
    sandbox.faults("vercel", "build_error")
    made = deploy(vercel)
    eventually(lambda: state(vercel, made), "ERROR")
    failed = vercel.get(f"/v13/deployments/{made['id']}").json()
    assert (failed["errorCode"], failed["errorMessage"]) == ("BUILD_FAILED", 'Command "npm run build" exited with 1')
    assert visit(sandbox, made["url"]).status_code == 404


def test_a_build_may_be_canceled(sandbox, vercel):
    sandbox.faults("vercel", "build_canceled")
    made = deploy(vercel)
    eventually(lambda: state(vercel, made), "CANCELED")


def test_a_team_sees_its_own_deployments_and_projects(vercel):
    made = deploy(vercel, "of-a-team", team="team_1")
    for path in (f"/v13/deployments/{made['id']}", "/v9/projects/of-a-team", f"/v9/projects/{made['projectId']}"):
        assert vercel.get(path, params={"teamId": "team_1"}).status_code == 200
        assert vercel.get(path).status_code == 404


def test_projects_come_in_pages_newest_first(vercel):
    for number in range(5):
        deploy(vercel, f"page-{number}", team="team_2")
    names, following = [], None
    while following is not None or not names:
        parameters = {"teamId": "team_2", "limit": "2"} | ({"from": str(following)} if following else {})
        answer = vercel.get("/v9/projects", params=parameters).json()
        assert answer["pagination"]["count"] == len(answer["projects"]) <= 2
        names += [project["name"] for project in answer["projects"]]
        following = answer["pagination"]["next"]
    assert names == ["page-4", "page-3", "page-2", "page-1", "page-0"]


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": "Not Allowed"},
        {"files": []},
        {"files": [{"file": "index.html"}]},
        {"files": [{"file": "index.html", "data": "…", "encoding": "base64"}]},
        {"files": [{"file": "index.html", "data": "", "encoding": "rot13"}]},
    ],
    ids=str,
)
def test_what_cannot_be_deployed_is_refused(vercel, wrong):
    assert deploy(vercel, **wrong)["error"]["code"] == "bad_request"


def test_what_is_wrong_is_said_as_vercel_says_it(sandbox, vercel):
    without = vercel.get("/v9/projects", headers={"Authorization": ""})
    assert (without.status_code, without.json()) == (403, {"error": {"code": "forbidden", "message": "Not authorized"}})
    missing = vercel.get("/v13/deployments/dpl_0")
    assert (missing.status_code, missing.json()["error"]["code"]) == (404, "not_found")
    sandbox.faults("vercel", 429, retry_after=3)
    limited = vercel.get("/v9/projects")
    assert (limited.json()["error"]["code"], limited.json()["error"]["limit"]["remaining"]) == ("rate_limited", 0)
    assert (limited.headers["retry-after"], limited.headers["x-ratelimit-remaining"]) == ("3", "0")
