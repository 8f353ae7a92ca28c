"""Notion: pages, their blocks, and the database (data source) that lists them.

Shapes: https://developers.notion.com/reference. Pages have the ids of ``page_id``; the id of a block says where it is,
so that nothing has to be kept.
"""

import re
from typing import Any

from project.sandbox.briefs import Block, brief, rich_text
from project.sandbox.core import Answer, Refusal, Request, Service, new_id, to_json

PAGES = 250  # that the database lists; any other number is a page as well
DATABASE = "da7aba5e-0000-4000-8000-000000000001"
DATA_SOURCE = "da7a5002-0000-4000-8000-000000000001"
USER = {"object": "user", "id": "05e20000-0000-4000-8000-000000000001"}
WHEN = "2025-11-03T09:00:00.000Z"
VERSIONS = {"2022-02-22", "2022-06-28", "2025-09-03", "2026-03-11"}
WITH_DATA_SOURCES = "2025-09-03"  # since this version a database holds data sources, which are what can be queried

ID = re.compile(r"([0-9a-f]{8})-?([0-9a-f]{4})-?([0-9a-f]{4})-?([0-9a-f]{4})-?([0-9a-f]{12})", re.IGNORECASE)
PAGE_ID = re.compile(r"9a9e0000-0000-4000-8000-([0-9a-f]{12})")
BLOCK_ID = re.compile(r"b10c([0-9a-f]{4})-0000-4000-8000-([0-9a-f]{12})")
CODES = {
    400: "validation_error",
    401: "unauthorized",
    403: "restricted_resource",
    404: "object_not_found",
    409: "conflict_error",
    429: "rate_limited",
    500: "internal_server_error",
    502: "bad_gateway",
    503: "service_unavailable",
    504: "gateway_timeout",
}


def page_id(number: int) -> str:
    """The id of a page: the first are the built-in briefs, further ones are made from their number."""
    return f"9a9e0000-0000-4000-8000-{number:012x}"


class Notion(Service):
    """Read-only, and every key may see everything."""

    name = "notion"
    routes = (
        ("GET", r"/v1/pages/(?P<given>[^/]+)", "retrieve_page"),
        ("GET", r"/v1/blocks/(?P<given>[^/]+)/children", "retrieve_block_children"),
        ("GET", r"/v1/databases/(?P<given>[^/]+)", "retrieve_database"),
        ("POST", r"/v1/databases/(?P<given>[^/]+)/query", "query_database"),
        ("POST", r"/v1/data_sources/(?P<given>[^/]+)/query", "query_data_source"),
    )

    def refused(self, refusal: Refusal) -> Answer:
        code = refusal.code or CODES.get(refusal.status, "invalid_request")
        body = {"object": "error", "status": refusal.status, "code": code, "message": refusal.message}
        return _object(body, refusal.status, refusal.headers)

    def authorize(self, request: Request) -> None:
        if not request.bearer:
            raise Refusal(401, "API token is invalid.")
        given = request.headers.get("notion-version")
        if given is None:
            problem = "Notion-Version header should be defined, instead was `undefined`."
            raise Refusal(400, f"Notion-Version header failed validation: {problem}", "missing_version")
        if given not in VERSIONS:
            raise Refusal(400, f"Notion-Version header failed validation: {given!r} is no version.")

    def unknown(self, request: Request) -> Answer:
        raise Refusal(400, "Invalid request URL.", "invalid_request_url")

    def retrieve_page(self, request: Request, given: str) -> Answer:
        identifier = _uuid(given, "page_id")
        return _object(_page(_page_number(identifier)))

    def retrieve_block_children(self, request: Request, given: str) -> Answer:
        identifier = _uuid(given, "block_id")
        if match := BLOCK_ID.fullmatch(identifier):
            page, index = int(match[2], 16), int(match[1], 16)
        else:
            page, index = _page_number(identifier, "block"), None
        blocks = brief(page).blocks
        if index is not None and index >= len(blocks):
            raise _not_found("block", identifier)
        shown = [_block(page, block) for block in blocks if block.parent == index]
        return _list("block", shown, request.query)

    def retrieve_database(self, request: Request, given: str) -> Answer:
        if (identifier := _uuid(given, "database_id")) != DATABASE:
            raise _not_found("database", identifier)
        database = {"object": "database", "id": DATABASE, "title": rich_text("Briefs"), "in_trash": False}
        return _object(database | {"data_sources": [{"id": DATA_SOURCE, "name": "Briefs"}]})

    def query_database(self, request: Request, given: str) -> Answer:
        if request.headers["notion-version"] >= WITH_DATA_SOURCES:
            raise Refusal(400, "Invalid request URL.", "invalid_request_url")
        return self._query(request, "database", given, DATABASE)

    def query_data_source(self, request: Request, given: str) -> Answer:
        if request.headers["notion-version"] < WITH_DATA_SOURCES:
            raise Refusal(400, "Invalid request URL.", "invalid_request_url")
        return self._query(request, "data_source", given, DATA_SOURCE)

    def _query(self, request: Request, kind: str, given: str, only: str) -> Answer:
        if (identifier := _uuid(given, f"{kind}_id")) != only:
            raise _not_found(kind, identifier)
        return _list("page_or_data_source", [_page(number) for number in range(1, PAGES + 1)], request.json)


