"""Every alert fires when it should, in time and with the right numbers, and is quiet otherwise."""

import pytest

from tests.operations import cases_ai, cases_jobs, cases_monitoring, cases_site, cases_slo
from tests.operations.rules import KINDS, Unit, alerts
from tests.servers import requires

CASES = [case for module in (cases_site, cases_slo, cases_jobs, cases_ai, cases_monitoring) for case in module.CASES]


@requires("promtool")
@pytest.mark.parametrize("case", CASES, ids=str)
def test_an_alert_fires_when_it_should_and_not_otherwise(case):
    assert Unit(case).complaints() == ""


@pytest.mark.parametrize("alert", alerts())
def test_every_alert_has_a_case_of_each_kind_and_one_that_says_what_it_says(alert):
    cases = [case for case in CASES if case.alert == alert]
    assert {case.kind for case in cases} >= KINDS
    assert any(case.says for case in cases)
    assert all(any(case.at.values()) for case in cases if case.says)


def test_every_case_is_about_an_alert_that_is_there():
    assert {case.alert for case in CASES} == alerts().keys()
