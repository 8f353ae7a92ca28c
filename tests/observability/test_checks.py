"""A wrong setting is told by a system check, with what to do about it."""

import pytest
from django.conf import settings as django_settings
from django.core.checks import run_checks
from django.core.exceptions import ImproperlyConfigured

from observability.conf import Conf, get_conf
from observability.middleware import MetricsMiddleware


@pytest.fixture
def messages(settings):
    """``messages(KEY=value)``: what the checks say of these settings, by id."""
    original = django_settings.OBSERVABILITY

    def run(*, replace=None, **values):
        settings.OBSERVABILITY = original | values if replace is None else replace
        return {message.id: message for message in run_checks(tags=["observability"])}

    return run


def test_the_site_itself_has_nothing_to_say(messages):
    assert messages(METRICS_TOKEN="x" * 32) == {}


@pytest.mark.parametrize(
    ("key", "nearest"),
    [("METRICS_TOKN", "METRICS_TOKEN"), ("max_series", "MAX_SERIES"), ("HEALTH_CHECK", "HEALTH_CHECKS")],
)
def test_an_unknown_key_is_an_error_with_the_nearest_name(messages, key, nearest):
    message = messages(**{key: 1})["observability.E002"]
    assert key in message.msg
    assert message.hint == f"Did you mean {nearest!r}?"


@pytest.mark.parametrize("key", ["QWERTY", "METRICS_DIR"])
def test_a_key_like_no_other_gets_the_list(messages, key):
    assert messages(**{key: 1})["observability.E002"].hint.startswith("The keys are METRICS_ENABLED, METRICS_TOKEN, ")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("METRICS_ENABLED", "perhaps"),
        ("METRICS_ENABLED", 3),
        ("METRICS_PUBLIC", "yes"),
        ("SOURCE_TIMEOUT", "1"),
        ("MAX_SERIES", "many"),
        ("MAX_SERIES", -1),
        ("MAX_SERIES", True),
        ("HEALTH_TIMEOUT", 0),
        ("HEALTH_TIMEOUT", float("nan")),
        ("METRICS_NETWORKS", "10.0.0.0/8"),
        ("METRICS_NETWORKS", [1]),
        ("APP_VERSION", 3),
        ("METRICS_TOKEN", ["a", "b"]),
    ],
)
def test_a_wrong_type_is_an_error_and_the_default_stays(messages, key, value):
    message = messages(**{key: value})["observability.E003"]
    assert key in message.msg
    assert getattr(get_conf(), key) == Conf.__dataclass_fields__[key].default


def test_a_token_of_a_wrong_type_is_not_shown(messages):
    message = messages(METRICS_TOKEN=["hunter2"])["observability.E003"]
    assert "hunter2" not in str(message)
    assert message.msg == "METRICS_TOKEN must be a string, not the list that it is; the default is used instead."
    assert message.hint == "It is set in OBSERVABILITY."


def test_none_is_as_good_as_nothing(messages):
    assert messages(METRICS_TOKEN="x" * 32, APP_VERSION=None, MAX_SERIES=None) == {}
    assert get_conf().MAX_SERIES == 1000


@pytest.mark.parametrize(
    ("values", "check"),
    [
        ({"METRICS_TOKEN": ""}, "observability.W005"),
        ({"METRICS_PUBLIC": True}, "observability.W004"),
        ({"METRICS_NETWORKS": ["0.0.0.0/0"]}, "observability.W004"),
        ({"METRICS_NETWORKS": ["::/0"]}, "observability.W004"),
        ({"METRICS_NETWORKS": ["10.0.0.1/8"]}, "observability.E004"),
        ({"METRICS_NETWORKS": ["everywhere"]}, "observability.E004"),
        ({"METRICS_TOKEN": "short"}, "observability.W006"),
        ({"METRICS_TOKEN": "", "METRICS_TOKEN_FILE": "/nowhere/token"}, "observability.E005"),
        ({"HEALTH_CHECKS": ["observability.health.check_datbase"]}, "observability.E006"),
        ({"SENTRY_IGNORED_EXCEPTIONS": ["django.http.Http404", "django.http.HttpResponse"]}, "observability.E010"),
        ({"SENTRY_DSN": "https://key@sentry.example.org/1"}, "observability.W010"),
        ({"CACHE_ALIAS": "sessions"}, "observability.E007"),
        ({"SENTRY_EVENT_URL": "https://sentry.example.com/issues/"}, "observability.E009"),
        ({"SENTRY_EVENT_URL": "javascript:{event_id}"}, "observability.E009"),
        ({"SENTRY_TRACE_URL": "https://sentry.example.com/{event_id}"}, "observability.E009"),
        ({"PROMETHEUS_MULTIPROC_DIR": "metrics"}, "observability.W008"),
        ({"PROMETHEUS_MULTIPROC_DIR": "a\0b"}, "observability.E003"),
    ],
)
def test_each_mistake_has_its_message(messages, values, check):
    assert check in messages(**values)


