"""The files for Prometheus, Alertmanager and Kubernetes are valid, alike, and lead to where help is."""

import re
import subprocess

import kubernetes_validate
import pytest
import yaml
from django.urls import resolve

from prometheus import alerting, build, recording
from prometheus.thresholds import RUNBOOKS
from tests.docs.pages import anchors
from tests.operations.rules import alerts, groups
from tests.servers import new_folder, requires
from tests.site import ROOT, eventually

NAMES = """
    HighErrorRate SlowRequests HighAICost AISpendForecastOverBudget AIBudgetExceeded AIRequestsUnpriced
    AutomationFailureRate AutomationJobStuck AutomationNoSuccess AutomationQueueBacklog
    ErrorBudgetBurnFast ErrorBudgetBurnSlow
    TargetDown MetricsStoreUnhealthy MetricsSourceDown MetricsSamplesDropped DatabaseConnectionsHigh
""".split()
PROMETHEUS, KUBERNETES = ROOT / "prometheus", ROOT / "kubernetes"


def output_of(*command):
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def manifests(name):
    return {document["kind"]: document for document in yaml.safe_load_all((KUBERNETES / name).read_text())}


@pytest.mark.parametrize("name", build.FILES)
def test_the_committed_files_are_those_that_make_rules_writes(name):
    assert (ROOT / name).read_text() == build.text_of(name)


def test_the_operator_gets_the_same_rules():
    assert manifests("prometheusrule.yaml")["PrometheusRule"]["spec"]["groups"] == groups()


