"""Budgets under many requests at the same time, from processes that may be killed."""

import json
import sys
from contextlib import ExitStack
from decimal import Decimal

import pytest

from project.sandbox.addresses import SERVICES, variables
from tests.processes import running
from tests.site import ROOT, eventually

PROCESSES, THREADS = 4, 16
STATE = """
import json
from automation.models import AIRequest, Budget, Reservation
[budget] = Budget.objects.all()
[period] = budget.periods.all()
costs = list(AIRequest.objects.filter(cost__gt=0).values_list("cost", flat=True))
held = list(Reservation.objects.values_list("amount", flat=True))
print(json.dumps([period.spent, period.reserved, sum(costs), len(costs), len(held), sum(held)], default=str))
"""
MAKE = "from automation.models import Budget; Budget.objects.create(name='all', limit=1)"
REAP = "from automation.reaper import reap; reap()"

pytestmark = pytest.mark.timeout(240)


def shell(site, code):
    done = site.manage("shell", "-v0", "-c", code)
    assert done.returncode == 0, done.stderr
    return done.stdout


def state(site):
    """What is spent and reserved; what requests have cost, and how many have; how much is held how often."""
    spent, reserved, cost, number, held, amount = json.loads(shell(site, STATE))
    return Decimal(spent), Decimal(reserved), Decimal(cost), number, held, Decimal(amount)


def ledger_cost(entry):
    """What the provider's own books say that a request has cost: 5 and 30 USD for a million tokens."""
    return Decimal(entry["input_tokens"] * 5 + entry["output_tokens"] * 30) / 10**6


def hire(stack, site, number, threads=THREADS):
    command = [sys.executable, "-m", "tests.automation.spenders", str(threads)]
    env = {"DJANGO_SETTINGS_MODULE": "project.settings"} | site.env
    return stack.enter_context(running(command, site.folder / f"spender{number}.log", cwd=ROOT, env=env))


@pytest.mark.parametrize("database", [True, False], ids=["postgresql", "sqlite"])
def test_64_threads_of_4_processes_never_overspend_and_the_ledger_agrees(site, sandbox, sentry, database):
    env = variables(sandbox.url, list(SERVICES)) | {"SENTRY_DSN": sentry.dsn}
    with site(env=env, database=database, redis=False, workers=1) as running_site, ExitStack() as stack:
        shell(running_site, MAKE)
        spenders = [hire(stack, running_site, number) for number in range(PROCESSES)]
        assert [process.wait(200) for process in spenders] == [0] * PROCESSES

        spent, reserved, cost, number, held, _ = state(running_site)
        asked = sandbox.requests(service="openai")
        assert spent == cost
        assert Decimal("0.97") < spent <= 1
        assert (reserved, held) == (0, 0)
        assert len(asked) == number
        assert cost == sum(map(ledger_cost, asked))
        [warning] = sentry.wait("event")
        assert warning["message"].startswith("AI budget all: 0.8")
        assert running_site.value("ai_budget_rejections_total", budget="all") == PROCESSES * THREADS


@pytest.mark.parametrize("database", [True, False], ids=["postgresql", "sqlite"])
def test_what_killed_processes_had_reserved_is_gone_within_its_time(site, sandbox, tmp_path, database):
    (tmp_path / "hasty.py").write_text(
        'from project.settings import *\nAUTOMATION |= {"LEASE_SECONDS": 1, "COMPLETION_TIMEOUT": 7}\n'
    )
    hasty = {"DJANGO_SETTINGS_MODULE": "hasty", "PYTHONPATH": str(tmp_path)}
    sandbox.faults("openai", "slow", seconds=4, times=None)
    env = variables(sandbox.url, list(SERVICES)) | hasty
    with site(env=env, database=database, redis=False, workers=1) as running_site, ExitStack() as stack:
        shell(running_site, MAKE)
        spenders = [hire(stack, running_site, number, threads=8) for number in range(PROCESSES)]
        eventually(lambda: len(sandbox.requests(service="openai")) >= 8 * PROCESSES, True, seconds=60)
        for process in spenders[: PROCESSES // 2]:
            process.kill()
        assert [process.wait(200) for process in spenders[PROCESSES // 2 :]] == [0] * (PROCESSES // 2)
        eventually(lambda: shell(running_site, REAP) or state(running_site)[1], 0, seconds=30)

        spent, _, cost, _, held, amount = state(running_site)
        assert held > 0
        assert spent == cost + amount
        assert spent <= 1
