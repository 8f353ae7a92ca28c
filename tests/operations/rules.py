"""A case for an alert: series, and what fires at which times; promtool evaluates all rules over them."""

import json
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import yaml

from tests.servers import new_folder, require
from tests.site import ROOT

RULES = [ROOT / "prometheus" / name for name in ("rules.yml", "alerts.yml")]

# What each alert has a case of.
IN_TIME, BELOW, IDLE, RESTART, INSTANCES = "in time", "just below", "no data", "a restart", "two instances"
KINDS = {IN_TIME, BELOW, IDLE, RESTART, INSTANCES}
MORE = "more"

Labels = Mapping[str, str]


@dataclass(frozen=True)
class Case:
    """``at``: by time after the start, what fires then: the labels of each alert but its name and severity."""

    alert: str
    kind: str
    story: str
    series: Mapping[str, str]
    at: Mapping[str, Sequence[Labels]]
    says: tuple[str, str] | None = None  # summary and description of the first one that fires
    interval: str = "1m"

    def __str__(self) -> str:
        return f"{self.alert}: {self.story}"


QUIET: Sequence[Labels] = ()


def of(name: str, **labels: Any) -> str:
    """A series of an instance of a deployment."""
    text = ",".join(f'{label}="{value}"' for label, value in ({"job": "django", "instance": "a"} | labels).items())
    return f"{name}{{{text}}}"


def both(name: str, values: str, **labels: Any) -> dict[str, str]:
    """The same on two instances."""
    return {of(name, instance=instance, **labels): values for instance in ("a", "b")}


def one(**labels: str) -> Sequence[Labels]:
    """One alert of the deployment."""
    return ({"job": "django"} | labels,)


@cache
def groups() -> list[dict[str, Any]]:
    return [group for file in RULES for group in yaml.safe_load(file.read_text())["groups"]]


def rules(kind: str) -> list[dict[str, Any]]:
    """The rules that "record", or those that "alert"."""
    return [rule for group in groups() for rule in group["rules"] if kind in rule]


def alerts() -> dict[str, list[dict[str, Any]]]:
    """The rules of each alert by its name."""
    found: dict[str, list[dict[str, Any]]] = {}
    for rule in rules("alert"):
        found.setdefault(rule["alert"], []).append(rule)
    return found


@cache
def made_of(alert: str) -> list[dict[str, Any]]:
    """The groups of an alert and of what it asks for: promtool evaluates all that it is given, which takes its time."""
    exprs = {rule["record"]: rule["expr"] for rule in rules("record")}
    text, names = json.dumps(alerts()[alert]), set()
    while names != (names := {name for name in exprs if name in text}):
        text += " ".join(exprs[name] for name in names)
    kept = [
        group | {"rules": [rule for rule in group["rules"] if rule.get("record", rule.get("alert")) in {alert, *names}]}
        for group in groups()
    ]
    return [group for group in kept if group["rules"]]


@dataclass
class Unit:
    """A test file of promtool for one case."""

    case: Case

    def labels(self, labels: Labels) -> dict[str, str]:
        [severity] = {rule["labels"]["severity"] for rule in alerts()[self.case.alert]}
        return {"severity": severity, **labels}

    def firing(self, time: str, expected: Sequence[Labels]) -> dict[str, Any]:
        asked = {"alertname": self.case.alert, "alertstate": "firing"}
        samples = [
            {"labels": f"ALERTS{{{','.join(f'{k}={json.dumps(v)}' for k, v in (asked | self.labels(one)).items())}}}"}
            for one in expected
        ]
        expr = f'ALERTS{{alertname="{self.case.alert}",alertstate="firing"}}'
        return {"expr": expr, "eval_time": time, "exp_samples": [sample | {"value": 1} for sample in samples]}

    def saying(self) -> list[dict[str, Any]]:
        if not self.case.says:
            return []
        time, [first, *_] = next((time, fired) for time, fired in self.case.at.items() if fired)
        summary, description = self.case.says
        [url] = {rule["annotations"]["runbook_url"] for rule in alerts()[self.case.alert]}
        said = {"summary": summary, "description": description, "runbook_url": url}
        expected = [{"exp_labels": self.labels(first), "exp_annotations": said}]
        return [{"eval_time": time, "alertname": self.case.alert, "exp_alerts": expected}]

    def content(self) -> dict[str, Any]:
        return {
            "rule_files": ["rules.yml"],
            "evaluation_interval": self.case.interval,
            "group_eval_order": [group["name"] for group in made_of(self.case.alert)],
            "tests": [
                {
                    "interval": self.case.interval,
                    "input_series": [{"series": name, "values": text} for name, text in self.case.series.items()],
                    "alert_rule_test": self.saying(),
                    "promql_expr_test": [self.firing(*expected) for expected in self.case.at.items()],
                }
            ],
        }

    def complaints(self) -> str:
        """What promtool finds to be otherwise; nothing when all is as the case tells it."""
        folder = new_folder("unit")
        (folder / "rules.yml").write_text(json.dumps({"groups": made_of(self.case.alert)}))
        (folder / "test.yml").write_text(json.dumps(self.content()))
        command = [require("promtool"), "test", "rules", folder / "test.yml"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
        return done.stdout + done.stderr if done.returncode else ""
