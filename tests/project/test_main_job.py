"""The main job on real input: requests and jobs on a whole deployment, read back through a real Prometheus."""

from collections import Counter
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import httpx2
import pytest

from tests.servers import new_folder, requires
from tests.site import METRICS_TOKEN, ROOT, eventually

HEALTHY, MISSING = "/api/health", "/not/here"
AUTHORIZATION = """\
    # authorization:
    #   type: Bearer
    #   credentials_file: /etc/prometheus/metrics_token
"""


def uncommented(block):
    return block.replace("# ", "")


def shipped_config(target):
    """The file that the repository ships, for this target and a token file, and once a second."""
    token = new_folder("token") / "metrics_token"
    token.write_text(METRICS_TOKEN)
    text = (ROOT / "prometheus" / "prometheus.yml").read_text()
    for shipped, here in [
        ("localhost:8000", target),
        ("15s", "1s"),
        (AUTHORIZATION, uncommented(AUTHORIZATION)),
        ("/etc/prometheus/metrics_token", str(token)),
    ]:
        assert shipped in text
        text = text.replace(shipped, here)
    return text


def host(url):
    return url.removeprefix("http://")


def send_requests(site):
    """A known mix; the count of each (method, endpoint, status)."""
    token = {"Authorization": f"Bearer {site.env['AUTOMATION_TOKEN']}"}
    mix = [
        (120, "GET", "/", {}, "/", 200),
        (80, "GET", HEALTHY, {}, HEALTHY, 200),
        (60, "GET", MISSING, {}, "unmatched", 404),
        (40, "HEAD", "/", {}, "/", 200),
        (30, "POST", "/", {}, "/", 403),  # no CSRF token
        (30, "GET", "/api/automation/jobs", {"headers": token}, "/api/automation/jobs", 200),
        (20, "GET", "/api/automation/jobs", {}, "/api/automation/jobs", 401),
        (20, "GET", "/admin/", {}, "/admin/", 302),
    ]
    expected = Counter()
    for times, method, path, options, endpoint, status in mix:
        for _ in range(times):
            assert site.request(method, path, **options).status_code == status
        expected[method, endpoint, str(status)] += times
    return expected


def start_jobs(site):
    """Eight jobs that succeed and four that fail; the requests that this takes, and those that the jobs send."""
    for number in range(12):
        site.start_job("site_check", base_url=site.url, paths=["/", MISSING] if number % 3 == 2 else ["/", HEALTHY])
    return Counter(
        {
            ("POST", "/api/automation/start", "202"): 12,
            ("GET", "/", "200"): 12,
            ("GET", HEALTHY, "200"): 8,
            ("GET", "unmatched", "404"): 4,
        }
    )


@requires("prometheus")
def test_prometheus_has_the_exact_totals_of_requests_and_jobs(site, prometheus):
    with site(workers=2) as s, s.worker(), prometheus(shipped_config(host(s.url))) as p:
        expected = send_requests(s) + start_jobs(s)
        eventually(
            lambda: p.table("automation_jobs_total", "status"),
            {("success",): 8, ("failed",): 4, ("cancelled",): 0},
            seconds=60,
        )
        eventually(
            lambda: p.table('http_requests_total{endpoint!="/api/metrics"} > 0', "method", "endpoint", "status"),
            dict(expected),
        )
        assert p.query('sum(http_request_duration_seconds_count{endpoint!="/api/metrics"})') == [expected.total()]
        steps = {("fetch_path", "success"): 20, ("fetch_path", "failed"): 4}
        assert p.table("automation_job_steps_total > 0", "step", "status") == steps
        assert p.table("automation_job_duration_seconds_count > 0", "job_type") == {("site_check",): 12}
        eventually(lambda: p.query("active_jobs"), [0])
        assert p.query("sum(observability_dropped_total) or vector(0)") == [0]
        assert [target["health"] for target in p.targets()] == ["up"]


@contextmanager
def relay(url, accept):
    """A server that passes GET requests on, with another Accept header if given; and the types of the answers."""
    types = set()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            headers = {name: self.headers[name] for name in ("Accept", "Authorization")}
            answer = httpx2.get(
                url + self.path, headers=headers | ({"Accept": accept} if accept else {}), trust_env=False
            )
            types.add(answer.headers["content-type"])
            self.send_response(answer.status_code)
            self.send_header("Content-Type", answer.headers["content-type"])
            self.send_header("Content-Length", str(len(answer.content)))
            self.end_headers()
            self.wfile.write(answer.content)

        def log_message(self, *arguments):
            """Silent."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_port}", types
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@requires("prometheus")
@pytest.mark.parametrize(
    ("accept", "answered"),
    [
        (None, "application/openmetrics-text; version=1.0.0; charset=utf-8"),
        ("text/plain; version=0.0.4", "text/plain; version=0.0.4; charset=utf-8"),
    ],
    ids=["OpenMetrics, which Prometheus asks for", "text"],
)
def test_prometheus_reads_both_formats(site, prometheus, accept, answered):
    with site() as s, relay(s.url, accept) as (target, types), prometheus(shipped_config(target)) as p:
        for _ in range(7):
            s.get(HEALTHY)
        eventually(lambda: p.query(f'http_requests_total{{endpoint="{HEALTHY}"}}'), [7])
        assert p.query("up") == [1]
        assert [(target["health"], target["lastError"]) for target in p.targets()] == [("up", "")]
    assert types == {answered}


@requires("promtool")
def test_the_shipped_configuration_is_valid(program_output):
    assert "SUCCESS" in program_output("promtool", "check", "config", ROOT / "prometheus" / "prometheus.yml")


@requires("promtool")
def test_the_blocks_to_uncomment_are_valid(program_output):
    text = (ROOT / "prometheus" / "prometheus.yml").read_text().replace(AUTHORIZATION, uncommented(AUTHORIZATION))
    start = text.index("# remote_write:")
    text = text[:start] + uncommented(text[start:])
    path = new_folder("config") / "prometheus.yml"
    text = text.replace("[rules.yml, alerts.yml]", "[]")
    path.write_text(text.replace("/etc/prometheus/", f"{path.parent}/"))
    for name in ("metrics_token", "grafana_token"):
        (path.parent / name).touch()
    assert "SUCCESS" in program_output("promtool", "check", "config", path)
