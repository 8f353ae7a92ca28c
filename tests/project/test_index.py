"""The page at ``/``."""

import re

import pytest


def links(response):
    return re.findall(r'<a href="([^"]+)"', response.content.decode())


def test_it_lists_addresses(client):
    assert {"/api/metrics", "/api/metrics/health", "/api/health", "/admin/"} <= set(links(client.get("/")))


@pytest.mark.django_db
def test_each_address_leads_somewhere(client, admin_client):
    for address in links(client.get("/")):
        assert admin_client.get(address).status_code == 200, address


def test_nothing_in_it_needs_an_inline_script_or_style(client):
    page = client.get("/").content.decode()
    assert "<script" not in page
    assert "<style" not in page
    assert not re.search(r"\s(style|on\w+)=", page)


def test_its_files_are_served(client):
    page = client.get("/").content.decode()
    for address in re.findall(r'<link [^>]*href="([^"]+)"', page):
        assert b"".join(client.get(address).streaming_content), address


def test_it_answers_head_and_refuses_post(client):
    assert client.head("/").status_code == 200
    assert client.post("/").status_code == 405
