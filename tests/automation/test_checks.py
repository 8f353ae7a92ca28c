"""A wrong setting is told by a system check, with what to do about it."""

import pytest
from django.core.checks import run_checks


@pytest.fixture
def messages(settings):
    """``messages(KEY=value)``: what the checks say of these settings, by id."""

    def run(replace=None, **values):
        settings.AUTOMATION = values if replace is None else replace
        return {message.id: message for message in run_checks(tags=["automation"])}

    return run


def test_the_site_itself_has_nothing_to_say():
    assert run_checks(tags=["automation"]) == []


def test_what_is_no_dictionary_is_an_error(messages):
    message = messages(replace=["LEASE_SECONDS"])["automation.E001"]
    assert message.msg == "AUTOMATION must be a dictionary, not list."
    assert message.hint


@pytest.mark.parametrize(("key", "nearest"), [("LEASE_SECOND", "LEASE_SECONDS"), ("max_attempts", "MAX_ATTEMPTS")])
def test_an_unknown_key_is_an_error_with_the_nearest_name(messages, key, nearest):
    message = messages(**{key: 1})["automation.E002"]
    assert message.msg == f"AUTOMATION has no key {key!r}."
    assert message.hint == f"Did you mean {nearest!r}?"


def test_a_key_like_no_other_gets_the_list(messages):
    assert messages(QWERTY=1)["automation.E002"].hint.startswith("The keys are PIPELINES, API_TOKEN, ")


@pytest.mark.parametrize("value", [0, -1, "60", True, float("nan"), float("inf"), [60]])
@pytest.mark.parametrize("key", ["LEASE_SECONDS", "CALL_TIMEOUT", "COMPLETION_TIMEOUT", "DEPLOY_TIMEOUT"])
def test_seconds_are_a_number_above_0(messages, key, value):
    message = messages(**{key: value})["automation.E003"]
    assert message.msg == f"AUTOMATION[{key!r}] must be a number of seconds above 0, not {value!r}."
    assert message.hint.startswith("Leave it out for the default, ")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("MAX_ATTEMPTS", 0),
        ("MAX_ATTEMPTS", 1.5),
        ("MAX_ATTEMPTS", "3"),
        ("SITE_CHECK_HOSTS", "localhost:8000"),
        ("MODELS", "gpt-5.5"),
        ("MODELS", ["gpt-5.5", None]),
        ("NOTION_URL", 8000),
        ("DEPLOYMENT_DOMAIN", ["vercel.app"]),
    ],
)
def test_a_value_of_a_wrong_kind_is_an_error(messages, key, value):
    assert f"AUTOMATION[{key!r}] must be" in messages(**{key: value})["automation.E003"].msg


@pytest.mark.parametrize("key", ["API_TOKEN", "OPENAI_API_KEY", "VERCEL_AUTOMATION_BYPASS_SECRET"])
def test_a_key_of_a_wrong_kind_is_not_shown(messages, key):
    message = messages(**{key: ["hunter2"]})["automation.E003"]
    assert "hunter2" not in str(message)
    assert message.msg == f"AUTOMATION[{key!r}] must be a string, not the list that it is."


@pytest.mark.parametrize("nothing", [None, ""])
def test_an_empty_value_is_as_good_as_none(messages, nothing):
    assert messages(LEASE_SECONDS=nothing, MODELS=nothing, API_TOKEN=nothing) == {}


def test_values_of_their_kinds_are_right(messages):
    assert messages(LEASE_SECONDS=0.5, CALL_TIMEOUT=5, MAX_ATTEMPTS=1, MODELS=("gpt-5.5",), API_TOKEN="x") == {}
