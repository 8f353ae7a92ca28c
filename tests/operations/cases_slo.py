"""Cases for the alerts on the error budget."""

from tests.operations.cases_site import answers
from tests.operations.rules import BELOW, IDLE, IN_TIME, INSTANCES, MORE, QUIET, RESTART, Case, one

FAST_BURN, SLOW_BURN = "ErrorBudgetBurnFast", "ErrorBudgetBurnSlow"


def share(percent, hours, **labels):
    """1,000 requests a minute, of which so many per cent fail."""
    failed, minutes = round(percent * 10), hours * 60
    return answers(200, f"0+{1000 - failed}x{minutes}", **labels) | answers(500, f"0+{failed}x{minutes}", **labels)


def with_restart(percent, hours):
    """The same, with a restart in the middle."""
    return {name: f"{values} {values}" for name, values in share(percent, hours // 2).items()}


fast = [
    Case(
        FAST_BURN,
        IN_TIME,
        "after two good hours everything fails",
        answers(200, "0+10x120 1210x60") | answers(500, "0x120 10+10x60"),
        {"122m": QUIET, "130m": one(window="1h"), "150m": one(window="1h") + one(window="6h")},
        (
            "12.9% of the requests to django failed over 1h",
            (
                "12.9% of the requests to django ended in 5xx over 1h, and it goes on. What the objective of 99.5% "
                "allows for 30 days is used up in 2.1 days above 7.2%."
            ),
        ),
    ),
    Case(FAST_BURN, IN_TIME, "7 % fail all the time", share(7, 1), {"15m": QUIET, "25m": one(window="6h")}),
    Case(FAST_BURN, BELOW, "2.9 % fail all the time", share(2.9, 3), {"1h": QUIET, "3h": QUIET}),
    Case(FAST_BURN, IDLE, "there are no series", {}, {"3h": QUIET}),
    Case(FAST_BURN, IDLE, "nobody asks", answers(200, "7x180") | answers(500, "7x180"), {"3h": QUIET}),
    Case(
        FAST_BURN,
        RESTART,
        "2.9 % fail, with a restart",
        with_restart(2.9, 4),
        {"119m": QUIET, "125m": QUIET, "3h": QUIET},
    ),
    Case(
        FAST_BURN,
        INSTANCES,
        "one of two fails to 20 %, a tenth of all",
        share(20, 2) | share(0, 2, instance="b"),
        {"2h": one(window="1h") + one(window="6h")},
    ),
    Case(FAST_BURN, INSTANCES, "2.9 % of both fail", share(2.9, 2) | share(2.9, 2, instance="b"), {"2h": QUIET}),
    Case(
        FAST_BURN,
        MORE,
        "an outage of ten minutes is over",
        answers(200, "0+100x120 12100x9 12200+100x60") | answers(500, "0x120 100+100x9 1000x60"),
        {"130m": one(window="1h"), "138m": QUIET, "180m": QUIET},
    ),
    Case(FAST_BURN, MORE, "clients lose their way", answers(200, "0+9x60") | answers(404, "0+9x60"), {"60m": QUIET}),
    Case(
        FAST_BURN,
        MORE,
        "nine of forty requests of a night fail",
        answers(200, "0+0.5x60") | answers(500, "0x30 1+1x8 9x20"),
        {"35m": QUIET, "40m": QUIET, "45m": QUIET},
    ),
]

slow = [
    Case(
        SLOW_BURN,
        IN_TIME,
        "2 % fail all the time",
        share(2, 3),
        {"1h": QUIET, "65m": one(window="1d") + one(window="3d"), "3h": one(window="1d") + one(window="3d")},
    ),
    Case(
        SLOW_BURN,
        IN_TIME,
        "0.6 % fail all the time",
        share(0.6, 3),
        {"1h": QUIET, "65m": one(window="3d"), "3h": one(window="3d")},
        (
            "0.6% of the requests to django failed over 3d",
            (
                "0.6% of the requests to django ended in 5xx over 3d, and it goes on. What the objective of 99.5% "
                "allows for 30 days is used up in 30 days above 0.5%."
            ),
        ),
    ),
    Case(SLOW_BURN, BELOW, "0.4 % fail all the time", share(0.4, 3), {"2h": QUIET, "3h": QUIET}),
    Case(SLOW_BURN, IDLE, "there are no series", {}, {"3h": QUIET}),
    Case(SLOW_BURN, IDLE, "nobody asks", answers(200, "7x180") | answers(500, "7x180"), {"3h": QUIET}),
    Case(
        SLOW_BURN,
        RESTART,
        "0.4 % fail, with a restart",
        with_restart(0.4, 4),
        {"119m": QUIET, "125m": QUIET, "3h": QUIET},
    ),
    Case(
        SLOW_BURN,
        INSTANCES,
        "one of two fails to 2 %, which is 1 % of all",
        share(2, 3) | share(0, 3, instance="b"),
        {"3h": one(window="3d")},
    ),
    Case(SLOW_BURN, INSTANCES, "0.4 % of both fail", share(0.4, 3) | share(0.4, 3, instance="b"), {"3h": QUIET}),
    Case(
        SLOW_BURN,
        MORE,
        "nine of a thousand requests fail",
        answers(200, "0+5x240") | answers(500, "0x60 1x20 9x200"),
        {"2h": QUIET, "4h": QUIET},
    ),
]

CASES = fast + slow
