"""With the real SDK and a real receiver: what is sent, once, and what is not."""

import json
import os
import subprocess
import sys

import pytest

from tests.canned import answer, canned
from tests.sentry import exception, frames
from tests.site import ROOT

RELEASE = {"APP_VERSION": "2026.11", "ENVIRONMENT": "staging"}
SITE = "tests.observability.site_settings"


@pytest.fixture
def environment(sentry):
    """Of a deployment that sends all to the receiver."""
    return {
        "SENTRY_DSN": sentry.dsn,
        "SENTRY_TRACES_SAMPLE_RATE": "1",
        "DJANGO_SETTINGS_MODULE": SITE,
        **RELEASE,
    }


@pytest.fixture
def deployment(site, environment):
    with site(env=environment, workers=1, database=False, redis=False) as started:
        yield started


# Errors, once


@pytest.mark.parametrize(("asgi", "path"), [(False, "/fail"), (True, "/fail"), (True, "/async/fail")])
def test_an_error_in_a_view_comes_once_with_all_that_leads_to_it(site, sentry, environment, asgi, path):
    with site(env=environment, workers=1, asgi=asgi, database=False, redis=False) as started:
        answer = started.get(path, headers={"X-Request-ID": "asked-by-a-test"})
        [event] = sentry.wait("event")
        [transaction] = sentry.wait("transaction")
    assert exception(event)["value"] == "the view's own fault"
    assert frames(event)[-1] == path.strip("/").replace("/", "_")
    for item in (event, transaction):
        assert (item["release"], item["environment"]) == ("2026.11", "staging")
        assert item["tags"]["request_id"] == "asked-by-a-test"
        assert item["transaction"] == path
    assert event["contexts"]["trace"]["trace_id"] == transaction["contexts"]["trace"]["trace_id"]
    assert answer.status_code == 500
    assert f"<code>{event['event_id']}</code>" in answer.text
    assert "<code>asked-by-a-test</code>" in answer.text


def test_an_error_in_a_command_comes_once(deployment, sentry):
    done = deployment.manage("shell", "-c", "1 / 0")
    [event] = sentry.wait("event")
    assert done.returncode == 1
    assert exception(event)["type"] == "ZeroDivisionError"
    assert (event["release"], event["environment"]) == ("2026.11", "staging")
    assert "trace_id" in event["contexts"]["trace"]


def test_a_mistake_of_who_calls_a_command_is_no_event(deployment, sentry):
    assert deployment.manage("run_job", "no_such_type").returncode == 1
    assert sentry.wait("event", number=0) == []


STARTED = """
import asyncio
from django.core.asgi import get_asgi_application
from observability.sentry import capture_message
try:
    asyncio.run(get_asgi_application()({"type": "lifespan"}, None, None))
except ValueError:  # so says Django, and uvicorn goes on without
    capture_message("started")
"""


def test_the_start_of_a_server_that_asks_for_the_protocol_lifespan_is_no_error(deployment, sentry):
    assert deployment.manage("shell", "-c", STARTED).returncode == 0
    [event] = sentry.wait("event")
    assert event["message"] == "started"


RECEIVER = """
from django.dispatch import Signal
from observability.signals import job_finished

def fails(**kwargs):
    raise RuntimeError("the receiver's own fault")

job_finished.connect(fails)
job_finished.send_robust(None, instance=None, job_type="a", status="success")
"""


def test_an_error_in_a_signal_receiver_comes_once(deployment, sentry):
    assert deployment.manage("shell", "-c", RECEIVER).returncode == 0
    [event] = sentry.wait("event")
    assert exception(event)["value"] == "the receiver's own fault"
    assert frames(event)[-1] == "fails"
    assert event["release"] == "2026.11"


# Off, or not as expected

MODULES = "import sys; print(json.dumps([name for name in sys.modules if name.startswith('sentry_sdk')]))"
CAPTURE = """
from observability.sentry import capture_exception, capture_message, init_sentry, last_event_id
print(json.dumps([init_sentry(), capture_exception(ValueError()), capture_message("x"), last_event_id()]))
"""


def test_without_a_dsn_nothing_is_imported_and_nothing_done(own_process):
    assert own_process(f"{CAPTURE}\n{MODULES}") == []
    assert own_process(CAPTURE) == [False, None, None, None]