def test_every_alert_is_there_by_its_name():
    assert sorted(alerts()) == sorted(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_an_alert_leads_to_a_section_that_says_what_to_do(name):
    for rule in alerts()[name]:
        page, _, anchor = rule["annotations"]["runbook_url"].partition("#")
        assert page == RUNBOOKS
        assert page.endswith("/docs/operations.md")
        assert anchor in anchors(ROOT / "docs" / "operations.md")
        assert rule["labels"]["severity"] in {alerting.CRITICAL, alerting.WARNING}


@requires("promtool")
def test_promtool_finds_nothing_to_complain_about():
    files = [PROMETHEUS / name for name in ("rules.yml", "alerts.yml")]
    assert output_of("promtool", "check", "rules", "--lint=all", "--lint-fatal", *files).count("SUCCESS") == 2
    assert "2 rule files found" in output_of("promtool", "check", "config", PROMETHEUS / "prometheus.yml")


OF_A_DAY = f"0x150 0+{3 / 29}x29"  # 3 USD in the six hours before 6:00 UTC
OF_A_MONTH = f"7x48 7+{48 / 275}x275"  # 48 USD in the two days before 6:00 UTC on the third of January


@requires("promtool")
@pytest.mark.parametrize(
    ("spent", "time", "utc_offset", "expected"),
    [
        (OF_A_DAY, "30h", 0, 3 + 18 / 2),
        (OF_A_DAY, "30h", 5.5, 3 + 12.5 / 2),
        (OF_A_DAY, "30h", -8, 3 + 2 / 2),
        (OF_A_MONTH, "54h", 0, 55 + 28 * 24 + 18),
        (OF_A_MONTH, "54h", 5.5, 55 + 28 * 24 + 12.5),
        (OF_A_MONTH, "54h", -8, 55 + 29 * 24 + 2),
    ],
)
def test_a_forecast_goes_on_until_the_day_or_month_ends_where_the_site_is(spent, time, utc_offset, expected):
    labels = '{budget="team", job="django"}'
    result = {"labels": labels, "value": expected}
    asked = {"expr": f"round({recording.forecast(utc_offset)}, 0.25)", "eval_time": time, "exp_samples": [result]}
    series = {"series": f"job_budget:ai_budget_spent_usd:max{labels}", "values": spent}
    file = new_folder("forecast") / "test.yml"
    file.write_text(
        yaml.safe_dump({"tests": [{"interval": "10m", "input_series": [series], "promql_expr_test": [asked]}]})
    )
    assert "SUCCESS" in output_of("promtool", "test", "rules", file)


@requires("amtool")
@pytest.mark.parametrize("uncommented", [False, True])
def test_amtool_finds_nothing_to_complain_about(uncommented):
    text = (PROMETHEUS / "alertmanager.yml").read_text()
    file = new_folder("alertmanager") / "alertmanager.yml"
    file.write_text(re.sub(r"^    # ", "    ", text, flags=re.MULTILINE) if uncommented else text)
    assert "SUCCESS" in output_of("amtool", "check-config", file)


@requires("amtool")
@pytest.mark.parametrize(("severity", "receiver"), [("critical", "on-call"), ("warning", "team")])
def test_each_severity_has_a_receiver_of_its_own(severity, receiver):
    config = f"--config.file={PROMETHEUS / 'alertmanager.yml'}"
    assert output_of("amtool", "config", "routes", "test", config, f"severity={severity}").strip() == receiver


def test_what_inhibits_and_what_is_inhibited_are_alerts():
    config = yaml.safe_load((PROMETHEUS / "alertmanager.yml").read_text())
    for rule in config["inhibit_rules"]:
        matchers = " ".join(rule["source_matchers"] + rule["target_matchers"])
        named = re.findall(r"(?<=[\"|])[A-Z]\w+(?=[\"|])", matchers)
        assert len(named) >= 2
        assert set(named) <= set(NAMES)


@pytest.mark.parametrize("kind", ["Deployment", "Service"])
def test_kubernetes_knows_each_field_of_its_own_objects(kind):
    """The operator's objects have schemas of their own."""
    kubernetes_validate.validate(manifests("deployment.yaml")[kind], kubernetes_validate.latest_version(), strict=True)


def test_the_operator_scrapes_the_pods_of_the_deployment_with_a_token():
    deployment, service = manifests("deployment.yaml").values()
    [endpoint] = manifests("servicemonitor.yaml")["ServiceMonitor"]["spec"]["endpoints"]
    selected = manifests("servicemonitor.yaml")["ServiceMonitor"]["spec"]["selector"]["matchLabels"]
    pod = deployment["spec"]["template"]
    assert selected.items() <= service["metadata"]["labels"].items()
    assert service["spec"]["selector"].items() <= pod["metadata"]["labels"].items()
    assert deployment["spec"]["selector"]["matchLabels"].items() <= pod["metadata"]["labels"].items()
    assert [port["name"] for port in service["spec"]["ports"]] == [endpoint["port"]]
    assert resolve(endpoint["path"]).view_name == "observability:metrics"
    assert endpoint["authorization"]["credentials"]["key"] == "METRICS_TOKEN"
    assert {"secretRef": {"name": endpoint["authorization"]["credentials"]["name"]}} in containers()["web"]["envFrom"]


def containers():
    return {
        one["name"]: one for one in manifests("deployment.yaml")["Deployment"]["spec"]["template"]["spec"]["containers"]
    }


def test_web_server_and_worker_of_a_pod_share_environment_and_folder():
    web, worker = containers()["web"], containers()["worker"]
    assert worker["command"] == ["python", "manage.py", "db_worker"]
    for part in ("image", "env", "envFrom", "volumeMounts"):
        assert web[part] == worker[part]
    [folder] = [mount["mountPath"] for mount in web["volumeMounts"]]
    assert {"name": "PROMETHEUS_MULTIPROC_DIR", "value": folder} in web["env"]


def test_services_beside_the_pod_set_no_variables_of_the_site():
    """As one called prometheus would, with PROMETHEUS_PORT=tcp://10.0.0.3:9090, which no command starts with."""
    assert manifests("deployment.yaml")["Deployment"]["spec"]["template"]["spec"]["enableServiceLinks"] is False


@pytest.mark.parametrize("probe", ["readinessProbe", "livenessProbe"])
def test_the_probes_ask_for_health(probe):
    asked = containers()["web"][probe]["httpGet"]
    path, _, query = asked["path"].partition("?")
    assert resolve(path).view_name == "observability:health"
    assert query == ("live" if probe == "livenessProbe" else "")
    assert asked["port"] in {port["name"] for port in containers()["web"]["ports"]}


@requires("prometheus")
def test_the_operators_labels_leave_the_sites_own_alone_and_tell_deployments_apart(site, prometheus):
    """As the operator makes a target of a pod; of the same service in two namespaces."""
    [endpoint] = manifests("servicemonitor.yaml")["ServiceMonitor"]["spec"]["endpoints"]
    with site(database=False, redis=False) as running:
        target = running.url.removeprefix("http://")
        found = {"endpoint": "http", "service": "site"}
        config = {
            "scrape_configs": [
                {
                    "job_name": "site",
                    "scrape_interval": "1s",
                    "scrape_timeout": "1s",
                    "metrics_path": endpoint["path"],
                    "authorization": {"credentials": running.env["METRICS_TOKEN"]},
                    "static_configs": [
                        {"targets": [target], "labels": found | {"namespace": name}} for name in ("live", "trial")
                    ],
                    "relabel_configs": [as_prometheus_writes(rule) for rule in endpoint["relabelings"]],
                }
            ]
        }
        with prometheus(yaml.safe_dump(config)) as p:
            running.get("/api/health")
            eventually(
                lambda: p.table('http_requests_total{endpoint="/api/health"}', "job", "exported_endpoint"),
                {("live/site", ""): 1, ("trial/site", ""): 1},
            )


def as_prometheus_writes(rule):
    """The operator's names in camelCase are Prometheus's with underscores."""
    return {re.sub("[A-Z]", lambda letter: f"_{letter[0].lower()}", name): value for name, value in rule.items()}
