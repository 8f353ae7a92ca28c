"""The clients of Notion and Vercel."""

import json
import logging
import re
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from automation import conf
from automation.clients import Notion, ServiceError, Vercel, notion_id
from automation.clients.http import TRIES, TimedOut
from automation.clients.vercel import deployment_id, project_name
from automation.errors import NotConfigured
from observability.metrics import expected
from observability.testing import assert_increases, metric_value
from project.sandbox.notion import DATABASE, PAGES, page_id
from tests.automation.conftest import KEYS
from tests.canned import answer, canned
from tests.site import eventually

SEEDS = page_id(3)
PAGE = {"object": "page", "properties": {}}
FILES = {"index.html": b"<h1>Bakery</h1>", "logo.png": b"\x89PNG\xff"}


@pytest.fixture
def notion(services, waits):
    with Notion(sleep=waits.append) as client:
        yield client


@pytest.fixture
def vercel(services, waits):
    with Vercel(sleep=waits.append) as client:
        yield client


def refusal(call, *arguments):
    """What a call raises; no error quotes a key, or leads to something that does."""
    with pytest.raises(ServiceError) as caught:
        call(*arguments)
    error = caught.value
    assert error.__cause__ is None
    assert error.__suppress_context__ or error.__context__ is None
    assert not any(key in repr(vars(error)) + str(error) for key in KEYS.values())
    return error


# Notion


def test_a_page_is_found_by_its_id_with_or_without_dashes(notion):
    assert notion.page(page_id(1))["id"] == page_id(1)
    assert notion.page(page_id(1).replace("-", "").upper())["id"] == page_id(1)


def test_all_blocks_of_a_long_page_are_read_with_those_within_them(notion, services):
    def count(blocks):
        return sum(1 + count(block.get("children", [])) for block in blocks)

    blocks = notion.blocks(SEEDS)
    assert len(blocks) > 100
    assert all(bool(block.get("children")) == block["has_children"] for block in blocks)
    asked = services.requests(operation="retrieve_block_children")
    assert len(asked) == -(-len(blocks) // 100) + count(blocks) - sum(
        1 for block in walk(blocks) if not block["has_children"]
    )


def walk(blocks):
    for block in blocks:
        yield block
        yield from walk(block.get("children", []))


def test_all_pages_of_a_database_are_found(notion, services):
    pages = list(notion.query_database(DATABASE))
    assert len({page["id"] for page in pages}) == PAGES
    assert len(services.requests(operation="query_data_source")) == -(-PAGES // 100)


@pytest.mark.parametrize(
    "wrong", ["", "../users", f"{page_id(1)}/children", f" {page_id(1)}", "9a9e0000?x=1", "x" * 32]
)
def test_what_is_no_id_of_notion_is_not_asked_for(notion, services, wrong):
    for ask in (notion.page, notion.blocks, lambda wrong: list(notion.query_database(wrong)), notion_id):
        with pytest.raises(ValueError):
            ask(wrong)
    assert services.requests() == []


def test_each_request_to_notion_is_counted_by_operation_and_status(notion, services):
    services.faults("notion", 429, retry_after=1)
    services.faults("notion", 500)
    with (
        assert_increases("notion_requests_total", by=3),
        assert_increases("notion_requests_total", operation="retrieve_page", status="rate_limited"),
        assert_increases("notion_requests_total", operation="retrieve_page", status="error"),
        assert_increases("notion_requests_total", operation="retrieve_page", status="success"),
        assert_increases("notion_request_duration_seconds_count", by=3, operation="retrieve_page"),
    ):
        notion.page(page_id(1))


def test_what_is_asked_of_notion_is_counted_from_0(notion, services):
    list(notion.query_database(DATABASE))
    notion.blocks(page_id(1))
    notion.page(page_id(1))
    asked = {entry["operation"] for entry in services.requests()}
    assert asked == set(Notion.operations) <= set(expected("operation"))


# Errors that pass, and errors that do not


def test_a_call_waits_as_long_as_it_is_asked_to(notion, services, waits):
    services.faults("notion", 429, retry_after=7)
    assert notion.page(page_id(1))["id"] == page_id(1)
    assert len(waits) == 1
    assert 7 < waits[0] < 8


def test_a_call_waits_until_the_time_it_is_given(settings, waits):
    then = format_datetime(datetime.now(UTC) + timedelta(seconds=25), usegmt=True)
    refused = answer("{}", "503 Service Unavailable", Retry_After=then)
    with canned(refused, answer(json.dumps(PAGE))) as server:
        settings.AUTOMATION = KEYS | {"NOTION_URL": server.url}
        with Notion(sleep=waits.append) as notion:
            assert notion.page(page_id(1)) == PAGE
    assert len(waits) == 1
    assert 10 < waits[0] < 26


@pytest.mark.parametrize(
    "garbage",
    ["soon", "Mon, 01 Jan 2026 00:00:00 +9999999999999", "nan", "-5", "1e999", "Wed, 99 Nov 2026 00:00:00 GMT"],
)
def test_a_retry_after_that_says_nothing_is_none(settings, waits, garbage):
    with canned(answer("{}", "500 Oops", Retry_After=garbage), answer(json.dumps(PAGE))) as server:
        settings.AUTOMATION = KEYS | {"NOTION_URL": server.url}
        with Notion(sleep=waits.append) as notion:
            assert notion.page(page_id(1)) == PAGE
    assert len(waits) == 1
    assert waits[0] < 1


def test_a_service_that_asks_for_a_long_wait_is_left_to_the_step(notion, services, waits):
    services.faults("notion", 429, retry_after=3600)
    error = refusal(notion.page, page_id(1))
    assert (error.retriable, error.retry_after, waits) == (True, 3600, [])


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504, 529])
def test_a_call_is_made_a_few_times_and_then_the_step_is_told_that_it_may_pass(notion, services, waits, status):
    services.faults("notion", status, times=None)
    error = refusal(notion.page, page_id(1))
    assert (error.status, error.retriable) == (status, True)
    assert len(services.requests()) == TRIES
    assert waits == sorted(waits)
    assert len(waits) == TRIES - 1


