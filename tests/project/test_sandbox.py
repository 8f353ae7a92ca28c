"""The sandbox itself: its faults, its log, its process."""

import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import httpx2
import pytest

from project.sandbox.faults import CHANCES
from project.sandbox.notion import page_id
from tests.processes import stop
from tests.sandbox import run_sandbox
from tests.site import ROOT, eventually

KEY = "a-key-that-must-stay-secret"
HEADERS = {"Authorization": f"Bearer {KEY}", "Notion-Version": "2022-06-28", "anthropic-version": "2023-06-01"}
PAGE = f"/notion/v1/pages/{page_id(1)}"
CHAT = {"model": "gpt-4o", "messages": [{"role": "user", "content": "Make a plan, please. " * 100}]}


@pytest.fixture
def client(sandbox):
    with httpx2.Client(base_url=sandbox.url, headers=HEADERS, trust_env=False, timeout=10) as client:
        yield client


def ask_model(client, **values):
    return client.post("/openai/v1/chat/completions", json=CHAT | values)


def test_a_status_comes_as_often_as_it_was_asked_for(sandbox, client):
    sandbox.faults("notion", 503, times=2)
    assert [client.get(PAGE).status_code for _ in range(3)] == [503, 503, 200]


def test_faults_of_unlimited_number_last_until_they_are_forgotten(sandbox, client):
    sandbox.faults("notion", 500, times=None)
    assert {client.get(PAGE).status_code for _ in range(5)} == {500}
    sandbox.clear()
    assert client.get(PAGE).status_code == 200


def test_a_fault_hits_only_its_service_and_what_matches(sandbox, client):
    sandbox.faults("notion", 500, match=page_id(2))
    sandbox.faults("openai", 500, match="second prompt")
    assert client.get(PAGE).status_code == 200
    assert client.get(f"/notion/v1/pages/{page_id(2)}").status_code == 500
    assert ask_model(client).status_code == 200
    assert ask_model(client, messages=[{"role": "user", "content": "The second prompt"}]).status_code == 500


def test_a_fault_of_completions_waits_for_a_completion(sandbox, client):
    sandbox.faults("openai", "prose")
    client.get("/openai/v1/nothing")
    ask_model(client)
    assert [entry["fault"] for entry in sandbox.requests()] == [None, "prose"]


def test_a_cut_connection_ends_in_the_middle_of_the_body(sandbox, client):
    sandbox.faults("notion", "cut")
    with pytest.raises(httpx2.RemoteProtocolError, match="without sending complete message body"):
        client.get(PAGE)
    [entry] = sandbox.requests(fault="cut")
    assert (entry["status"], entry["complete"]) == (200, False)


def test_what_was_cut_off_was_done_all_the_same(sandbox, client):
    sandbox.faults("vercel", "cut")
    with pytest.raises(httpx2.RemoteProtocolError):
        client.post("/vercel/v13/deployments", json={"name": "cut-off", "files": [{"file": "a", "data": ""}]})
    assert client.get("/vercel/v9/projects/cut-off").status_code == 200


@pytest.mark.parametrize("stream", [False, True])
def test_garbage_is_a_success_that_cannot_be_read(sandbox, client, stream):
    sandbox.faults("openai", "garbage")
    answer = ask_model(client, stream=stream)
    assert (answer.status_code, b"\xff" in answer.content) == (200, True)
    with pytest.raises(UnicodeDecodeError):
        answer.content.decode()


def test_a_wrong_shape_is_json_of_something_else(sandbox, client):
    sandbox.faults("notion", "wrong_shape")
    assert client.get(PAGE).json().keys() == {"unexpected"}


def test_a_slow_answer_begins_late(sandbox, client):
    sandbox.faults("notion", "slow", seconds=0.4)
    start = time.monotonic()
    with client.stream("GET", PAGE):
        assert time.monotonic() - start >= 0.4


@pytest.mark.parametrize("stream", [False, True])
def test_a_dripping_answer_begins_at_once_and_ends_late(sandbox, client, stream):
    sandbox.faults("openai", "drip", seconds=0.5)
    start = time.monotonic()
    with client.stream("POST", "/openai/v1/chat/completions", json=CHAT | {"stream": stream}) as answer:
        began = time.monotonic() - start
        answer.read()
    assert time.monotonic() - start - began >= 0.4


