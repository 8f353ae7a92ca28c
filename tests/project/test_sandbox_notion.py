"""The sandbox's Notion, over HTTP and with Notion's own client."""

import httpx2
import pytest
from notion_client import Client

from project.sandbox.notion import DATA_SOURCE, DATABASE, PAGES, page_id

HEADERS = {"Authorization": "Bearer any key", "Notion-Version": "2022-06-28"}
BAKERY, SEEDS = page_id(1), page_id(3)
UNKNOWN = "00000000-0000-4000-8000-000000000000"


@pytest.fixture
def notion(sandbox):
    with httpx2.Client(base_url=f"{sandbox.url}/notion/v1", headers=HEADERS, trust_env=False) as client:
        yield client


def title(page):
    return page["properties"]["Name"]["title"][0]["plain_text"]


def text(block):
    return "".join(part["plain_text"] for part in block[block["type"]].get("rich_text", []))


def pages_of(ask):
    """All pages of a list, each as a list of results; ``ask`` gets the parameters of a request."""
    parameters = {}
    while True:
        answer = ask(parameters)
        yield answer["results"]
        if not answer["has_more"]:
            assert answer["next_cursor"] is None
            return
        parameters = {"start_cursor": answer["next_cursor"]}


def test_a_page_has_a_title_and_blocks_of_many_types(notion):
    assert title(notion.get(f"/pages/{BAKERY}").json()) == "Bakery Lindqvist"
    blocks = notion.get(f"/blocks/{BAKERY}/children").json()["results"]
    assert {"paragraph", "heading_2", "bulleted_list_item", "numbered_list_item", "quote", "divider", "to_do"} == {
        block["type"] for block in blocks
    }
    assert [part["annotations"]["bold"] for part in blocks[0]["paragraph"]["rich_text"]] == [False, True, False]


def test_a_list_within_a_list_has_to_be_asked_for(notion):
    blocks = notion.get(f"/blocks/{BAKERY}/children").json()["results"]
    [cake] = [block for block in blocks if text(block) == "People who want to order a cake"]
    assert cake["has_children"]
    inner = notion.get(f"/blocks/{cake['id']}/children").json()["results"]
    assert [text(block) for block in inner] == ["for a birthday", "for a wedding, at least two weeks before"]


def test_a_long_page_comes_in_pages_of_at_most_100_blocks(notion):
    def ask(parameters):
        return notion.get(f"/blocks/{SEEDS}/children", params=parameters).json()

    pages = list(pages_of(ask))
    assert [len(page) for page in pages] == [100, 22]
    assert len({block["id"] for page in pages for block in page}) == 122


def test_any_number_is_a_page_that_stays_the_same(notion):
    first, again, other = (notion.get(f"/pages/{page_id(number)}").json() for number in (777, 777, 778))
    assert title(first) == title(again) != title(other)
    assert notion.get(f"/blocks/{page_id(777)}/children").json()["results"]


def test_the_database_lists_pages(notion):
    def ask(parameters):
        return notion.post(f"/databases/{DATABASE}/query", json={"page_size": 90, **parameters}).json()

    pages = list(pages_of(ask))
    assert [len(page) for page in pages] == [90, 90, 70]
    assert len({page["id"] for some in pages for page in some}) == PAGES


def test_an_id_may_have_no_dashes(notion):
    assert notion.get(f"/pages/{BAKERY.replace('-', '')}").json()["id"] == BAKERY


ERRORS = [
    (f"/pages/{BAKERY}", {"Authorization": ""}, 401, "unauthorized"),
    (f"/pages/{BAKERY}", {"Notion-Version": "1999-01-01"}, 400, "validation_error"),
    (f"/pages/{UNKNOWN}", {}, 404, "object_not_found"),
    ("/pages/no-uuid", {}, 400, "validation_error"),
    (f"/blocks/{UNKNOWN}/children", {}, 404, "object_not_found"),
    (f"/blocks/{BAKERY}/children?page_size=101", {}, 400, "validation_error"),
    (f"/blocks/{BAKERY}/children?start_cursor={UNKNOWN}", {}, 400, "validation_error"),
    (f"/databases/{UNKNOWN}", {}, 404, "object_not_found"),
    ("/nothing", {}, 400, "invalid_request_url"),
]


@pytest.mark.parametrize(("path", "headers", "status", "code"), ERRORS)
def test_what_is_wrong_is_said_as_notion_says_it(notion, path, headers, status, code):
    answer = notion.get(path, headers=headers)
    assert answer.status_code == status
    assert {"object": "error", "status": status, "code": code}.items() <= answer.json().items()
    assert {"message", "request_id"} <= answer.json().keys()


def test_a_request_without_a_version_is_refused(sandbox):
    answer = httpx2.get(f"{sandbox.url}/notion/v1/pages/{BAKERY}", headers={"Authorization": "Bearer x"})
    assert (answer.status_code, answer.json()["code"]) == (400, "missing_version")


def test_a_newer_version_asks_data_sources_and_no_databases(notion):
    newer = {"Notion-Version": "2025-09-03"}
    assert notion.post(f"/databases/{DATABASE}/query", headers=newer).json()["code"] == "invalid_request_url"
    assert len(notion.post(f"/data_sources/{DATA_SOURCE}/query", headers=newer).json()["results"]) == 100
    assert notion.post(f"/data_sources/{DATA_SOURCE}/query").json()["code"] == "invalid_request_url"


def test_notions_own_client_works(sandbox):
    with Client(auth="any key", base_url=f"{sandbox.url}/notion") as client:
        database = client.databases.retrieve(DATABASE)
        found = client.data_sources.query(database["data_sources"][0]["id"], page_size=1)["results"]
        assert title(client.pages.retrieve(found[0]["id"])) == "Bakery Lindqvist"
        assert client.blocks.children.list(BAKERY)["results"]


def test_notions_own_client_waits_as_long_as_it_is_told(sandbox):
    sandbox.faults("notion", 429, retry_after=1)
    with Client(auth="any key", base_url=f"{sandbox.url}/notion") as client:
        client.pages.retrieve(BAKERY)
    first, second = sandbox.requests(operation="retrieve_page")
    assert [first["status"], second["status"]] == [429, 200]
    assert second["started"] - first["started"] >= 0.9
