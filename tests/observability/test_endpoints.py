"""The endpoints say the same in every format, and say it only to those who may read it."""

import gzip
import hmac
import json

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from observability.metrics import MetricsCollector

TOKEN = "a-token-of-more-than-16-characters"
READERS = ["/api/metrics", "/api/metrics/json"]
EVERY = [*READERS, "/api/metrics/health", "/api/health"]
BEARER = {"HTTP_AUTHORIZATION": f"Bearer {TOKEN}"}

pytestmark = pytest.mark.django_db


@pytest.fixture
def configure(settings):
    """``configure(METRICS_TOKEN=…)`` replaces settings of the app for one test."""
    original = settings.OBSERVABILITY

    def change(**values):
        settings.OBSERVABILITY = original | {"METRICS_TOKEN": TOKEN} | values

    change()
    return change


@pytest.fixture
def reader(configure):
    return Client(**BEARER)


def samples(families):
    """What a parser read, without what changes from one scrape to the next."""
    moving = ("http_", "observability_", "database_connections")
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in families
        for sample in family.samples
        if not sample.name.startswith(moving)
    }


def test_text_openmetrics_and_json_give_the_same_numbers(reader):
    MetricsCollector.record_ai_request('quoted "name"\nin two lines', "success", tokens=7, cost=0.25)
    text = reader.get("/api/metrics")
    openmetrics = reader.get("/api/metrics", HTTP_ACCEPT="application/openmetrics-text; version=1.0.0")
    as_json = reader.get("/api/metrics/json").json()
    from_text = samples(parse_text(text.content.decode()))
    assert len(from_text) > 30
    assert from_text == samples(parse_openmetrics(openmetrics.content.decode()))
    assert (
        from_text.items()
        == {
            (sample["name"], tuple(sorted(sample["labels"].items()))): sample["value"]
            for name, family in as_json.items()
            for sample in family["samples"]
            if not name.startswith(("http_", "observability_", "database_connections"))
        }.items()
    )


PROMETHEUS_2 = (
    "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,"
    "text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
)
PROMETHEUS_3 = (
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,"
    "application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,"
    "text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
)
PROTOBUF_FIRST = (
    "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;q=0.7,"
    "application/openmetrics-text;version=1.0.0;q=0.6,text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
)
BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8"


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        ("", "text/plain; version=0.0.4; charset=utf-8"),
        ("*/*", "text/plain; version=0.0.4; charset=utf-8"),
        ("text/plain", "text/plain; version=0.0.4; charset=utf-8"),
        (BROWSER, "text/plain; version=0.0.4; charset=utf-8"),
        ("text/plain;q=0.9,application/openmetrics-text;q=0.1", "text/plain; version=0.0.4; charset=utf-8"),
        ("application/openmetrics-text", "application/openmetrics-text; version=1.0.0; charset=utf-8"),
        (PROMETHEUS_2, "application/openmetrics-text; version=1.0.0; charset=utf-8"),
        (PROMETHEUS_3, "application/openmetrics-text; version=1.0.0; charset=utf-8"),
        (PROTOBUF_FIRST, "application/openmetrics-text; version=1.0.0; charset=utf-8"),
        ("application/openmetrics-text;version=abc", "text/plain; version=0.0.4; charset=utf-8"),
        ("application/openmetrics-text;version=0.0.1", "application/openmetrics-text; version=1.0.0; charset=utf-8"),
        ("application/openmetrics-text;q=abc", "application/openmetrics-text; version=1.0.0; charset=utf-8"),
        ("application/openmetrics-text;q=0.3,*/*;q=0.5", "text/plain; version=0.0.4; charset=utf-8"),
        (";;;,,/,q=1;=", "text/plain; version=0.0.4; charset=utf-8"),
    ],
)
def test_the_format_is_the_one_that_was_asked_for(reader, accept, kind):
    assert reader.get("/api/metrics", HTTP_ACCEPT=accept).headers["Content-Type"] == kind


def test_a_cache_on_the_way_is_told_what_the_answer_depends_on(reader):
    answer = reader.get("/api/metrics", HTTP_ACCEPT_ENCODING="gzip")
    assert {"Accept", "Accept-Encoding"} <= set(answer.headers["Vary"].split(", "))


