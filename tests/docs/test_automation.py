"""The page about jobs: its example runs, and its tables say what the code does."""

import ast
import re

import pytest

from automation import conf, engine, jobs, registry
from automation.models import Job
from tests.docs.pages import blocks, code_in, rows
from tests.site import ROOT

PAGE = ROOT / "docs" / "automation.md"
EXAMPLES = [block.code for block in blocks("python", pages=[PAGE]) if not block.file]


@pytest.mark.django_db(transaction=True)
def test_the_example_runs_as_the_page_says(monkeypatch):
    monkeypatch.setattr(registry, "_registry", dict(registry._registry))
    names = {}
    for example in EXAMPLES:
        exec(example, names)

    assert names["job"].status == Job.Status.CANCELLED
    done = engine.run(names["again"])
    assert (done.status, done.retry_of) == ("success", names["job"])
    assert done.result == [{"to": "ada", "text": "News about Django"}]


def test_every_call_and_error_on_the_page_is_there():
    calls = [code_in(call)[0] for call, _ in rows("docs/automation.md", "call", "what it does")]
    public = [name for name, value in vars(jobs).items() if callable(value) and value.__module__ == jobs.__name__]
    assert sorted(calls) == sorted(name for name in public if not name.startswith("_"))
    assert engine.MAX_WAIT == 120  # "two minutes"
    assert engine.CHECK_SECONDS == 1  # "once a second"


def test_every_setting_is_there_with_its_default():
    stated = {
        code_in(key)[0]: ast.literal_eval(code_in(default)[0])
        for key, default, _ in rows("docs/automation.md", "key", "default", "meaning")
    }
    read = re.findall(r'_get\("(\w+)", (.+?)\)', (ROOT / "automation" / "conf.py").read_text())
    assert stated == {key: ast.literal_eval(default) for key, default in read}


def test_the_example_of_settings_names_settings(settings):
    [block] = [block for block in blocks("python", pages=[PAGE]) if block.file]
    names = {}
    exec(block.code, names)
    settings.AUTOMATION = names["AUTOMATION"]
    assert conf.lease().total_seconds() == names["AUTOMATION"].pop("LEASE_SECONDS")
    assert conf.max_attempts() == names["AUTOMATION"].pop("MAX_ATTEMPTS")
    assert names["AUTOMATION"] == {}
