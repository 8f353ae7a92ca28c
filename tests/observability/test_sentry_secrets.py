"""Secrets in every place of every kind of event, sent with the real SDK: none arrives, and all else does."""

import json
import re

import pytest

from tests.sentry import exception, receiver

SETTINGS = "tests.observability.sentry_settings"
# Each secret is of its own: `hidden()` numbers them. Between them stands what must arrive.
PLANT = """
import logging, re, sys
import sentry_sdk
from sentry_sdk.crons import capture_checkin
from observability import sentry

number = 0

def hidden(form="HIDDEN%03d"):
    global number
    number += 1
    return form % number

def headers():
    return {"Authorization": f"Bearer {hidden()}x", "X-Api-Key": hidden(), "Accept": "useful-accept"}

def everywhere():
    return {
        "password": hidden(), "nested": {"access_token": hidden(), "list": [{"secret": hidden()}, "useful-item"]},
        "pairs": [["card_number", hidden()], ["plain", "useful-pair"]], "named": {"name": "dsn", "value": hidden()},
        "text": f"GET /?api_key={hidden()}&page=useful-page", "sessionid": hidden(), "cookies": {"a": hidden()},
        "url": f"postgres://ada:{hidden()}@useful-host/db", "json": '{"secret": "%s"}' % hidden(), "auth": hidden(),
        "jwt": "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0." + hidden(), "key": f"sk-proj-{hidden()}",
        "note": f"the key sk-ant-{hidden()}-abcdef and ntn_{hidden()}abc", "tokens": 123, "primary_key": "useful-key",
    }

scope = sentry_sdk.get_isolation_scope()
for name, value in everywhere().items():
    scope.set_extra(name, value)
scope.set_context("useful-context", everywhere())
scope.set_tag("session", hidden())
scope.set_tag("plain", "useful-tag")
scope.set_user({"id": "useful-user", "email": hidden(), "username": hidden(), "ip_address": "10.1.2.3"})
sentry_sdk.add_breadcrumb(message=f"login password={hidden()} useful-crumb", data=everywhere())
logging.getLogger("shop").warning("token=%s useful-record", hidden(), extra={"api_key": hidden(), "more": everywhere()})

def fail(password):
    local_token = hidden()
    raise ValueError(f"cannot log in with password={password} at useful-place")

def capture():
    try:
        try:
            fail(hidden())
        except ValueError as error:
            raise RuntimeError(f"Bearer {hidden()} was refused for a useful-reason") from error
    except RuntimeError as error:
        sentry.capture_exception(error, context={"user_id": 1, "job_id": "useful-job"} | everywhere())

capture()
sentry.capture_message(f"secret={hidden()} useful-message", context=everywhere())
logging.getLogger("shop").error("Cookie: sessionid=%s", hidden())
with sentry.transaction("useful-transaction", op="job"):
    sentry_sdk.get_current_scope().set_context("useful-trace", everywhere())
    with sentry_sdk.start_span(op="http.client", name=f"GET http://useful-span/?token={hidden()}") as span:
        span.update_data(everywhere())
        span.set_tag("cookie", hidden())
    sentry.record_span("chat useful-model", "gen_ai.chat", 0.1, {"gen_ai.usage.input_tokens": 123, "api_key": hidden()})
capture_checkin(monitor_slug="useful-monitor", status="ok")
event = {"message": "useful-request", "request": {
    "url": f"http://useful-url/?token={hidden()}", "query_string": f"a=useful-query&password={hidden()}",
    "headers": headers(), "cookies": {"sessionid": hidden()}, "data": everywhere(), "env": {"SECRET_KEY": hidden()}}}
sentry_sdk.capture_event(event)
sys.argv = ["manage.py", "createuser", "--password", hidden(), "useful-argument"]
with sentry_sdk.new_scope() as scope:
    scope.fingerprint, scope.transaction = [f"password={hidden()}"], f"/useful-path/?token={hidden()}"
    sentry_sdk.capture_event({"message": "a", "threads": {"values": [{"name": f"secret={hidden()}"}]}})
logging.getLogger("shop").error("login %s: %s", "useful-argument", {"password": [hidden(), {"a": hidden()}]})
sentry_sdk.metrics.count("useful-metric", 1, attributes={"token": hidden(), "url": f"http://a/?key={hidden()}"})
sentry_sdk.capture_event({"message": f"-----BEGIN PRIVATE KEY-----\\n{hidden()}\\n-----END PRIVATE KEY-----"})
sentry_sdk.capture_event({"message": "4111 1111 1111 1111 is useful-card"})
sentry_sdk.capture_event({"message": "configured-without-any-form is useful-configuration"})
sentry_sdk.flush()
print(json.dumps(number))
"""
USEFUL = """
    useful-accept useful-item useful-pair useful-page useful-host useful-key useful-context useful-tag useful-crumb
    useful-record useful-place useful-reason useful-job useful-message useful-transaction useful-trace useful-span
    useful-model useful-monitor useful-request useful-url useful-query useful-user useful-card useful-configuration
    useful-argument useful-path useful-metric
""".split()