def test_an_answer_is_compressed_when_the_caller_accepts_it(reader):
    answer = reader.get("/api/metrics", HTTP_ACCEPT_ENCODING="gzip")
    assert answer.headers["Content-Encoding"] == "gzip"
    assert b"# TYPE automation_jobs_total counter" in gzip.decompress(answer.content)
    assert "Content-Encoding" not in reader.get("/api/metrics").headers


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("name[]=automation_jobs_total", {"automation_jobs_total"}),
        (
            "name[]=vercel_deployment_duration_seconds_sum&name[]=app_info",
            {"vercel_deployment_duration_seconds_sum", "app_info"},
        ),
        (
            "name[]=vercel_deployment_duration_seconds",
            {f"vercel_deployment_duration_seconds_{part}" for part in ("bucket", "sum", "count")},
        ),
        ("name[]=nothing_of_that_name", set()),
    ],
)
def test_names_select_families_and_samples(reader, query, names):
    text = reader.get(f"/api/metrics?{query}").content.decode()
    assert {sample.name for family in parse_text(text) for sample in family.samples} == names


def test_json_is_strict_and_keyed_by_the_name_in_the_type_line(reader):
    def refuse(constant):
        raise AssertionError(f"{constant} is no JSON")

    text = reader.get("/api/metrics").content.decode()
    content = json.loads(reader.get("/api/metrics/json").content, parse_constant=refuse)
    assert set(content) == {line.split()[2] for line in text.splitlines() if line.startswith("# TYPE")}
    assert content["automation_jobs_total"]["type"] == "counter"
    assert content["automation_jobs_total"]["help"]


def test_numbers_that_json_does_not_know_are_strings(own_process):
    code = """
from prometheus_client import Gauge
from observability.metrics import MetricsCollector
gauge = Gauge("odd", "The host's own.", ["kind"], multiprocess_mode="max")
for kind in ("nan", "inf", "-inf"): gauge.labels(kind).set(float(kind))
print(json.dumps([sample["value"] for sample in MetricsCollector.get_metrics_dict()["odd"]["samples"]]))
"""
    assert own_process(code) == ["NaN", "+Inf", "-Inf"]


def test_a_metric_that_the_host_defines_is_on_the_same_endpoints(own_process):
    code = """
from prometheus_client import Counter, REGISTRY
from prometheus_client.core import GaugeMetricFamily
from observability.metrics import MetricsCollector
Counter("shop_orders_total", "Orders.").inc(3)
class Stock:
    def collect(self): yield GaugeMetricFamily("shop_stock", "Stock.", value=7)
class Broken:
    def describe(self): return []
    def collect(self): raise OSError("the host's own fault")
REGISTRY.register(Stock()); REGISTRY.register(Broken())
found = MetricsCollector.get_metrics_dict()
print(json.dumps([found[name]["samples"][0]["value"] for name in ("shop_orders_total", "shop_stock")]))
"""
    assert own_process(code) == [3, 7]
    assert own_process(code, PROMETHEUS_MULTIPROC_DIR="/dev/null/none") == [3, 7]


def test_a_label_of_the_hosts_that_is_no_text_does_not_end_the_scrape(own_process):
    code = """
from prometheus_client import Counter
from observability import exposition
Counter("shop_odd_total", "Odd.", ["kind"]).labels("\\ud800").inc()
families = exposition.snapshot(["shop_odd_total"])
print(json.dumps([exposition.to_text(families).decode(), exposition.to_openmetrics(families).decode()]))
"""
    for text in own_process(code):
        assert 'shop_odd_total{kind="?"} 1.0' in text


# Methods and caching


@pytest.mark.parametrize("path", EVERY)
@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"])
def test_other_methods_are_refused(configure, path, method):
    answer = Client(enforce_csrf_checks=True, **BEARER).generic(method, path)
    assert answer.status_code == 405
    assert answer.headers["Allow"] == "GET, HEAD"
    assert answer.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize("path", EVERY)
@pytest.mark.parametrize("headers", [BEARER, {}], ids=["with token", "anonymous"])
def test_nothing_is_stored_on_the_way(configure, path, headers):
    for method in ("GET", "HEAD"):
        assert Client(**headers).generic(method, path).headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize("path", EVERY)
def test_head_answers_like_get_without_a_body(reader, path):
    answer = reader.head(path)
    assert (answer.status_code, answer.content) == (200, b"")


# Access


@pytest.mark.parametrize("path", READERS)
def test_a_stranger_gets_401_and_is_told_how_to_come_in(configure, path):
    answer = Client().get(path)
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"] == "Bearer"


@pytest.mark.parametrize("path", READERS)
@pytest.mark.parametrize(
    ("values", "debug"), [({}, True), ({"METRICS_PUBLIC": True}, False), ({"METRICS_NETWORKS": ["127.0.0.0/8"]}, False)]
)
def test_debug_an_explicit_setting_or_a_network_opens(configure, settings, path, values, debug):
    settings.DEBUG = debug
    configure(**values)
    assert Client().get(path).status_code == 200


