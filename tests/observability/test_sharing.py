"""Scrapes at the same time: two at most, which share one result where they want the same."""

import threading
from contextlib import contextmanager

import prometheus_client
import pytest
from prometheus_client.core import GaugeMetricFamily

from tests.site import eventually


class Slow:
    """A collector of the host's own that waits until it is let go, and counts how often it was asked."""

    def __init__(self):
        self.asked = 0
        self.go = threading.Event()

    def collect(self):
        self.asked += 1
        assert self.go.wait(20)
        yield GaugeMetricFamily("slow", "Slow.", self.asked)

    def describe(self):
        return [GaugeMetricFamily("slow", "Slow.")]


@pytest.fixture
def slow(settings):
    settings.OBSERVABILITY = {**getattr(settings, "OBSERVABILITY", {}), "METRICS_PUBLIC": True}
    collector = Slow()
    prometheus_client.REGISTRY.register(collector)
    yield collector
    collector.go.set()
    prometheus_client.REGISTRY.unregister(collector)


@contextmanager
def scraping(client, answers, *paths):
    """Requests in threads of their own, for the length of a block."""
    threads = [threading.Thread(target=lambda path=path: answers.append(client.get(path))) for path in paths]
    for thread in threads:
        thread.start()
    yield
    for thread in threads:
        thread.join(20)


def callers():
    from observability.sharing import scrapes

    return scrapes._callers


def test_two_scrapes_at_the_same_time_share_one_result(client, slow):
    answers = []
    with scraping(client, answers, "/api/metrics", "/api/metrics"):
        eventually(callers, 2)
        slow.go.set()
    assert [answer.status_code for answer in answers] == [200, 200]
    assert answers[0].content == answers[1].content
    assert slow.asked == 1


def test_two_scrapes_that_want_different_things_get_them(client, slow):
    answers = []
    with scraping(client, answers, "/api/metrics?name[]=slow", "/api/metrics/json?name[]=slow"):
        eventually(callers, 2)
        slow.go.set()
    kinds = sorted(answer.headers["Content-Type"].partition(";")[0] for answer in answers)
    assert kinds == ["application/json", "text/plain"]


def test_a_third_scrape_is_refused_at_once_and_the_next_is_answered(client, slow):
    answers = []
    with scraping(client, answers, "/api/metrics", "/api/metrics/json"):
        eventually(callers, 2)
        refused = client.get("/api/metrics")
        assert (refused.status_code, refused.headers["Retry-After"]) == (503, "1")
        assert refused.headers["Cache-Control"] == "no-store"
        slow.go.set()
    assert [answer.status_code for answer in answers] == [200, 200]
    assert client.get("/api/metrics").status_code == 200


def test_a_scrape_that_fails_holds_no_place(client, slow, monkeypatch):
    slow.go.set()
    client.raise_request_exception = False
    monkeypatch.setattr("observability.sources.ask", lambda: 1 / 0)
    assert [client.get("/api/metrics").status_code for _ in range(3)] == [500, 500, 500]
    monkeypatch.undo()
    assert client.get("/api/metrics").status_code == 200
