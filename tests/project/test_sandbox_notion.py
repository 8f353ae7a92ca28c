"""The sandbox's Notion, over HTTP and with Notion's own client."""

import httpx2
import pytest

from project.sandbox.notion import page_id

HEADERS = {"Authorization": "Bearer any key", "Notion-Version": "2022-06-28"}


@pytest.fixture
def notion(sandbox):
    with httpx2.Client(base_url=f"{sandbox.url}/notion/v1", headers=HEADERS, trust_env=False) as client:
        yield client


def title(page):
    return page["properties"]["Name"]["title"][0]["plain_text"]


def test_a_page_has_a_title_and_blocks(notion):
    assert title(notion.get(f"/pages/{page_id(1)}").json()) == "Bakery Lindqvist"
    blocks = notion.get(f"/blocks/{page_id(1)}/children").json()["results"]
    assert blocks[0]["paragraph"]["rich_text"][1]["plain_text"] == "Uppsala"
