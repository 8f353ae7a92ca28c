"""The page about what AI costs says what the code does, and its examples work."""

import pytest
from django.core.checks import run_checks

from observability.spend.overrides import KEYS, PRICES, REQUIRED
from observability.spend.rules import RULES
from observability.spend.usage import KINDS, PARTS
from observability.testing import assert_increases
from tests.docs.pages import blocks, code_in, rows
from tests.site import ROOT

PAGE = "docs/spend.md"


def test_every_kind_of_tokens_is_there_with_its_whole():
    stated = {code_in(kind)[0]: set(code_in(whole)) for kind, whole, _ in rows(PAGE, "kind", "among", "meaning")}
    wholes = {kind: {whole for whole, parts in PARTS if kind in parts} for kind in KINDS}
    assert stated.keys() == wholes.keys()
    assert all(stated[kind] <= wholes[kind] for kind in KINDS)
    assert {kind for kind in KINDS if wholes[kind]} == {kind for kind in KINDS if stated[kind]}


def test_every_rule_is_there_with_its_numbers_and_its_source():
    table = rows(PAGE, "API", "its numbers", "rule", "source")
    stated = {(tuple(code_in(numbers)), source.partition("(")[2].rstrip(")")) for _, numbers, _, source in table}
    declared = [rule for rules in RULES.values() for rule in rules]
    assert stated == {(rule.paths["input_tokens"] + rule.paths["output_tokens"], rule.source) for rule in declared}


def test_every_key_of_a_price_is_there_with_what_holds_without_it():
    stated = {code_in(key)[0]: default for key, default, _ in rows(PAGE, "key", "default", "meaning")}
    assert list(stated) == list(KEYS)
    assert {key for key, default in stated.items() if not default} == set(REQUIRED)
    assert {key: code_in(stated[key]) for key in PRICES} == {
        key: [whole] if whole else [] for key, whole in PRICES.items()
    }


def test_the_prices_of_the_page_are_prices(settings):
    [block] = [block for block in blocks("python", pages=[ROOT / PAGE]) if block.file]
    written = {}
    exec(block.code, written)
    settings.OBSERVABILITY = settings.OBSERVABILITY | written["OBSERVABILITY"]
    assert len(settings.OBSERVABILITY["AI_PRICES"]) == 2
    assert [error.id for error in run_checks() if "AI_PRICES" in error.msg] == []


@pytest.mark.usefixtures("own_prices")
def test_the_example_of_recording_counts():
    [block] = [block for block in blocks("python", pages=[ROOT / PAGE]) if not block.file]
    with assert_increases("ai_cost_usd_sum", by=0.0035, model="gpt-4o"):
        exec(block.code, {})