@pytest.mark.parametrize("status", [400, 401, 403, 404])
def test_what_does_not_pass_is_not_tried_again(notion, services, waits, status):
    services.faults("notion", status)
    error = refusal(notion.page, page_id(1))
    assert (error.status, error.retriable, waits) == (status, False, [])
    assert len(services.requests()) == 1


@pytest.mark.parametrize("fault", ["cut", "garbage"])
def test_an_answer_that_is_of_no_use_is_asked_for_again(notion, services, fault):
    services.faults("notion", fault)
    assert len(list(notion.query_database(DATABASE))) == PAGES

    services.faults("notion", fault, times=None)
    assert refusal(lambda: list(notion.query_database(DATABASE))).retriable


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("fault", ["timeout", "drip"])
def test_an_answer_that_takes_too_long_is_given_up(notion, services, fault):
    services.faults("notion", fault, seconds=30, times=None)
    error = refusal(notion.page, page_id(1))
    assert (type(error), error.retriable) == (TimedOut, True)
    assert len(services.requests()) == TRIES


def test_an_answer_of_another_shape_is_an_error_that_may_pass(notion, vercel, services):
    made = vercel.create_deployment("bakery", FILES)
    for service, ask in (
        ("notion", lambda: notion.page(page_id(1))),
        ("notion", lambda: notion.blocks(page_id(1))),
        ("notion", lambda: list(notion.query_database(DATABASE))),
        ("vercel", lambda: vercel.deployment(made["id"])),
        ("vercel", lambda: list(vercel.projects())),
    ):
        services.faults(service, "wrong_shape")
        assert refusal(ask).retriable


def test_an_error_says_which_call_which_status_and_which_request(notion):
    unknown = page_id(1).replace("9a9e", "0000")
    error = refusal(notion.page, unknown)
    sentence = r"Notion retrieve_page failed: HTTP 404 object_not_found \(Could not find page .*\) \(request (\w+)\)"
    assert re.fullmatch(sentence, str(error))[1] == error.request_id


def test_nobody_there_is_an_error_that_may_pass(settings, waits):
    with canned() as server:
        pass
    settings.AUTOMATION = KEYS | {"NOTION_URL": server.url}
    with Notion(sleep=waits.append) as notion:
        error = refusal(notion.page, page_id(1))
    assert (error.retriable, error.without_effect, len(waits)) == (True, True, TRIES - 1)


def test_no_redirect_takes_the_key_elsewhere(settings):
    with canned(answer("")) as elsewhere, canned(answer("", "307 Moved", Location=f"{elsewhere.url}/x")) as server:
        settings.AUTOMATION = KEYS | {"NOTION_URL": server.url}
        with Notion() as notion:
            error = refusal(notion.page, page_id(1))
    assert (error.status, error.retriable) == (307, False)
    assert elsewhere.requests == []


def test_a_service_that_quotes_the_key_is_not_quoted(settings):
    body = f'{{"error": {{"code": "invalid_api_key", "message": "Wrong: {KEYS["VERCEL_TOKEN"]}"}}}}'
    with canned(answer(body, "401 Unauthorized")) as server:
        settings.AUTOMATION = KEYS | {"VERCEL_URL": server.url}
        with Vercel() as vercel:
            error = refusal(vercel.project, "bakery")
    assert str(error) == "Vercel get_project failed: HTTP 401 invalid_api_key"


def test_no_log_has_a_key_in_it(notion, vercel, services, caplog):
    caplog.set_level(logging.DEBUG)
    for fault in (401, 429, "cut", "garbage"):
        services.faults("notion", fault, times=None)
        services.faults("vercel", fault, times=None)
        refusal(notion.page, page_id(1))
        refusal(vercel.project, "bakery")
        services.clear()
    assert "receive_response_headers" in caplog.text
    assert [key for key in KEYS.values() if key in caplog.text] == []


