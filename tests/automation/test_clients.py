"""The clients of Notion and Vercel, against the sandbox."""

import pytest

from automation.clients import Notion, ServiceError, Vercel, notion_id
from automation.errors import NotConfigured
from automation.clients.vercel import deployment_id, project_name
from observability.testing import assert_increases
from project.sandbox.notion import DATABASE, PAGES, page_id


@pytest.fixture
def waits():
    """How long clients waited between their tries; the tests do not."""
    return []


@pytest.fixture
def notion(services, waits):
    with Notion(sleep=waits.append) as client:
        yield client


@pytest.fixture
def vercel(services, waits):
    with Vercel(sleep=waits.append) as client:
        yield client


def test_a_page_has_its_title(notion):
    page = notion.page(page_id(1).replace("-", "").upper())
    assert page["id"] == page_id(1)
