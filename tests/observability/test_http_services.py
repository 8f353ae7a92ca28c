"""Requests to Notion and deployments on Vercel, seen on the way by an instrumented client."""

import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import httpx
import httpx2
import notion_client
import pytest

from observability.http import instrument, vercel
from observability.testing import assert_increases, metric_value
from project.sandbox.notion import DATA_SOURCE, page_id

NOTION, VERCEL = "https://api.notion.com/v1", "https://api.vercel.com/v13/deployments"
ID = page_id(1)


def stand_in(answer, **options):
    """An instrumented client of a stand-in that gives this answer to every request."""
    return instrument(httpx2.Client(transport=httpx2.MockTransport(answer), **options))


# Notion


@pytest.mark.parametrize(
    ("method", "path", "operation"),
    [
        ("GET", f"/pages/{ID}", "retrieve_page"),
        ("POST", "/pages", "create_page"),
        ("PATCH", f"/pages/{ID}", "update_page"),
        ("GET", f"/pages/{ID}/properties/title?page_size=1", "retrieve_page_property"),
        ("GET", f"/blocks/{ID}", "retrieve_block"),
        ("DELETE", f"/blocks/{ID}", "delete_block"),
        ("GET", f"/blocks/{ID}/children?start_cursor=x", "retrieve_block_children"),
        ("PATCH", f"/blocks/{ID}/children", "append_block_children"),
        ("POST", f"/databases/{ID}/query", "query_database"),
        ("POST", f"/data_sources/{ID}/query", "query_data_source"),
        ("POST", "/search", "search"),
        ("GET", "/users/me", "retrieve_user"),
        ("GET", "/users", "list_users"),
        ("POST", "/comments", "create_comment"),
        ("POST", f"/file_uploads/{ID}/send", "send_file_upload"),
        ("DELETE", f"/pages/{ID}", "other"),
        ("GET", "/", "other"),
        ("GET", f"/something/{ID}/new", "other"),
        ("BREW", f"/pages/{ID}", "other"),
    ],
)
def test_a_request_to_notion_is_counted_by_its_operation(method, path, operation):
    with (
        assert_increases("notion_requests_total"),
        assert_increases("notion_requests_total", operation=operation, status="success"),
        assert_increases("notion_request_duration_seconds_count", operation=operation),
        stand_in(lambda request: httpx2.Response(200)) as client,
    ):
        client.request(method, NOTION + path)


def test_notions_own_client_is_measured(sandbox):
    sandbox.faults("notion", 429, retry_after=0, match="query")
    with (
        assert_increases("notion_requests_total", by=3),
        assert_increases("notion_requests_total", operation="retrieve_page", status="success"),
        assert_increases("notion_requests_total", operation="query_data_source", status="rate_limited"),
        assert_increases("notion_requests_total", operation="query_data_source", status="success"),
        instrument(httpx.Client(), notion_url=f"{sandbox.url}/notion") as http_client,
    ):
        notion = notion_client.Client(auth="x", base_url=f"{sandbox.url}/notion", client=http_client)
        notion.pages.retrieve(ID)
        notion.data_sources.query(DATA_SOURCE)


def test_a_request_to_notion_may_fail_in_its_ways(sandbox):
    address = f"{sandbox.url}/notion"
    for fault, status in ((500, "error"), ("cut", "error"), ("timeout", "timeout"), (429, "rate_limited")):
        sandbox.faults("notion", fault)
        with (
            assert_increases("notion_requests_total", operation="retrieve_page", status=status),
            instrument(httpx2.Client(timeout=0.3 if fault == "timeout" else 30), notion_url=address) as client,
            suppress(httpx2.TransportError),
        ):
            client.get(
                f"{address}/v1/pages/{ID}", headers={"Authorization": "Bearer x", "Notion-Version": "2025-09-03"}
            )


@pytest.mark.parametrize("address", ["https://api.notion.com.evil.example/v1/users", "http://api.notion.com/v1/users"])
def test_another_address_is_another_service(address):
    with (
        assert_increases("notion_requests_total", by=0),
        stand_in(lambda request: httpx2.Response(200)) as client,
    ):
        client.get(address)


# Vercel


@pytest.fixture(autouse=True)
def nothing_unfinished():
    vercel._unfinished.clear()


def deployment(state, **values):
    return {"id": "dpl_1", "url": "x.vercel.app", "createdAt": 1_700_000_000_000, "readyState": state, **values}


def seen(*requests):
    """Let a client make these requests, each given with the deployment that it gets to see."""
    answers = iter([body for _, _, body in requests])
    with stand_in(lambda request: httpx2.Response(200, json=next(answers))) as client:
        for method, path, _ in requests:
            client.request(method, VERCEL + path)


def test_a_deployment_that_was_seen_unfinished_counts_when_it_has_ended():
    ready = deployment("READY", ready=1_700_000_048_500)
    before = metric_value("vercel_deployment_duration_seconds_sum")
    with (
        assert_increases("vercel_deployments_total"),
        assert_increases("vercel_deployments_total", status="success"),
    ):
        seen(("GET", "/dpl_1", deployment("BUILDING")), ("GET", "/dpl_1", ready), ("GET", "/dpl_1", ready))
    assert metric_value("vercel_deployment_duration_seconds_sum") - before == pytest.approx(48.5)