def test_a_silent_service_is_silent_until_the_client_leaves(sandbox, client):
    sandbox.faults("notion", "timeout")
    with pytest.raises(httpx2.ReadTimeout):
        client.get(PAGE, timeout=0.3)
    eventually(lambda: sandbox.requests(fault="timeout")[0]["duration"] is not None, True)
    [entry] = sandbox.requests(fault="timeout")
    assert (entry["status"], entry["complete"]) == (None, False)
    assert client.get(PAGE).status_code == 200


@pytest.mark.parametrize(
    "wrong", [{"fault": "earthquake"}, {"fault": 200}, {"often": 3}, {"service": "opnai"}, {"service": []}], ids=str
)
def test_a_fault_that_does_not_exist_is_refused(sandbox, wrong):
    answer = sandbox.client.post("/_sandbox/faults", json=[{"service": "notion", "fault": "cut"} | wrong])
    assert answer.status_code == 400
    assert answer.json()["error"]


def test_the_log_says_what_was_asked_and_what_was_answered(sandbox, client):
    client.get(PAGE)
    ask_model(client)
    ask_model(client, stream=True)
    assert [
        (entry["service"], entry["operation"], entry["method"], entry["model"], entry["status"], entry["stream"])
        for entry in sandbox.requests(complete=True)
    ] == [
        ("notion", "retrieve_page", "GET", None, 200, False),
        ("openai", "chat_completions", "POST", "gpt-4o-2024-08-06", 200, False),
        ("openai", "chat_completions", "POST", "gpt-4o-2024-08-06", 200, True),
    ]


def test_the_log_holds_no_key(sandbox, client):
    client.get(PAGE, params={"key": KEY})
    client.post("/anthropic/v1/messages", headers={"x-api-key": KEY}, json={"metadata": {"user_id": KEY}})
    assert len(sandbox.requests()) == 2
    assert KEY not in sandbox.client.get("/_sandbox/requests").text


def test_hundreds_of_requests_at_a_time_are_all_answered_and_logged(sandbox, client):
    sandbox.faults("notion", "slow", times=100, seconds=0.2)
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda number: client.get(f"/notion/v1/pages/{page_id(number)}"), range(400)))
    assert {answer.status_code for answer in answers} == {200}
    assert len(sandbox.requests(complete=True)) == 400


def test_every_answer_says_that_it_is_a_sandbox(client):
    for path in (PAGE, "/vercel/v9/projects", "/openai/v1", "/anthropic/v1", "/_deployments/x/", "/"):
        assert client.get(path).headers["server"] == "SANDBOX"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_says_where_it_listens_and_ends_when_it_is_told_to(number):
    command = [sys.executable, "-m", "project.sandbox", "--port", "0"]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        line = process.stdout.readline()
        assert line.startswith("SANDBOX of Notion, Vercel, OpenAI and Anthropic: http://127.0.0.1:")
        assert httpx2.get(line.split()[-1], trust_env=False).status_code == 404
        assert stop(process, number) == 0
        assert process.stdout.read() == ""
    finally:
        process.kill()
        process.stdout.close()


def test_a_port_that_is_taken_is_said_in_a_sentence(sandbox):
    port = sandbox.url.rpartition(":")[2]
    done = subprocess.run(
        [sys.executable, "-m", "project.sandbox", "--port", port], cwd=ROOT, capture_output=True, text=True, timeout=30
    )
    assert done.returncode == 1
    assert done.stderr == f"Port {port} is taken: give another one with --port.\n"


def fates(seed, times=150):
    """What a hundred and fifty pages met with under realistic faults, all asked for at once."""
    with run_sandbox("--faults", "realistic", "--seed", str(seed)) as unreliable:
        client = httpx2.Client(base_url=unreliable.url, headers=HEADERS, trust_env=False, timeout=3)
        with client, ThreadPoolExecutor(64) as pool:
            list(pool.map(lambda _: fate(client), range(times)))
        return [entry["fault"] for entry in unreliable.requests()]


def fate(client):
    try:
        client.get(PAGE)
    except httpx2.TransportError:
        pass


def test_realistic_faults_are_few_and_the_same_for_the_same_seed():
    first = fates(seed=1)
    assert first == fates(seed=1) != fates(seed=2)
    assert 0 < sum(fault in CHANCES for fault in first) < 20
    assert set(first) - CHANCES.keys() == {"slow"}
