"""Requests to Notion, by the names that its reference gives to its operations."""

from __future__ import annotations

from types import ModuleType
from typing import TYPE_CHECKING

from observability.metrics import MetricsCollector

from .exchange import Exchange

if TYPE_CHECKING:
    from httpx2 import Request

URL = "https://api.notion.com"
OTHER = "other"
# https://developers.notion.com/reference; * stands for an id
OPERATIONS = {
    "GET pages/*": "retrieve_page",
    "POST pages": "create_page",
    "PATCH pages/*": "update_page",
    "GET pages/*/properties/*": "retrieve_page_property",
    "GET blocks/*": "retrieve_block",
    "PATCH blocks/*": "update_block",
    "DELETE blocks/*": "delete_block",
    "GET blocks/*/children": "retrieve_block_children",
    "PATCH blocks/*/children": "append_block_children",
    "POST databases": "create_database",
    "GET databases/*": "retrieve_database",
    "PATCH databases/*": "update_database",
    "POST databases/*/query": "query_database",
    "POST data_sources": "create_data_source",
    "GET data_sources/*": "retrieve_data_source",
    "PATCH data_sources/*": "update_data_source",
    "POST data_sources/*/query": "query_data_source",
    "POST search": "search",
    "GET users": "list_users",
    "GET users/*": "retrieve_user",
    "GET comments": "list_comments",
    "POST comments": "create_comment",
    "POST file_uploads": "create_file_upload",
    "GET file_uploads/*": "retrieve_file_upload",
    "POST file_uploads/*/send": "send_file_upload",
    "POST file_uploads/*/complete": "complete_file_upload",
}


def begin(request: Request, library: ModuleType) -> Exchange:
    return NotionExchange(request, library)


class NotionExchange(Exchange):
    """One observation by operation and status."""

    def report(self) -> None:
        operation = operation_of(self.request.method, self.request.url.path)
        MetricsCollector.record_notion_request(operation, self.status, self.duration)


def operation_of(method: str, path: str) -> str:
    """The name of an operation, out of a closed set; every second part of a path is an id."""
    parts = path.partition("/v1/")[2].strip("/").split("/")
    parts[1::2] = ["*"] * len(parts[1::2])
    return OPERATIONS.get(f"{method} {'/'.join(parts)}", OTHER)