ODD_TOKENS = {
    "empty": "",
    "a prefix": TOKEN[:-1],
    "longer": TOKEN + "x",
    "not ASCII": "tökén-with-ümläuts-日本",
    "8 kB": "x" * 8192,
    "surrogates": "\udcff\udc80",
    "NUL": "\0" * 20,
    "spaces": " " * 20,
}


@pytest.mark.parametrize("odd", ODD_TOKENS.values(), ids=ODD_TOKENS)
@pytest.mark.parametrize("scheme", ["Bearer ", "bearer ", "", "Basic ", "Bearer"])
def test_an_odd_token_is_refused_and_never_an_error(configure, odd, scheme):
    assert Client(HTTP_AUTHORIZATION=f"{scheme}{odd}").get("/api/metrics").status_code == 401


@pytest.mark.parametrize("given", [TOKEN, TOKEN[:-1], "x"])
def test_a_token_is_compared_as_bytes_in_constant_time(configure, monkeypatch, given):
    compared, compare_digest = [], hmac.compare_digest

    def compare(*pair):
        compared.append(pair)
        return compare_digest(*pair)

    monkeypatch.setattr("hmac.compare_digest", compare)
    opened = Client(HTTP_AUTHORIZATION=f"Bearer {given}").get("/api/metrics").status_code == 200
    assert (opened, compared) == (given == TOKEN, [(given.encode(), TOKEN.encode())])


def test_a_token_with_other_than_ascii_characters_opens_as_a_server_hands_it_over(configure):
    configure(METRICS_TOKEN="tökén-with-ümläuts-日本")
    as_latin_1 = "tökén-with-ümläuts-日本".encode().decode("latin-1")
    assert Client(HTTP_AUTHORIZATION=f"Bearer {as_latin_1}").get("/api/metrics").status_code == 200


@pytest.mark.parametrize("given", ["", " ", "Bearer", "Bearer ", "Bearer  "])
def test_an_empty_configured_token_matches_nothing(configure, given):
    configure(METRICS_TOKEN="")
    assert Client(HTTP_AUTHORIZATION=given).get("/api/metrics").status_code == 401


@pytest.mark.parametrize("name", ["token", "access_token", "METRICS_TOKEN", "bearer"])
def test_no_token_is_read_from_the_query_string(configure, name):
    assert Client().get("/api/metrics", {name: TOKEN}).status_code == 401


def test_the_token_may_come_from_a_file_and_change_there(configure, tmp_path):
    file = tmp_path / "token"
    file.write_text(f"{TOKEN}\n")
    configure(METRICS_TOKEN="", METRICS_TOKEN_FILE=str(file))
    assert Client(**BEARER).get("/api/metrics").status_code == 200
    file.write_text("another-token-of-16-characters")
    assert Client(**BEARER).get("/api/metrics").status_code == 401
    file.unlink()
    assert Client(**BEARER).get("/api/metrics").status_code == 401


NETWORK = ["10.1.0.0/16", "2001:db8::/32"]


@pytest.mark.parametrize(
    ("peer", "forwarded", "proxies", "status"),
    [
        ("10.1.2.3", None, 0, 200),
        ("::ffff:10.1.2.3", None, 0, 200),
        ("2001:db8::7", None, 0, 200),
        ("10.2.0.1", None, 0, 401),
        ("10.2.0.1", "10.1.2.3", 0, 401),
        ("10.1.2.3", "192.0.2.9", 0, 200),
        ("", None, 0, 401),
        ("not an address", None, 0, 401),
        ("10.1.2.3", None, 1, 401),
        ("192.0.2.1", "10.1.2.3", 1, 200),
        ("192.0.2.1", "10.1.2.3, 192.0.2.7", 1, 401),
        ("192.0.2.1", "192.0.2.7, 10.1.2.3", 1, 200),
        ("192.0.2.1", "10.1.2.3, 192.0.2.7", 2, 200),
        ("192.0.2.1", "10.1.2.3", 2, 401),
        ("192.0.2.1", "10.1.2.3, garbage", 1, 401),
    ],
)
def test_only_the_peer_address_counts_unless_proxies_are_stated(configure, peer, forwarded, proxies, status):
    configure(METRICS_NETWORKS=NETWORK, TRUSTED_PROXIES=proxies)
    headers = {"HTTP_X_FORWARDED_FOR": forwarded} if forwarded is not None else {}
    assert Client(REMOTE_ADDR=peer, **headers).get("/api/metrics").status_code == status


