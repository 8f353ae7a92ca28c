"""Alerts of a running site reach a person, by way of a real Prometheus and a real Alertmanager."""

import json
import random
import re
import time

import pytest

from tests.operations.alertmanager import run_alertmanager
from tests.operations.rules import RULES
from tests.project.test_main_job import host, shipped_config
from tests.servers import new_folder, requires
from tests.site import eventually, repeatedly

needs_all = requires("prometheus", "prometheus-alertmanager")
VIEWS = {"DJANGO_SETTINGS_MODULE": "tests.observability.site_settings"}
FASTER = 60  # a minute is a second
SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}


def faster_rules():
    """The shipped rules in which all windows and waits are shorter."""
    folder = new_folder("rules")
    for file in RULES:
        text = re.sub(
            r"(\[|offset |for: )(\d+)([smhdw])",
            lambda found: f"{found[1]}{int(found[2]) * SECONDS[found[3]] * 1000 // FASTER}ms",
            file.read_text(),
        )
        (folder / file.name).write_text(text)
    return [str(folder / file.name) for file in RULES]


def config(site, alertmanager):
    text = shipped_config(host(site.url)).replace("localhost:9093", alertmanager.address)
    return text.replace("[rules.yml, alerts.yml]", json.dumps(faster_rules()))


def fail_in_one_of_four(site):
    for path in ("/fail", "/async/ok", "/async/ok", "/async/ok"):
        site.get(path)
    time.sleep(0.2)


def wait_for_the_slow_one(site):
    site.get(f"/async/slow?seconds={random.uniform(5.2, 7)}")  # so that some end in each second


ON_CALL, TEAM = {"HighErrorRate", "HighAICost"}, {"SlowRequests", "AutomationFailureRate"}


def percent(text):
    return float(re.match(r"([\d.]+)% ", text)[1])


@needs_all
@pytest.mark.timeout(240)
def test_errors_slowness_cost_and_failing_jobs_reach_their_receivers_and_are_resolved(site, prometheus):
    with (
        run_alertmanager() as manager,
        site(env=VIEWS, asgi=True) as running,
        prometheus(config(running, manager)) as p,
    ):
        eventually(lambda: p.query("count(http_requests_total) > 0") != [], True)
        for _ in range(6):
            running.start_job("site_check", base_url=running.url, paths=["/nowhere"])
        with (
            running.worker(),
            repeatedly(lambda: fail_in_one_of_four(running)),
            repeatedly(lambda: wait_for_the_slow_one(running), threads=12),
        ):
            assert running.get("/record?models=30").status_code == 200  # half a dollar each
            for receiver, expected in (("on-call", ON_CALL), ("team", TEAM)):
                eventually(lambda to=receiver, names=expected: names - manager.told(to, "firing").keys(), set(), 60)
        on_call, team = manager.told("on-call", "firing"), manager.told("team", "firing")
        assert 10 < percent(on_call["HighErrorRate"]["annotations"]["description"]) < 30
        assert on_call["HighAICost"]["annotations"]["summary"] == "django spent 15.00 USD on AI within an hour"
        assert team["AutomationFailureRate"]["labels"]["job_type"] == "site_check"
        assert team["AutomationFailureRate"]["annotations"]["summary"].startswith("100% of the site_check jobs")
        assert team["SlowRequests"]["labels"]["endpoint"] == "/async/slow"
        p95 = re.search(r"p95 is ([\d.]+)s$", team["SlowRequests"]["annotations"]["summary"])
        assert 5 < float(p95[1]) < 7.5
        assert not on_call.keys() & team.keys()
        eventually(lambda: on_call.keys() - manager.told("on-call", "resolved").keys(), set(), 90)
        eventually(lambda: team.keys() - manager.told("team", "resolved").keys(), set(), 30)


FOLLOWING = [
    ({"alertname": "ErrorBudgetBurnFast", "severity": "critical"}, {"alertname": "ErrorBudgetBurnSlow"}),
    ({"alertname": "AutomationJobStuck", "severity": "critical"}, {"alertname": "AutomationQueueBacklog"}),
    ({"alertname": "AutomationJobStuck", "severity": "critical"}, {"alertname": "AutomationNoSuccess"}),
    ({"alertname": "AIBudgetExceeded", "budget": "all"}, {"alertname": "AISpendForecastOverBudget", "budget": "all"}),
    ({"alertname": "MetricsStoreUnhealthy"}, {"alertname": "MetricsSamplesDropped", "reason": "store_full"}),
    (
        {"alertname": "TargetDown", "severity": "critical", "instance": "a"},
        {"alertname": "MetricsSourceDown", "instance": "a"},
    ),
]


@needs_all
def test_what_follows_from_an_alert_is_told_of_other_deployments_only():
    with run_alertmanager() as manager:
        for cause, _ in FOLLOWING:
            manager.post({"job": "live", "severity": "warning"} | cause)
        for _, consequence in FOLLOWING:
            manager.post(*({"job": job, "severity": "warning"} | consequence for job in ("live", "trial")))
        expected = {cause["alertname"] for cause, _ in FOLLOWING} | {one["alertname"] for _, one in FOLLOWING}
        eventually(lambda: {*manager.told("on-call", "firing"), *manager.told("team", "firing")}, expected)
        told = [alert["labels"] for alert in manager.received["team"] + manager.received["on-call"]]
        consequences = {consequence["alertname"] for _, consequence in FOLLOWING}
        assert {labels["job"] for labels in told if labels["alertname"] in consequences} == {"trial"}