@pytest.mark.parametrize("dsn", ["nonsense", "https://", "ftp://key@host/1", "https://key@host/none", "http://host/1"])
def test_a_bad_dsn_is_one_warning_and_the_site_starts(site, dsn):
    with site(env={"SENTRY_DSN": dsn}, workers=1, database=False, redis=False) as started:
        assert started.get("/api/health?live").status_code == 200
        assert len([line for line in started.lines() if "SENTRY_DSN" in line["message"]]) == 1
        assert "observability.W010" in started.manage("check").stderr


HIDDEN = "import sys; sys.modules['sentry_sdk'] = None; import json, django; django.setup()"


def test_without_the_sdk_a_dsn_is_one_warning():
    env = os.environ | {"SENTRY_DSN": "http://key@127.0.0.1:9/1", "DJANGO_SETTINGS_MODULE": SITE}
    code = f"{HIDDEN}\n{CAPTURE}"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=env, capture_output=True, text=True, timeout=60)
    assert json.loads(done.stdout) == [False, None, None, None], done.stderr
    assert done.stderr.count("django-automation-observability[sentry]") == 1


HOSTS_OWN = """
import sentry_sdk
from sentry_sdk.transport import Transport
from observability import sentry
from observability.correlation import bound

sent = []

class Kept(Transport):
    def capture_envelope(self, envelope):
        sent.extend(item.payload.json for item in envelope.items)

sentry_sdk.init(dsn="http://key@127.0.0.1:9/1", transport=Kept, release="the host's own")
client = sentry_sdk.get_client()
starts = [sentry.init_sentry() for _ in range(3)]
with bound(request_id="r1", job_id="j1"):
    sentry_sdk.capture_message("hello")
print(json.dumps([starts, sentry_sdk.get_client() is client, [(e["release"], e["tags"]) for e in sent]]))
"""


def test_a_client_of_the_hosts_own_stays_as_it_is_and_gets_the_ids(own_process):
    tags = {"request_id": "r1", "job_id": "j1"}
    for env in ({}, {"SENTRY_DSN": "http://other@127.0.0.1:9/2"}):
        assert own_process(HOSTS_OWN, **env) == [[True] * 3, True, [["the host's own", tags]]]


LATER = """
sentry_sdk.init(dsn="http://key@127.0.0.1:9/1", transport=Kept)
sentry_sdk.add_breadcrumb(message="a", data={"session": "hunter2"})
sentry.capture_message("hello")
[event] = sent
print(json.dumps([event["message"], event["breadcrumbs"]["values"][-1]["data"]]))
"""


def test_a_client_that_the_host_makes_later_is_the_one_that_sends(own_process):
    start = HOSTS_OWN.partition("sentry_sdk.init")[0]
    told = own_process(start + LATER, SENTRY_DSN="http://other@127.0.0.1:9/2")
    assert told == ["hello", {"session": "[Filtered]"}]


# What the process reports of itself

CAPTURED = """
import sentry_sdk
from observability import sentry

sentry.capture_exception(ValueError("a"), context={"user_id": 5, "job_id": "j1", "step": "fetch", "project": "shop"})
sentry.capture_message("b", level="warning", context={"user_id": 6})
sentry.capture_message("c")
sentry.capture_exception("no exception")
with sentry.transaction("mine", op="job"), sentry.span("part", op="job.step"):
    pass
print(json.dumps([sentry.capture_message("d"), sentry.last_event_id()]))
"""


def test_what_is_captured_by_hand_has_its_context_and_gives_its_id(own_process, sentry, environment):
    given, last = own_process(CAPTURED, **environment)
    events = sentry.wait("event", number=4)
    assert [event.get("level") for event in events] == ["error", "warning", "info", "info"]
    assert events[0]["user"] == {"id": "5"}
    assert events[0]["tags"] == {"job_id": "j1", "step": "fetch"}
    assert events[0]["contexts"]["details"] == {"project": "shop"}
    assert events[1]["user"] == {"id": "6"}
    assert "user" not in events[2]
    assert "tags" not in events[2] or events[2]["tags"] == {}
    assert given == last == events[3]["event_id"]
    [mine] = sentry.wait("transaction")
    assert mine["transaction"] == "mine"
    assert [span["description"] for span in mine["spans"]] == ["part"]


LOGGED = """
import logging
from observability.correlation import bound

with bound(request_id="r1"):
    logging.getLogger("shop").info("One.")
    logging.getLogger("shop").error("Two.", extra={"job_id": "its own", "order": None})
print(json.dumps(True))
"""


