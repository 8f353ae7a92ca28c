"""The page about Sentry: its examples run, and its alerts ask for what is sent."""

import pytest
from django.template import Context, Engine

from automation.reaper import MONITOR
from observability.scrubbing import is_secret
from tests.docs.pages import blocks, code_in, ids, rows
from tests.site import ROOT

PAGE = ROOT / "docs" / "sentry.md"
ALERTS = ("alert", "kind", "when", "then")
PARTS = {
    "deploy": "def deploy(name): raise RuntimeError(name)",
    "collect": "def collect(): pass",
}


@pytest.mark.parametrize("example", blocks("python", pages=[PAGE]), ids=ids)
def test_each_example_runs_with_and_without_sentry(readme_project, sentry, example):
    given = "\n".join(code for word, code in PARTS.items() if word in example.code)
    sent = "from sentry_sdk import flush; flush(30)"  # else the SDK says at the end that it waits
    code = f"{given}\n{example.code.replace('init(...', 'init(None')}\n{sent}\nprint('done')"
    assert readme_project.script(code) == "done\n"
    assert readme_project.script(code, SENTRY_DSN=sentry.dsn, SENTRY_TRACES_SAMPLE_RATE="1") == "done\n"


def test_the_page_of_an_error_shows_its_ids_and_without_sentry_that_of_the_request():
    [example] = blocks("html", pages=[PAGE])
    page = Engine().from_string(example.code)
    assert "give these: request r1, error e1." in page.render(Context({"request_id": "r1", "event_id": "e1"}))
    assert "give these: request r1." in page.render(Context({"request_id": "r1", "event_id": ""}))


def test_the_alerts_ask_for_what_is_sent():
    asked = {word for row in rows("docs/sentry.md", *ALERTS) for cell in row for word in code_in(cell)}
    operations = {word.partition(":")[2] for word in asked if ".op:" in word}
    source = "".join(path.read_text() for path in (ROOT / "automation").rglob("*.py"))
    source += (ROOT / "observability" / "http" / "ai_spans.py").read_text()
    assert MONITOR in asked
    assert operations == {"http.server", "queue.process", "gen_ai.chat"}
    assert 'op="queue.process"' in source
    assert 'f"gen_ai.{operation}"' in source


def test_what_is_never_sent_is_what_the_scrubber_knows():
    text = PAGE.read_text().partition("## What is never sent")[2].partition("## By yourself")[0]
    first, _, plain = text.partition("`primary_key`")
    names = [name for name in code_in(first) if name.isidentifier() and name != "Filtered"]
    assert [name for name in names if not is_secret(name)] == []
    assert not any(map(is_secret, ["primary_key", *code_in(plain)[:2]]))
