"""With the real Sentry SDK: what is observed within a trace leads to that trace, where Sentry has it."""

import pytest

TRACED = """
import re, sys
from wsgiref.util import setup_testing_defaults
import sentry_sdk
from django.core.wsgi import get_wsgi_application
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse
from sentry_sdk.transport import Transport
from observability import exposition

sent = []

class Kept(Transport):
    def capture_envelope(self, envelope):
        sent.append(envelope.serialize().decode())

sentry_sdk.init(dsn="http://key@127.0.0.1:9/1", transport=Kept, OPTIONS)
site = get_wsgi_application()

def get(path):
    environ = {"PATH_INFO": path, "QUERY_STRING": "", "wsgi.errors": sys.stderr}
    setup_testing_defaults(environ)
    response = site(environ, lambda *_: None)
    list(response)
    response.close()

for path in ("/ok", "/stream"):
    get(path)
sentry_sdk.flush()
text = exposition.to_openmetrics(exposition.snapshot(["http_request_duration_seconds"])).decode()
samples = [sample for family in parse(text) for sample in family.samples if sample.exemplar]
shown = {sample.labels["endpoint"]: sample.exemplar.labels["trace_id"] for sample in samples}
print(json.dumps([shown, [trace for one in sent for trace in re.findall(r'"trace_id": ?"(\\w{32})"', one)]]))
"""


@pytest.fixture
def traced(own_process):
    """``traced("traces_sample_rate=1.0")``: the trace that is shown for each endpoint, and all that Sentry got."""
    return lambda options: own_process(TRACED.replace("OPTIONS", options), ALLOWED_HOSTS="127.0.0.1")


@pytest.mark.parametrize("mode", ["", "trace_lifecycle='stream'"], ids=["transactions", "single spans"])
def test_a_request_and_a_stream_are_shown_with_the_trace_that_sentry_got(traced, mode):
    shown, got = traced(f"traces_sample_rate=1.0, {mode}")
    assert shown.keys() == {"/ok", "/stream"}
    assert shown["/ok"] != shown["/stream"]
    assert set(shown.values()) <= set(got)


@pytest.mark.parametrize("options", ["traces_sample_rate=0.0", ""], ids=["none is sampled", "tracing is off"])
def test_a_trace_that_sentry_does_not_get_is_not_shown(traced, options):
    assert traced(options) == [{}, []]