def user(name, *, permitted, **flags):
    person = User.objects.create_user(name, password="not-of-interest", **flags)
    if permitted:
        person.user_permissions.add(Permission.objects.get(codename="view_metric"))
    return person


ROLES = [
    ("user", {}, False, 401, 302),
    ("user with the permission", {}, True, 401, 302),
    ("staff", {"is_staff": True}, False, 401, 403),
    ("staff with the permission", {"is_staff": True}, True, 200, 200),
    ("a locked account", {"is_staff": True, "is_active": False}, True, 401, 302),
    ("superuser", {"is_staff": True, "is_superuser": True}, False, 200, 200),
]


@pytest.mark.parametrize(("role", "flags", "permitted", "endpoint", "page"), ROLES, ids=[role[0] for role in ROLES])
def test_only_permitted_staff_reads_metrics_and_the_admin_page(configure, role, flags, permitted, endpoint, page):
    client = Client()
    client.force_login(user(role, permitted=permitted, **flags))
    assert [client.get(path).status_code for path in READERS] == [endpoint, endpoint]
    assert client.get("/admin/observability/metric/").status_code == page


# Health


def test_an_anonymous_caller_learns_the_status_and_nothing_else(configure):
    answer = Client().get("/api/metrics/health")
    assert answer.status_code == 200
    assert answer.json() == {"status": "healthy", "metrics_enabled": True}


@pytest.mark.parametrize("path", ["/api/metrics/health", "/api/health"])
def test_a_caller_with_access_learns_of_each_check(reader, path):
    checks = reader.get(path).json()["checks"]
    assert checks["check_database"]["status"] == "healthy"
    assert 0 <= checks["check_database"]["seconds"] < 2


@pytest.mark.parametrize("headers", [BEARER, {}], ids=["with token", "anonymous"])
def test_a_failing_check_is_503_and_its_text_stays_inside(configure, headers):
    configure(HEALTH_CHECKS=["observability.health.check_database", "tests.observability.test_endpoints.leaky_check"])
    answer = Client(**headers).get("/api/metrics/health")
    assert answer.status_code == 503
    assert answer.json()["status"] == "unhealthy"
    for secret in ("hunter2", "db.internal", "postgres://"):
        assert secret not in answer.content.decode()
    assert ("checks" in answer.json()) == bool(headers)


def check_database():
    raise ConnectionError("of the same name as another check")


def test_two_checks_of_one_name_are_two_checks(configure):
    own = "tests.observability.test_endpoints.check_database"
    configure(HEALTH_CHECKS=[own, "observability.health.check_database"])
    answer = Client(**BEARER).get("/api/metrics/health")
    assert answer.status_code == 503
    states = {name: check["status"] for name, check in answer.json()["checks"].items()}
    assert states == {own: "unhealthy", "observability.health.check_database": "healthy"}


def leaky_check():
    raise ConnectionError("postgres://admin:hunter2@db.internal/app refused")


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("permitted", [True, False])
def test_of_signed_in_staff_those_with_the_permission_see_each_check_and_stay_signed_in(configure, client, permitted):
    user = User.objects.create_user("staff", is_staff=True)
    if permitted:
        user.user_permissions.add(Permission.objects.get(codename="view_metric"))
    client.force_login(user)
    for _ in range(2):
        assert ("checks" in client.get("/api/metrics/health").json()) == permitted
    assert client.get("/admin/").status_code == 200


@pytest.mark.django_db(transaction=True)
def test_a_look_at_health_ends_no_session_while_the_secret_key_is_replaced(configure, admin_client, settings):
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "the new key of the site", [settings.SECRET_KEY]
    assert "checks" in admin_client.get("/api/metrics/health").json()
    assert admin_client.get("/api/metrics").status_code == 200


def by_header(get_response):
    """Who signs in by other means than a session."""

    def middleware(request):
        request.user = User(username="staff", is_staff=True, is_superuser=True)
        return get_response(request)

    return middleware


def test_a_user_without_a_session_sees_each_check_too(configure, settings):
    settings.MIDDLEWARE = [f"{__name__}.by_header"]
    assert "checks" in Client().get("/api/metrics/health").json()


def test_health_answers_while_metrics_are_off(configure):
    configure(METRICS_ENABLED=False)
    assert Client().get("/api/metrics/health").json() == {"status": "healthy", "metrics_enabled": False}
    assert Client(**BEARER).get("/api/metrics").status_code == 404
    assert Client(**BEARER).get("/api/metrics/json").status_code == 404


def test_live_asks_nothing_but_the_process(reader, django_assert_num_queries):
    with django_assert_num_queries(0):
        assert reader.get("/api/metrics/health?live").json() == {"status": "healthy", "metrics_enabled": True}