def test_no_secret_arrives_from_any_place_while_the_rest_does(own_process, sentry):
    planted = own_process(
        PLANT,
        SENTRY_DSN=sentry.dsn,
        SENTRY_TRACES_SAMPLE_RATE="1",
        SHOP_API_KEY="configured-without-any-form",
        DJANGO_SETTINGS_MODULE=SETTINGS,
    )
    came = json.dumps(sentry.items())
    assert planted >= 60
    assert re.findall(r".{80}HIDDEN\d+", came) == []
    assert "10.1.2.3" not in came
    assert "4111 1111" not in came  # the digits alone may be in an id
    assert "configured-without" not in came
    assert [word for word in USEFUL if word not in came] == []
    assert "123" in came
    kinds = [kind for kind in ("event", "transaction", "span", "log", "check_in") if sentry.items(kind)]
    assert kinds == ["event", "transaction", "span", "log", "check_in"]
    assert not any("vars" in frame for event in sentry.items("event") if "exception" in event for frame in stack(event))


def stack(event):
    return exception(event)["stacktrace"]["frames"]


BROKEN = """
from observability import sentry
from observability.testing import metric_value

from observability.sentry import hooks
hooks.known.secrets = lambda: 1 / 0
import sentry_sdk
for number in range(3):
    sentry.capture_message(f"password=HIDDEN{number}")
sentry_sdk.flush()
print(json.dumps(metric_value("observability_dropped_total", metric="observability.sentry", reason="scrubber")))
"""


def test_what_cannot_be_scrubbed_is_not_sent_but_counted(own_process, sentry):
    assert own_process(BROKEN, SENTRY_DSN=sentry.dsn) == 3
    assert sentry.wait("event", number=0) == []


ATTACHED = """
import sentry_sdk
with sentry_sdk.new_scope() as scope:
    scope.add_attachment(bytes=b"password=HIDDEN, page=useful", filename="useful.txt")
    scope.add_attachment(bytes=b"\\xff\\xd8 HIDDEN", filename="picture.jpg")
    sentry_sdk.capture_message("with files")
sentry_sdk.flush()
print(json.dumps(None))
"""


def test_what_is_attached_is_scrubbed_as_text_and_else_left_out(own_process):
    with receiver() as server:
        own_process(ATTACHED, SENTRY_DSN=server.dsn)
    sent = b"".join(server.bodies)
    assert b"HIDDEN" not in sent
    for kept in (b"with files", b"useful.txt", b"page=useful", b"picture.jpg"):
        assert kept in sent


# Of users


MORE = {"email": "ada@example.org", "ip_address": "127.0.0.1"}


@pytest.mark.parametrize(("allowed", "expected"), [("0", {"id": "1"}), ("1", {"id": "1", **MORE})])
def test_of_a_user_the_id_is_sent_and_more_by_setting_and_nothing_of_the_one_before(site, sentry, allowed, expected):
    env = {"SENTRY_DSN": sentry.dsn, "DJANGO_SETTINGS_MODULE": SETTINGS, "SENTRY_USERS": allowed}
    with site(env=env, workers=1, database=False, redis=False) as started:
        code = (
            "from django.contrib.auth.models import User; from django.test import Client; c = Client();"
            "c.force_login(User.objects.create_user('ada', 'ada@example.org'));"
            "print(c.cookies['sessionid'].value)"
        )
        cookie = started.manage("shell", "-v0", "-c", code).stdout.strip()
        for headers in ({"Cookie": f"sessionid={cookie}"}, {}):
            assert started.get("/fail-for-user", headers=headers).status_code == 500
        first, second = sentry.wait("event", number=2)
    assert first["user"] == expected
    assert second.get("user", {}) == {name: value for name, value in expected.items() if name == "ip_address"}


ADDRESSES = "X-Forwarded-For Forwarded X-Real-IP CF-Connecting-IP True-Client-IP X-Client-IP".split()


@pytest.mark.parametrize(("allowed", "number"), [("0", 0), ("1", 4)])
@pytest.mark.parametrize("asgi", [False, True])
def test_addresses_that_proxies_tell_are_sent_by_setting_only(site, sentry, allowed, number, asgi):
    env = {"SENTRY_DSN": sentry.dsn, "DJANGO_SETTINGS_MODULE": SETTINGS, "SENTRY_USERS": allowed}
    with site(env=env, workers=1, asgi=asgi, database=False, redis=False) as started:
        started.get("/fail", headers=dict.fromkeys(ADDRESSES, "192.0.2.1") | {"Accept": "useful-accept"})
        [event] = sentry.wait("event")
    headers = json.dumps(event["request"]["headers"])
    assert headers.count("192.0.2.1") == number  # the SDK itself leaves out the first and the third
    assert "useful-accept" in headers
