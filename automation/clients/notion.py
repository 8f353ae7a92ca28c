"""Notion: pages, their blocks, and the pages of a database. https://developers.notion.com/reference"""

import re
import time
from collections.abc import Iterator
from typing import Any

import httpx2

from automation import conf
from automation.clients.http import Service, ServiceError, Sleep, timeouts, tls
from observability.http import instrument

VERSION = "2025-09-03"
PAGE_SIZE = 100  # the most that Notion gives at once
MAX_ITEMS = 10_000  # of one list, and of all blocks of one page
MAX_DEPTH = 10  # of blocks within blocks
PAGES_OF_THEIR_OWN = {"child_page", "child_database"}
ID = re.compile(r"([0-9a-f]{8})-?([0-9a-f]{4})-?([0-9a-f]{4})-?([0-9a-f]{4})-?([0-9a-f]{12})", re.IGNORECASE)


def notion_id(text: str) -> str:
    """Return an id of Notion in its usual form; what is none is a ValueError."""
    match = ID.fullmatch(text)
    if match is None:
        raise ValueError("must be an id of Notion: 32 hexadecimal digits, with or without dashes")
    return "-".join(match.groups()).lower()


class Notion(Service):
    """What an integration may see."""

    name = "Notion"
    operations = ("retrieve_page", "retrieve_block_children", "retrieve_database", "query_data_source")

    def __init__(self, sleep: Sleep = time.sleep) -> None:
        access, timeout = conf.notion(), conf.call_timeout()
        headers = {"Authorization": f"Bearer {access.key}", "Notion-Version": VERSION}
        client = httpx2.Client(base_url=access.url, headers=headers, verify=tls(), timeout=timeouts(timeout))
        super().__init__(instrument(client, notion_url=access.url), timeout, sleep)

    def page(self, page_id: str) -> dict[str, Any]:
        """Return a page with its properties."""
        page = self._call("retrieve_page", "GET", f"/v1/pages/{notion_id(page_id)}")
        if not isinstance(page.get("properties"), dict):
            raise _odd("retrieve_page", "is no page")
        return page

    def blocks(self, block_id: str) -> list[dict[str, Any]]:
        """Return the blocks of a page or block, each with those within it as `children`."""
        left = [MAX_ITEMS]
        return self._blocks(notion_id(block_id), 1, left)

    def query_database(self, database_id: str, **query: Any) -> Iterator[dict[str, Any]]:
        """Yield the pages of all data sources of a database; `query` is Notion's own, as `filter` and `sorts`."""
        database = self._call("retrieve_database", "GET", f"/v1/databases/{notion_id(database_id)}")
        for source in _of("retrieve_database", database, "data_sources"):
            path = f"/v1/data_sources/{_id('retrieve_database', source)}/query"
            yield from self._list("query_data_source", "POST", path, query)

    def _blocks(self, block_id: str, depth: int, left: list[int]) -> list[dict[str, Any]]:
        blocks = []
        for block in self._list("retrieve_block_children", "GET", f"/v1/blocks/{block_id}/children", {}):
            left[0] -= 1
            if left[0] < 0 or depth > MAX_DEPTH:
                raise ServiceError("Notion retrieve_block_children", "the page has too many blocks")
            if block.get("has_children") and block.get("type") not in PAGES_OF_THEIR_OWN:
                block["children"] = self._blocks(_id("retrieve_block_children", block), depth + 1, left)
            blocks.append(block)
        return blocks

    def _list(self, operation: str, method: str, path: str, query: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """Yield the items of all parts of a list."""
        cursor: Any = None
        for _ in range(MAX_ITEMS // PAGE_SIZE):
            asked = query | {"page_size": PAGE_SIZE} | ({"start_cursor": cursor} if cursor else {})
            options: dict[str, Any] = {"params" if method == "GET" else "json": asked}
            part = self._call(operation, method, path, **options)
            yield from _of(operation, part, "results")
            cursor = part.get("next_cursor") if part.get("has_more") else None
            if not cursor:
                return
        raise ServiceError(f"Notion {operation}", "the list is too long")


def _of(operation: str, answer: dict[str, Any], name: str) -> list[dict[str, Any]]:
    items = answer.get(name)
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        raise _odd(operation, f"has no list of {name}")
    return items


def _id(operation: str, item: dict[str, Any]) -> str:
    try:
        return notion_id(str(item.get("id")))
    except ValueError:
        raise _odd(operation, "has an item without an id") from None


def _odd(operation: str, what: str) -> ServiceError:
    return ServiceError(f"Notion {operation}", f"the answer {what}", retriable=True)