def test_what_is_logged_comes_without_the_ids_that_do_not_hold(own_process, sentry, environment):
    assert own_process(LOGGED, **environment | {"DJANGO_SETTINGS_MODULE": "tests.observability.sentry_settings"})
    [event] = sentry.wait("event")
    [batch] = sentry.wait("log")
    [crumb] = [crumb for crumb in event["breadcrumbs"]["values"] if crumb["message"] == "One."]
    [one, two] = [line["attributes"] for line in batch["items"] if line["body"] in ("One.", "Two.")]
    assert {"job_id", "step"} & {*crumb["data"], *one} == set()
    assert "step" not in {*event["extra"], *two}
    assert (one["request_id"]["value"], two["job_id"]["value"]) == ("r1", "its own")
    assert event["extra"]["job_id"] == "its own"
    assert "order" in event["extra"]


ODD_CONTEXTS = """
from observability import sentry
ids = [sentry.capture_message("a", context=odd) for odd in ("text", ["list"], {1: "one"}, {"user_id": object()})]
print(json.dumps([ids, sentry.capture_exception(ValueError("b"), context=7)]))
"""


def test_what_is_captured_with_an_odd_context_is_sent_all_the_same(own_process, sentry, environment):
    ids, last = own_process(ODD_CONTEXTS, **environment)
    assert [event["event_id"] for event in sentry.wait("event", number=5)] == [*ids, last]


CALLED = """
import httpx2
from observability import sentry
with sentry.transaction("mine", op="job"):
    httpx2.get(ADDRESS)
print(json.dumps(True))
"""


@pytest.mark.parametrize(("settings", "carried"), [("{}", False), ("{'SENTRY_TRACE_TARGETS': ['http://127']}", True)])
def test_only_services_that_are_named_get_the_trace(own_process, sentry, settings, carried):
    change = f"from django.conf import settings; settings.OBSERVABILITY |= {settings}\n"
    start = "from observability import conf, sentry; conf.get_conf.cache_clear(); sentry.init_sentry()\n"
    with canned(answer("hello")) as service:
        change += f"settings.OBSERVABILITY |= {{'SENTRY_DSN': {sentry.dsn!r}}}\n"
        code = change + start + CALLED.replace("ADDRESS", repr(service.url))
        own_process(code, SENTRY_TRACES_SAMPLE_RATE="1")
    assert (b"sentry-trace: " in service.requests[0].lower()) is carried
    [mine] = sentry.wait("transaction")
    assert [span["op"] for span in mine["spans"]] == ["http.client"]


# Not as literals: Sentry gets lines of source.
STORED = """
import os, redis, sqlalchemy
from observability import sentry
with sentry.transaction("mine", op="job"):
    redis.Redis.from_url(os.environ["REDIS_URL"]).set("page:5", "hunter" + str(2))
    with sqlalchemy.create_engine("sqlite://").connect() as connection:
        connection.execute(sqlalchemy.text("SELECT :number"), {"number": 5})
        try:
            connection.execute(sqlalchemy.text("SELECT nothing WHERE 1 = :any"), {"any": "hunter" + str(2)})
        except sqlalchemy.exc.OperationalError as error:
            sentry.capture_exception(error)
print(json.dumps(True))
"""


def test_redis_and_sqlalchemy_are_spans_and_what_they_were_given_stays_here(own_process, sentry, environment):
    own_process(STORED, **environment)
    [mine] = sentry.wait("transaction")
    assert [(span["op"], span["description"]) for span in mine["spans"]] == [
        ("db.redis", "SET 'page:5' [Filtered]"),
        ("db", "SELECT ?"),
        ("db", "SELECT nothing WHERE 1 = ?"),
    ]
    [event] = sentry.wait("event")
    assert "OperationalError) near" in exception(event)["value"]
    assert "hunter2" not in json.dumps([mine, event])


def test_exceptions_that_are_ignored_are_not_sent_nor_their_subclasses(own_process, sentry):
    code = """
import logging
from observability.sentry import capture_exception
try:
    1 / 0
except ArithmeticError as error:
    logging.getLogger("shop").exception("It failed.")
    given = [capture_exception(error), capture_exception(ValueError()) is not None]
print(json.dumps(given))
"""
    settings = "tests.observability.sentry_settings"
    assert own_process(code, SENTRY_DSN=sentry.dsn, DJANGO_SETTINGS_MODULE=settings) == [None, True]
    [event] = sentry.wait("event")
    assert exception(event)["type"] == "ValueError"
