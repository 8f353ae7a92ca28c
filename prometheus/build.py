"""``make rules``: writes the rules for Prometheus, and the same for its operator in Kubernetes."""

from pathlib import Path
from typing import Any

import yaml

from prometheus import alerting, recording
from prometheus.alerting import Alert
from prometheus.thresholds import RUNBOOKS

ROOT = Path(__file__).resolve().parent.parent
Group = dict[str, Any]


def recording_groups() -> list[Group]:
    """The groups of ``prometheus/rules.yml``."""
    return [
        {"name": f"{name}.rules", "rules": [{"record": record, "expr": expr} for record, expr in rules.items()]}
        for name, rules in recording.GROUPS.items()
    ]


def alerting_groups() -> list[Group]:
    """The groups of ``prometheus/alerts.yml``."""
    return [
        {"name": f"{name}.alerts", "rules": [_rule(alert) for alert in alerts]}
        for name, alerts in alerting.GROUPS.items()
    ]


def _rule(alert: Alert) -> dict[str, Any]:
    return {
        "alert": alert.name,
        "expr": alert.expr,
        **({"for": alert.lasting} if alert.lasting else {}),
        "labels": {"severity": alert.severity, **alert.labels},
        "annotations": {
            "summary": alert.summary,
            "description": alert.description,
            "runbook_url": f"{RUNBOOKS}#{alert.name.lower()}",
        },
    }


def prometheus_rule() -> dict[str, Any]:
    """All groups as an object of the operator."""
    return {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PrometheusRule",
        # The Prometheus of kube-prometheus-stack looks for its release's name in the label.
        "metadata": {"name": "site", "labels": {"release": "kube-prometheus-stack"}},
        "spec": {"groups": recording_groups() + alerting_groups()},
    }


FILES = {
    "prometheus/rules.yml": lambda: {"groups": recording_groups()},
    "prometheus/alerts.yml": lambda: {"groups": alerting_groups()},
    "kubernetes/prometheusrule.yaml": prometheus_rule,
}


class _Dumper(yaml.SafeDumper):
    """Writes text of several lines as a person would."""


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Dumper.add_representer(str, _text)


def text_of(name: str) -> str:
    """The content of one of the files."""
    content = yaml.dump(FILES[name](), Dumper=_Dumper, sort_keys=False, width=1000, allow_unicode=True)
    return f"# Made by `make rules` from prometheus/*.py: change it there.\n{content}"


def main() -> None:
    for name in FILES:
        (ROOT / name).write_text(text_of(name))


if __name__ == "__main__":
    main()
