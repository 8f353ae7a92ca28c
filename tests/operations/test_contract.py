"""Every expression in dashboards, rules and documents asks for what the registry has, in a way that makes sense."""

import json
import re

import pytest
import yaml

from observability import metrics
from tests.docs.pages import blocks
from tests.operations.promql import Reading
from tests.site import ROOT

BOARDS = [json.loads(path.read_text()) for path in sorted((ROOT / "grafana" / "dashboards").glob("*.json"))]
VALUES = re.compile(r"label_values\((.+), (\w+)\)")
RULES = [
    rule
    for path in ("prometheus/rules.yml", "prometheus/alerts.yml")
    for group in yaml.safe_load((ROOT / path).read_text())["groups"]
    for rule in group["rules"]
]
RECORDED = {rule["record"]: rule["expr"] for rule in RULES if "record" in rule}


def read(expression):
    """What is wrong, the labels of the result, and the metrics that were asked for."""
    reading = Reading(RECORDED)
    labels = reading.of(expression)
    return reading.wrong, labels, reading.metrics


def targets(board):
    """The queries of a dashboard's panels, by what they are found under."""
    return {
        f"{panel['title']} {target['refId']}": target
        for panel in board["panels"]
        for target in panel.get("targets", [])
    }


WRONG = {
    "there is no metric http_request_total": ["sum(rate(http_request_total[5m]))"],
    "there is no metric ai_cost_usd": ["histogram_quantile(0.95, ai_cost_usd)"],
    "http_requests_total: there is no label code": ['sum(rate(http_requests_total{code="500"}[5m]))'],
    "sum over: there is no label route": ["sum by (route) (rate(http_requests_total[5m]))"],
    "sum over: there is no label job_type": ["sum without (job_type) (rate(automation_jobs_total[5m]))"],
    "and on: there is no label model": ["max by (job) (active_jobs) and on (model) max by (job) (active_users)"],
    "automation_jobs_total has no such status": ['sum(rate(automation_jobs_total{status="error"}[5m]))'],
    "http_requests_total has no such status": ['sum(rate(http_requests_total{status=~"6.."}[5m]))'],
    "rate of a gauge": ["max(rate(active_jobs[5m]))", "sum by (instance) (rate(http_requests_in_progress[5m]))"],
    "increase of a gauge": ["max(increase(ai_budget_spent_usd[5m]))"],
    "delta of a counter": ["sum(delta(http_requests_total[5m]))"],
    "sum of the same number of each instance: take max": [
        "sum(active_users)",
        "sum by (job_type) (automation_jobs_queued)",
        "sum by (budget) (ai_budget_spent_usd)",
        "sum(database_connections > 3)",
    ],
    "the same number comes once an instance: take max": ["automation_oldest_active_job_age_seconds > 120"],
    "a quantile of what is not the rate of buckets": [
        "histogram_quantile(0.95, sum by (le) (ai_cost_usd_bucket))",
        "histogram_quantile(0.95, sum(rate(ai_cost_usd_sum[5m])))",
    ],
    "histogram_quantile: there is no label le": ["histogram_quantile(0.95, sum(rate(ai_cost_usd_bucket[5m])))"],
    "nothing matches: [] / ['model']": ["sum(rate(ai_tokens_total[5m])) / sum by (model) (rate(ai_tokens_total[5m]))"],
    "tokens are added to what they are a part of": [
        "sum by (model) (rate(ai_token_usage_total[5m]))",
        'sum(rate(ai_token_usage_total{type!="output"}[5m]))',
    ],
}


@pytest.mark.parametrize(
    ("expression", "complaint"), [(expression, complaint) for complaint in WRONG for expression in WRONG[complaint]]
)
def test_what_is_wrong_is_found(expression, complaint):
    assert complaint in read(expression)[0]


@pytest.mark.parametrize(
    "expression",
    [
        "sum by (job) (max by (job, job_type) (automation_jobs_queued))",
        'sum(rate(ai_token_usage_total{type=~"input|output"}[5m]))',
        "time() - max by (job_type) (automation_job_last_success_timestamp_seconds)",
        'sum by (endpoint) (rate(http_requests_total{endpoint=~"$endpoint"}[$__rate_interval]))',
        "max by (job) (active_jobs) * on (job) group_left (version) max by (job, version) (app_info)",
    ],
)
def test_what_is_right_is_left_alone(expression):
    assert read(expression)[0] == []


@pytest.mark.parametrize("board", BOARDS, ids=lambda board: board["uid"])
def test_panels_ask_for_what_there_is_and_name_it_by_its_labels(board):
    complaints = {}
    for name, target in targets(board).items():
        wrong, labels, _ = read(target["expr"])
        named = set(re.findall(r"{{(\w+)}}", target["legendFormat"]))
        complaints[name] = wrong + [f"the legend names {label}" for label in named - labels]
    assert {name: wrong for name, wrong in complaints.items() if wrong} == {}


@pytest.mark.parametrize("board", BOARDS, ids=lambda board: board["uid"])
def test_variables_and_annotations_ask_for_what_there_is(board):
    for variable in board["templating"]["list"]:
        if variable["type"] == "query":
            series, label = VALUES.fullmatch(variable["query"]).groups()
            wrong, labels, _ = read(series)
            assert (wrong, {label} - labels) == ([], set())
    assert [read(annotation["expr"])[0] for annotation in board["annotations"]["list"]] == [[], []]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.get("record") or rule["alert"])
def test_a_rule_asks_for_what_there_is_and_tells_of_its_labels(rule):
    wrong, labels, _ = read(rule["expr"])
    assert wrong == []
    told = " ".join(rule.get("annotations", {}).values())
    assert set(re.findall(r"\$labels\.(\w+)", told)) <= labels | rule.get("labels", {}).keys()


@pytest.mark.parametrize("block", blocks("promql"), ids=str)
def test_a_query_of_the_documents_asks_for_what_there_is(block):
    assert read(block.code)[0] == []


def test_every_metric_is_on_a_dashboard():
    shown = {name for board in BOARDS for target in targets(board).values() for name in read(target["expr"])[2]}
    assert {metrics.name_of(metric) for metric in metrics.declared()} - shown == set()
