"""With the real SDK and a real receiver: what is sent, once, and what is not."""

import pytest

from tests.sentry import exception, frames

RELEASE = {"APP_VERSION": "2026.11", "ENVIRONMENT": "staging"}


@pytest.fixture
def environment(sentry):
    """Of a deployment that sends all to the receiver."""
    return {
        "SENTRY_DSN": sentry.dsn,
        "SENTRY_TRACES_SAMPLE_RATE": "1",
        "DJANGO_SETTINGS_MODULE": "tests.observability.site_settings",
        **RELEASE,
    }


@pytest.mark.parametrize(("asgi", "path"), [(False, "/fail"), (True, "/fail"), (True, "/async/fail")])
def test_an_error_in_a_view_comes_once_with_all_that_leads_to_it(site, sentry, environment, asgi, path):
    with site(env=environment, workers=1, asgi=asgi, database=False, redis=False) as running:
        answer = running.get(path, headers={"X-Request-ID": "asked-by-a-test"})
        assert answer.status_code == 500
        [event] = sentry.wait("event")
        [transaction] = sentry.wait("transaction")
    assert exception(event)["value"] == "the view's own fault"
    assert frames(event)[-1] == path.strip("/").replace("/", "_")
    for item in (event, transaction):
        assert (item["release"], item["environment"]) == ("2026.11", "staging")
        assert item["tags"]["request_id"] == "asked-by-a-test"
        assert item["transaction"] == path
    assert event["contexts"]["trace"]["trace_id"] == transaction["contexts"]["trace"]["trace_id"]