@pytest.mark.parametrize("key", ["", "two words", "line\n", "kéy"])
def test_a_client_without_a_usable_key_says_which_setting_to_mend(settings, key):
    settings.AUTOMATION = {"NOTION_TOKEN": key}
    with pytest.raises(NotConfigured, match=r"NOTION_TOKEN (is not set|has characters that no key has)\."):
        Notion()


def test_a_bypass_secret_that_no_header_can_hold_is_named_and_not_quoted(settings):
    settings.AUTOMATION = {"VERCEL_AUTOMATION_BYPASS_SECRET": "secret\n"}
    with pytest.raises(NotConfigured, match=r"^VERCEL_AUTOMATION_BYPASS_SECRET has characters that no key has\.$"):
        conf.vercel_bypass()


def test_an_address_has_to_be_one(settings):
    settings.AUTOMATION = KEYS | {"NOTION_URL": "localhost:8100"}
    with pytest.raises(NotConfigured, match="'localhost:8100' is no address of a service"):
        Notion()


# Vercel


def state(vercel, deployment):
    return vercel.deployment(deployment["id"])["readyState"]


@pytest.mark.parametrize(
    ("fault", "end", "status"),
    [(None, "READY", "success"), ("build_error", "ERROR", "failed"), ("build_canceled", "CANCELED", "cancelled")],
)
def test_a_deployment_is_counted_once_when_it_has_ended(vercel, services, fault, end, status):
    if fault:
        services.faults("vercel", fault)
    took = metric_value("vercel_deployment_duration_seconds_sum")
    with (
        assert_increases("vercel_deployments_total"),
        assert_increases("vercel_deployments_total", status=status),
        assert_increases("vercel_deployment_duration_seconds_count"),
    ):
        made = vercel.create_deployment("bakery", FILES)
        eventually(lambda: state(vercel, made), end)
        for _ in range(3):
            vercel.deployment(made["id"])
    took = metric_value("vercel_deployment_duration_seconds_sum") - took
    assert 0.19 < took < (20 if end == "ERROR" else 0.21)  # Vercel does not tell when a build failed


def test_what_is_deployed_is_served_as_it_was_given(vercel, services):
    made = vercel.create_deployment("bakery", FILES)
    eventually(lambda: state(vercel, made), "READY")
    for path, content in FILES.items():
        assert services.client.get(f"/_deployments/{made['url']}/{path}").content == content


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("fault", [500, 503, "cut", "garbage", "wrong_shape", "timeout"])
def test_a_deployment_that_may_have_been_made_is_not_asked_for_again(vercel, services, waits, fault):
    services.faults("vercel", fault)
    error = refusal(vercel.create_deployment, "bakery", FILES)
    assert (error.retriable, waits) == (False, [])
    assert len(services.requests()) == 1


def test_a_deployment_that_was_surely_not_made_is_asked_for_again(vercel, services):
    services.faults("vercel", 429, retry_after=1)
    assert vercel.create_deployment("bakery", FILES)["id"]
    services.faults("vercel", 429, times=None)
    assert refusal(vercel.create_deployment, "bakery", FILES).retriable


def test_all_projects_of_the_team_are_found(vercel, services, settings, waits):
    settings.AUTOMATION = settings.AUTOMATION | {"VERCEL_TEAM": "team_of_the_tests"}
    with Vercel(sleep=waits.append) as client:
        for number in range(101):
            client.create_deployment(f"site-{number}", FILES)
        names = [project["name"] for project in client.projects()]
        site = client.project("site-7")
        assert (site["name"], client.project(site["id"])) == ("site-7", site)
    assert names == [f"site-{number}" for number in reversed(range(101))]
    assert refusal(vercel.project, "site-7").status == 404


@pytest.mark.parametrize("wrong", ["", "dpl_", "dpl_../x", "dpl_1?teamId=x", "https://evil.example", "dpl_é"])
def test_what_is_no_id_of_a_deployment_is_not_asked_for(vercel, services, wrong):
    for ask in (vercel.deployment, deployment_id):
        with pytest.raises(ValueError):
            ask(wrong)
    assert services.requests() == []


@pytest.mark.parametrize("wrong", ["", "Bakery", "a/b", "..", "a---b", "x" * 101, "bakery?"])
def test_what_is_no_name_of_a_project_is_not_asked_for(vercel, services, wrong):
    for ask in (vercel.project, lambda name: vercel.create_deployment(name, FILES), project_name):
        with pytest.raises(ValueError):
            ask(wrong)
    assert services.requests() == []


def test_a_project_may_be_looked_at_by_its_id_and_not_be_made_by_one(vercel, services):
    assert refusal(vercel.project, "prj_Bakery1").status == 404
    with pytest.raises(ValueError):
        vercel.create_deployment("prj_Bakery1", FILES)
    assert [entry["operation"] for entry in services.requests()] == ["get_project"]
