"""``manage.py dump_metrics`` shows what was recorded, in each format, and says what to do when it cannot."""

import json
import os
import stat
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from observability.metrics import MetricsCollector

pytestmark = pytest.mark.django_db


def dump(capsys, *arguments):
    call_command("dump_metrics", *arguments)
    return capsys.readouterr().out


@pytest.fixture(autouse=True)
def _one_request():
    MetricsCollector.record_http_request("GET", "/dumped", 200, 0.25)


def test_text_is_the_default(capsys):
    families = {family.name for family in parse_text(dump(capsys))}
    assert {"http_requests", "app_info", "observability_source_up"} <= families


def test_openmetrics_ends_as_the_format_says(capsys):
    text = dump(capsys, "--format", "openmetrics")
    assert text.endswith("# EOF\n")
    assert "http_requests" in {family.name for family in parse_openmetrics(text)}


def test_json_is_that_of_the_endpoint(capsys):
    content = json.loads(dump(capsys, "--format", "json"))
    assert content["http_requests_total"]["type"] == "counter"


def test_the_table_has_a_line_for_each_series_and_none_for_buckets(capsys):
    lines = dump(capsys, "--format", "table").splitlines()
    assert [line for line in lines if line.startswith("http_requests_total") and 'endpoint="/dumped"' in line]
    assert not [line for line in lines if "_bucket" in line]
    assert len({len(line) for line in lines}) == 1


@pytest.mark.parametrize(
    ("prefixes", "beginnings"),
    [(["http_requests"], {"http_requests"}), (["automation_jobs", "app_"], {"automation_jobs", "app_info"})],
)
def test_prefixes_select(capsys, prefixes, beginnings):
    content = json.loads(dump(capsys, "--format", "json", "--name", *prefixes))
    assert content
    assert all(name.startswith(tuple(prefixes)) for name in content)
    assert {next(b for b in beginnings if name.startswith(b)) for name in content} == beginnings


def test_a_prefix_of_nothing_is_told(capsys):
    call_command("dump_metrics", "--name", "nonsense")
    assert capsys.readouterr() == ("", "No metric begins with 'nonsense'.\n")


def test_a_file_is_readable_by_its_owner_only_and_replaces_the_old_one_whole(tmp_path):
    file = tmp_path / "site.prom"
    file.write_text("old")
    file.chmod(0o644)
    call_command("dump_metrics", "--output", str(file))
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert "http_requests" in {family.name for family in parse_text(file.read_text())}
    assert list(tmp_path.iterdir()) == [file]


def test_a_folder_that_is_not_there_is_a_sentence():
    with pytest.raises(CommandError, match=r"/nowhere/site\.prom cannot be written: No such file"):
        call_command("dump_metrics", "--output", "/nowhere/site.prom")


@pytest.mark.parametrize("make", [Path.mkdir, os.mkfifo, lambda path: path.symlink_to("elsewhere")])
def test_what_is_no_regular_file_is_left_as_it_is(tmp_path, make):
    make(taken := tmp_path / "taken")
    before = taken.lstat()
    with pytest.raises(CommandError, match="no regular file"):
        call_command("dump_metrics", "--output", str(taken))
    assert list(tmp_path.iterdir()) == [taken]
    assert (taken.lstat().st_ino, taken.lstat().st_mode) == (before.st_ino, before.st_mode)


def test_without_a_store_the_command_says_what_to_set(own_process):
    code = """
from django.core.management import call_command, CommandError
try: call_command("dump_metrics")
except CommandError as error: print(json.dumps(str(error)))
"""
    assert "set OBSERVABILITY['PROMETHEUS_MULTIPROC_DIR']" in own_process(code, PROMETHEUS_MULTIPROC_DIR="")
    assert "The store folder /dev/null/none cannot be used" in own_process(
        code, PROMETHEUS_MULTIPROC_DIR="/dev/null/none"
    )
    assert "METRICS_ENABLED" in own_process(code, METRICS_ENABLED="no")