def test_one_that_is_ready_at_once_counts():
    with assert_increases("vercel_deployments_total", status="success"):
        seen(("POST", "?teamId=team_1", deployment("READY", ready=1_700_000_000_001)))


def test_one_that_had_ended_before_is_not_counted():
    with assert_increases("vercel_deployments_total", by=0):
        seen(("GET", "/dpl_1", deployment("READY", ready=1_700_000_048_500)), ("GET", "/dpl_1", deployment("ERROR")))


def test_a_deployment_may_be_cancelled():
    cancelled = deployment("CANCELED", canceledAt=1_700_000_003_000)
    before = metric_value("vercel_deployment_duration_seconds_sum")
    with assert_increases("vercel_deployments_total", status="cancelled"):
        seen(("POST", "", deployment("QUEUED")), ("PATCH", "/dpl_1/cancel", cancelled))
    assert metric_value("vercel_deployment_duration_seconds_sum") - before == pytest.approx(3)


def test_the_end_of_one_that_failed_is_when_it_was_seen():
    began = time.time() * 1000 - 5000
    before = metric_value("vercel_deployment_duration_seconds_sum")
    with assert_increases("vercel_deployments_total", status="failed"):
        seen(
            ("POST", "", deployment("QUEUED", createdAt=began)),
            ("GET", "/dpl_1", deployment("ERROR", createdAt=began)),
        )
    assert metric_value("vercel_deployment_duration_seconds_sum") - before == pytest.approx(5, abs=1)


def test_a_clock_that_is_ahead_makes_no_time_negative():
    with assert_increases("vercel_deployment_duration_seconds_sum", by=0):
        seen(("POST", "", deployment("READY", createdAt=2_000, ready=1_000)))


@pytest.mark.parametrize("created", [None, "yesterday", -1, 1e400])
def test_without_a_beginning_there_is_no_duration(created):
    made = deployment("READY", createdAt=created)
    with (
        assert_increases("vercel_deployments_total"),
        assert_increases("vercel_deployment_duration_seconds_count", by=0),
        assert_increases("observability_dropped_total", by=0),
        stand_in(lambda request: httpx2.Response(200, content=json.dumps(made))) as client,
    ):
        client.post(VERCEL)


def test_of_many_threads_that_see_the_end_one_counts_it():
    ready = deployment("READY", ready=1_700_000_048_500)
    at_once = threading.Barrier(8)

    def answer(request):
        if request.method == "GET":
            at_once.wait(10)
        return httpx2.Response(200, json=ready if request.method == "GET" else deployment("QUEUED"))

    with assert_increases("vercel_deployments_total"), stand_in(answer) as client, ThreadPoolExecutor(8) as pool:
        client.post(VERCEL)
        list(pool.map(client.get, [f"{VERCEL}/dpl_1"] * 8))


def test_a_host_may_count_deployments_itself():
    answers = iter([deployment("QUEUED"), deployment("READY", ready=1_700_000_002_000)])
    transport = httpx2.MockTransport(lambda request: httpx2.Response(200, json=next(answers)))
    shown = []
    with (
        assert_increases("vercel_deployments_total", by=0),
        instrument(httpx2.Client(transport=transport), on_deployment=shown.append) as client,
    ):
        client.post(VERCEL)
        client.get(f"{VERCEL}/dpl_1")
    assert [(each.id, each.outcome, each.is_new) for each in shown] == [
        ("dpl_1", None, True),
        ("dpl_1", "success", False),
    ]
    assert shown[1].duration == 2
    with assert_increases("vercel_deployments_total", status="success"):
        for each in shown:
            each.count()


def test_only_so_many_unfinished_ones_are_remembered():
    begun = [deployment("QUEUED") | {"id": f"dpl_{number}"} for number in range(vercel.MAX_UNFINISHED + 1)]
    seen(*(("POST", "", each) for each in begun))
    assert len(vercel._unfinished) == vercel.MAX_UNFINISHED
    with assert_increases("vercel_deployments_total"):
        seen(*(("GET", "/x", each | {"readyState": "READY"}) for each in (begun[0], begun[-1])))


@pytest.mark.parametrize(
    ("method", "path"), [("GET", ""), ("GET", "/dpl_1/events"), ("DELETE", "/dpl_1"), ("POST", "/dpl_1/aliases")]
)
def test_what_is_not_about_the_state_of_one_deployment_passes_unseen(method, path):
    with assert_increases("vercel_deployments_total", by=0):
        seen((method, path, deployment("QUEUED")))
        seen((method, path, deployment("READY")))


@pytest.mark.parametrize("body", [b"", b"garbage", b"[]", b'{"id": 7, "readyState": "READY"}', b'{"readyState": []}'])
def test_an_answer_of_another_shape_harms_nobody(body):
    with (
        assert_increases("vercel_deployments_total", by=0),
        assert_increases("observability_dropped_total", by=0),
        stand_in(lambda request: httpx2.Response(200, content=body)) as client,
    ):
        assert client.post(VERCEL).content == body


def test_a_refusal_is_no_deployment():
    with (
        assert_increases("vercel_deployments_total", by=0),
        stand_in(lambda request: httpx2.Response(500, json=deployment("ERROR"))) as client,
    ):
        client.post(VERCEL)