def _object(value: dict[str, Any], status: int = 200, headers: dict[str, str] | None = None) -> Answer:
    request_id = new_id()
    headers = {"x-notion-request-id": request_id} | (headers or {})
    return to_json(value | {"request_id": request_id}, status, headers)


def _list(kind: str, items: list[dict[str, Any]], parameters: dict[str, Any]) -> Answer:
    """The page of a list that was asked for; the cursor is the id of the next item."""
    size = _size(parameters.get("page_size", 100))
    ids = [item["id"] for item in items]
    cursor = parameters.get("start_cursor")
    if cursor is not None and cursor not in ids:
        raise Refusal(400, f"The start_cursor provided is invalid: {cursor}")
    start = ids.index(cursor) if cursor else 0
    following = ids[start + size : start + size + 1]
    found = {"object": "list", "results": items[start : start + size], "type": kind, kind: {}}
    return _object(found | {"has_more": bool(following), "next_cursor": following[0] if following else None})


def _size(given: Any) -> int:
    if not str(given).isdecimal() or not 0 < int(given) <= 100:
        raise Refusal(400, f"page_size failed validation: should be a number from 1 to 100, instead was `{given}`.")
    return int(given)


def _uuid(given: str, name: str) -> str:
    match = ID.fullmatch(given)
    if match is None:
        raise Refusal(400, f'path failed validation: path.{name} should be a valid uuid, instead was `"{given}"`.')
    return "-".join(match.groups()).lower()


def _page_number(identifier: str, kind: str = "page") -> int:
    match = PAGE_ID.fullmatch(identifier)
    if match is None:
        raise _not_found(kind, identifier)
    return int(match[1], 16)


def _not_found(kind: str, identifier: str) -> Refusal:
    advice = "Make sure the relevant pages and databases are shared with your integration."
    return Refusal(404, f"Could not find {kind} with ID: {identifier}. {advice}")


def _page(number: int) -> dict[str, Any]:
    title = brief(number).title
    return {
        "object": "page",
        "id": page_id(number),
        **_edited(),
        "cover": None,
        "icon": None,
        "parent": {"type": "data_source_id", "data_source_id": DATA_SOURCE, "database_id": DATABASE},
        "properties": {"Name": {"id": "title", "type": "title", "title": rich_text(title)}},
        "url": f"https://www.notion.so/{page_id(number).replace('-', '')}",
        "public_url": None,
    }


def _block(page: int, block: Block) -> dict[str, Any]:
    parent = {"type": "page_id", "page_id": page_id(page)}
    if block.parent is not None:
        parent = {"type": "block_id", "block_id": _block_id(page, block.parent)}
    return {
        "object": "block",
        "id": _block_id(page, block.index),
        "parent": parent,
        **_edited(),
        "has_children": block.has_children,
        "type": block.type,
        block.type: block.content,
    }


def _block_id(page: int, index: int) -> str:
    return f"b10c{index:04x}-0000-4000-8000-{page:012x}"


def _edited() -> dict[str, Any]:
    by = {"created_by": USER, "last_edited_by": USER}
    return {"created_time": WHEN, "last_edited_time": WHEN, **by, "archived": False, "in_trash": False}