def test_observability_must_be_a_dictionary(messages):
    assert "observability.E001" in messages(replace=["METRICS_TOKEN"])


def test_a_site_without_the_middleware_is_told(messages, settings):
    settings.MIDDLEWARE = []
    assert "observability.W001" in messages()


def test_a_site_with_the_middleware_twice_is_told(messages, settings):
    settings.MIDDLEWARE = [settings.MIDDLEWARE[0], *settings.MIDDLEWARE]
    found = messages()
    assert "each request is counted 2 times" in found["observability.E008"].msg
    assert "observability.I002" not in found


def test_the_middleware_does_not_start_without_its_app(settings):
    settings.INSTALLED_APPS = [app for app in settings.INSTALLED_APPS if app != "observability"]
    with pytest.raises(ImproperlyConfigured, match="add 'observability' to INSTALLED_APPS"):
        MetricsMiddleware(lambda request: None)


def test_a_site_whose_middleware_is_not_first_is_told_what_is_missing(messages, settings):
    settings.MIDDLEWARE = [*settings.MIDDLEWARE[1:], settings.MIDDLEWARE[0]]
    assert f"comes after {settings.MIDDLEWARE[0]}" in messages()["observability.I002"].msg


@pytest.mark.parametrize(
    ("urlconf", "told"),
    [("automation.urls", True), ("observability.urls", False), ("project.urls", False)],
)
def test_a_site_without_an_address_for_the_metrics_is_told(messages, settings, urlconf, told):
    settings.ROOT_URLCONF = urlconf
    assert ("observability.W007" in messages()) == told


urlpatterns = [("^$", lambda request: None)]  # a tuple in place of path()


def test_what_is_no_route_at_all_is_left_to_djangos_own_check(messages, settings):
    settings.ROOT_URLCONF = __name__
    assert "observability.W007" in messages()


def test_the_environment_gives_the_defaults_and_the_dictionary_wins(own_process):
    code = """
from django.conf import settings
from observability.conf import get_conf
def values():
    get_conf.cache_clear()
    conf = get_conf()
    return [conf.APP_VERSION, conf.PROMETHEUS_PORT, conf.METRICS_ENABLED]
settings.OBSERVABILITY = {}
first = values()
settings.OBSERVABILITY = {"APP_VERSION": "2", "METRICS_ENABLED": True}
print(json.dumps([first, values()]))
"""
    environment = {"APP_VERSION": "1", "PROMETHEUS_PORT": "9999", "METRICS_ENABLED": "false"}
    assert own_process(code, **environment) == [["1", 9999, False], ["2", 9999, True]]


@pytest.mark.parametrize(
    ("environment", "check"),
    [
        ({"PROMETHEUS_PORT": "http"}, "observability.E003"),
        ({"PROMETHEUS_MULTIPROC_DIR": ""}, "observability.I001"),
        ({"PROMETHEUS_MULTIPROC_DIR": "/dev/null/x"}, "observability.W002"),
    ],
)
def test_a_wrong_environment_is_told_too(own_process, environment, check):
    code = """
from django.core.checks import run_checks
print(json.dumps([message.id for message in run_checks(tags=["observability"])]))
"""
    found = own_process(code, **{"METRICS_TOKEN": "x" * 32} | environment)
    assert found == ([check] if check else [])


def test_a_metric_of_the_hosts_with_a_name_of_ours_is_told(own_process):
    code = """
from prometheus_client import Counter
from django.core.checks import run_checks
Counter("http_requests_total", "The host's own.")
print(json.dumps([message.id for message in run_checks(tags=["observability"])]))
"""
    assert "observability.W003" in own_process(code)
