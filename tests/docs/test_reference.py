"""The reference pages say what the code does: settings, metrics, checks, settings of the site, make targets."""

import ast
import json
import re
import subprocess
import sys
import tomllib
from dataclasses import fields

import pytest
import yaml

import observability
from observability import checks, metrics
from observability.conf import Conf
from project.sandbox.faults import KINDS, STATUSES
from tests.docs.pages import blocks, code_in, rows
from tests.servers import new_folder, requires
from tests.site import ROOT

CORE = """
    http_requests_total http_request_duration_seconds http_request_size_bytes
    automation_jobs_total automation_job_duration_seconds automation_job_steps_total
    notion_requests_total notion_request_duration_seconds vercel_deployments_total vercel_deployment_duration_seconds
    ai_requests_total ai_tokens_total ai_cost_usd active_users active_jobs database_connections
""".split()
METRIC_HEADER = ("name", "type", "labels", "meaning")


def output_of(*command):
    """What a program prints when it succeeds."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_every_setting_is_there_with_its_default_and_variable():
    stated = {
        code_in(key)[0]: (ast.literal_eval(code_in(default)[0]), code_in(variable))
        for key, default, variable, meaning in rows("docs/settings.md", "key", "default", "environment", "meaning")
        if meaning
    }
    declared = {
        field.name: (
            list(field.default) if isinstance(field.default, tuple) else field.default,
            [field.name] if field.metadata.get("env") else [],
        )
        for field in fields(Conf)
    }
    assert stated == declared


def test_every_metric_is_there_with_its_type_and_labels():
    stated = [(code_in(name)[0], kind, labels) for name, kind, labels, _ in rows("docs/metrics.md", *METRIC_HEADER)]
    declared = [(metrics.name_of(m), m._type, ", ".join(m._labelnames)) for m in metrics.declared()]
    assert stated == declared


def test_the_meaning_of_a_metric_begins_with_its_help_text():
    help_texts = {metrics.name_of(metric): metric._documentation for metric in metrics.declared()}
    for name, _, _, meaning in rows("docs/metrics.md", *METRIC_HEADER):
        assert meaning.startswith(help_texts[code_in(name)[0]])


def test_the_buckets_are_there():
    declared = {m._name: m._upper_bounds[:-1] for m in metrics.declared() if m._type == "histogram"}
    stated = {
        name: [float(bound) for bound in bounds.split(", ")]
        for names, bounds in rows("docs/metrics.md", "histograms", "upper bounds")
        for name in code_in(names)
    }
    assert stated == declared


def test_the_values_of_status_are_there():
    declared = {
        metrics.name_of(metric): list(metrics._known(metric, "status"))
        for metric in metrics.declared()
        if "status" in metric._labelnames and metric is not metrics.http_requests_total
    }
    stated = {
        name: code_in(values)
        for names, values in rows("docs/metrics.md", "metric", "values")
        for name in code_in(names)
    }
    assert stated == declared


def test_the_gauges_of_the_whole_deployment_are_named_where_max_is_asked_for():
    text = (ROOT / "docs" / "metrics.md").read_text()
    paragraph = text.partition("### Gauges that describe the whole deployment\n\n")[2].partition("**take `max`")[0]
    assert sorted(code_in(paragraph)) == sorted(metric._name for metric in (*metrics.SETTABLE, *metrics.READ))


def test_the_core_metrics_are_those_of_the_contract():
    core = [code_in(row[0])[0] for row in rows("docs/metrics.md", *METRIC_HEADER) if row[0].startswith("**core**")]
    assert core == CORE


@requires("promtool")
def test_the_queries_are_valid():
    names = [metrics.name_of(metric) for metric in metrics.declared()]
    rules = []
    for number, block in enumerate(blocks("promql")):
        assert any(name in block.code for name in names), f"{block} asks for none of our metrics"
        rules.append({"record": f"query:{number}", "expr": block.code})
    path = new_folder("rules") / "rules.yml"
    path.write_text(json.dumps({"groups": [{"name": "docs", "rules": rules}]}))
    assert f"SUCCESS: {len(rules)} rules found" in output_of("promtool", "check", "rules", path)


@requires("promtool")
def test_the_query_of_failed_requests_joins_both_names_of_a_model():
    [query] = [block.code for block in blocks("promql") if "label_replace" in block.code]
    names = {"rate_limited": ("mini", "haiku", "local"), "success": ("mini-2026-03-17", "haiku-20251001", "local")}
    series = [
        {"series": f'ai_requests_total{{model="{model}",status="{status}"}}', "values": f"0+{number}x60"}
        for status, number in (("rate_limited", 1), ("success", 3))
        for model in names[status]
    ]
    expected = [{"labels": f'{{asked="{model}"}}', "value": 0.25} for model in ("haiku", "local", "mini")]
    asked = {"expr": query, "eval_time": "1h", "exp_samples": expected}
    path = new_folder("rules") / "test.yml"
    path.write_text(json.dumps({"tests": [{"interval": "1m", "input_series": series, "promql_expr_test": [asked]}]}))
    assert "SUCCESS" in output_of("promtool", "test", "rules", path)


def test_every_system_check_is_there_with_its_level():
    source = "".join((ROOT / app / "checks.py").read_text() for app in ("observability", "automation"))
    used = set(re.findall(r'id="(\w+\.[EWI]\d+)"', source))
    stated = {code_in(check)[0]: level for check, level, cause, remedy in check_rows() if cause and remedy}
    assert sorted(stated) == sorted(used)
    assert all(level[0] == check.partition(".")[2][0] for check, level in stated.items())


def check_rows():
    return rows("docs/checks.md", "id", "level", "cause", "remedy")


def test_checks_that_metrics_enabled_silences_are_named(settings):
    """Each of these settings has one of them speak while metrics are on."""
    loud = set()
    for middleware in ([], ["first", checks.MIDDLEWARE]):
        for values in ({"PROMETHEUS_MULTIPROC_DIR": "/dev/null/x"}, {"METRICS_PUBLIC": True}):
            settings.MIDDLEWARE, settings.ROOT_URLCONF = middleware, "automation.urls"
            settings.OBSERVABILITY = values
            loud |= {message.id for check in checks.ALL for message in check(None)}
            settings.OBSERVABILITY = values | {"METRICS_ENABLED": False}
            assert [message.id for check in checks.ALL for message in check(None)] == []
    text = (ROOT / "docs" / "checks.md").read_text()
    named = re.search(r"With `METRICS_ENABLED` off, (.+) are silent", text)[1]
    # where a folder is in use, as here, the checks of the store have nothing to say
    assert loud | {"observability.W002", "observability.I001"} == {
        f"observability.{name}" for name in re.findall(r"[A-Z]\d{3}", named)
    }


def test_every_variable_of_the_site_is_there():
    code = "".join((ROOT / "project" / name).read_text() for name in ("settings.py", "gunicorn.conf.py"))
    read = set(re.findall(r"""(?<!config\.get)\(\s*["']([A-Z][A-Z_]+)["']""", code))
    stated = {code_in(name)[0] for name, _, _ in rows("docs/operations.md", "variable", "default", "meaning")}
    assert stated == read - {field.name for field in fields(Conf)}


def test_every_fault_of_the_sandbox_is_there():
    statuses, *kinds = [
        code_in(fault) for fault, meaning in rows("docs/operations.md", "fault", "what happens") if meaning
    ]
    assert statuses == [str(STATUSES[0]), str(STATUSES[-1])]
    assert [name for [name] in kinds] == list(KINDS)


def test_every_make_target_is_there():
    targets = re.findall(r"^([a-z]+):.*## ", (ROOT / "Makefile").read_text(), re.MULTILINE)
    stated = [
        code_in(target)[0].removeprefix("make ") for target, _ in rows("CONTRIBUTING.md", "command", "what it does")
    ]
    assert sorted(stated) == sorted(targets)


def test_every_extra_is_there():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    stated = {code_in(extra)[0] for extra, _ in rows("docs/installation.md", "extra", "what it is for")}
    assert stated == set(project["optional-dependencies"])


def test_the_newest_version_of_the_changelog_and_that_of_the_readme_are_that_of_the_package():
    newest = re.search(r"^## \[(.+?)\]", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)[1]
    stated = re.search(r"^This is (\d+\.\d+\.\d+)", (ROOT / "README.md").read_text(), re.MULTILINE)[1]
    assert newest == stated == observability.__version__


def test_the_matrix_runs_what_the_index_is_told():
    sessions = json.loads(output_of(sys.executable, "-m", "nox", "--list", "--json", "--noxfile", ROOT / "noxfile.py"))
    pairs = {(each["python"], each["call_spec"]["django"]) for each in sessions if each["name"] == "tests"}
    told = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["classifiers"]
    run = {f"Programming Language :: Python :: {python}" for python, _ in pairs}
    run |= {f"Framework :: Django :: {django}" for _, django in pairs}
    assert run == {each for each in told if re.search(r" :: \d+\.\d+$", each)}


def is_for_prometheus(block):
    return yaml.safe_load(block.code).keys() <= {"global", "scrape_configs", "remote_write"}


def test_each_yaml_block_is_for_prometheus_or_names_containers():
    """The latter are looked at by the tests of the pages that have them."""
    others = [yaml.safe_load(block.code) for block in blocks("yaml") if not is_for_prometheus(block)]
    assert [set(other) - {"services", "volumes"} for other in others] == [set(), set()]


@requires("promtool")
@pytest.mark.parametrize("block", [block for block in blocks("yaml") if is_for_prometheus(block)], ids=str)
def test_a_configuration_of_prometheus_is_valid(block):
    folder = new_folder("config")
    for name in re.findall(r"/etc/prometheus/(\w+)", block.code):
        (folder / name).touch()
    (folder / "prometheus.yml").write_text(block.code.replace("/etc/prometheus/", f"{folder}/"))
    assert "SUCCESS" in output_of("promtool", "check", "config", folder / "prometheus.yml")


def test_the_environment_file_holds_only_variables_that_are_read():
    known = {code_in(row[0])[0] for row in rows("docs/operations.md", "variable", "default", "meaning")}
    known |= {field.name for field in fields(Conf) if field.metadata.get("env")}
    for block in blocks("ini"):
        names = re.findall(r"^([A-Z_]+)=", block.code, re.MULTILINE)
        assert names
        assert {name for name in names if name.removesuffix("_FILE") not in known} == set()
