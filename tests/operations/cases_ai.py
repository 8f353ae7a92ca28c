"""Cases for the alerts on what AI costs."""

from tests.operations.rules import BELOW, IDLE, IN_TIME, INSTANCES, MORE, QUIET, RESTART, Case, of, one

UP = {of("up"): "1x60"}

COST = "ai_cost_usd_sum"


def cost(values, **labels):
    return {of(COST, **{"model": "gpt-5.5"} | labels): values}


spend = [
    Case(
        "HighAICost",
        IN_TIME,
        "at minute 11 a request costs 12 USD, and an hour later that is over",
        cost("3x10 15x120"),
        {"10m": QUIET, "12m": one(), "60m": one(), "72m": QUIET},
        (
            "django spent 12.50 USD on AI within an hour",
            "django spent 12.50 USD on AI within the last hour, more than 10 USD.",
        ),
    ),
    Case("HighAICost", BELOW, "9.60 USD an hour, for hours", cost("0+0.16x240"), {"60m": QUIET, "240m": QUIET}),
    Case("HighAICost", IDLE, "there are no series", {}, {"240m": QUIET}),
    Case("HighAICost", IDLE, "nobody spends any more", cost("900x240"), {"60m": QUIET, "240m": QUIET}),
    Case(
        "HighAICost",
        RESTART,
        "9 USD an hour, with a restart that forgets the 400 before",
        cost("400+0.15x60 0+0.15x60"),
        {"60m": QUIET, "63m": QUIET, "120m": QUIET},
    ),
    Case(
        "HighAICost",
        INSTANCES,
        "6 USD on each",
        cost("0x10 6x50") | cost("0x10 6x50", instance="b", model="claude-sonnet-5"),
        {"12m": one()},
    ),
    Case(
        "HighAICost",
        INSTANCES,
        "6 USD on each of two deployments",
        cost("0x10 6x50") | cost("0x10 6x50", job="staging"),
        {"12m": QUIET, "60m": QUIET},
    ),
    Case(
        "HighAICost",
        MORE,
        "the first request to a model costs 12 USD: a series that starts there",
        UP | cost("_x10 12x50"),
        {"10m": QUIET, "12m": one()},
        (
            "django spent 12.00 USD on AI within an hour",
            "django spent 12.00 USD on AI within the last hour, more than 10 USD.",
        ),
    ),
    Case(
        "HighAICost",
        MORE,
        "Prometheus is new, and sees at first what was spent in a year",
        UP | cost("5000x60"),
        {"1m": QUIET, "5m": QUIET, "60m": QUIET},
    ),
    Case(
        "HighAICost",
        MORE,
        "the site was down for a while, and comes back with what it had spent",
        {of("up"): "1x20 0x5 1x34"} | cost("5000x20 _x6 5000x34"),
        {"26m": QUIET, "28m": QUIET, "60m": QUIET},
    ),
]


def budget(limit, spent, **labels):
    return {
        of("ai_budget_limit_usd", budget="all", **labels): limit,
        of("ai_budget_spent_usd", budget="all", **labels): spent,
    }


DAY = 144  # spaces of ten minutes
ALL = {"budget": "all"}

forecast = [
    Case(
        "AISpendForecastOverBudget",
        IN_TIME,
        "one USD an hour from midnight on, and ten a day are allowed",
        budget("10x300", f"0+{1 / 60}x300"),
        {"2h": QUIET, "3h": one(**ALL), "4h": one(**ALL)},
        (
            "The budget all of django is heading for 13.50 USD",
            (
                "At the present pace django will have spent 13.50 USD when the day or month of the budget all ends, "
                "and its limit is 10.00 USD."
            ),
        ),
    ),
    Case(
        "AISpendForecastOverBudget",
        BELOW,
        "9.90 USD a day, evenly",
        budget(f"10x{DAY}", f"0+{9.9 / DAY}x{DAY}"),
        {"3h": QUIET, "12h": QUIET, "24h": QUIET},
        interval="10m",
    ),
    Case("AISpendForecastOverBudget", IDLE, "there is no budget", {}, {"24h": QUIET}, interval="10m"),
    Case(
        "AISpendForecastOverBudget", IDLE, "nothing is spent", budget("10x144", "0x144"), {"24h": QUIET}, interval="10m"
    ),
    Case(
        "AISpendForecastOverBudget",
        RESTART,
        "a day ends at 9 of 10 USD after a busy evening, and the next begins at 0",
        budget("10x200", "0x108 0+0.25x35 0+0.01x50"),
        {"18h": QUIET, "22h": QUIET, "24h": QUIET, "25h": QUIET, "30h": QUIET},
        interval="10m",
    ),
    Case(
        "AISpendForecastOverBudget",
        INSTANCES,
        "both read the same, 9.90 USD a day",
        budget(f"10x{DAY}", f"0+{9.9 / DAY}x{DAY}") | budget(f"10x{DAY}", f"0+{9.9 / DAY}x{DAY}", instance="b"),
        {"12h": QUIET, "24h": QUIET},
        interval="10m",
    ),
    Case(
        "AISpendForecastOverBudget",
        INSTANCES,
        "both read the same, one USD an hour",
        budget("10x300", f"0+{1 / 60}x300") | budget("10x300", f"0+{1 / 60}x300", instance="b"),
        {"2h": QUIET, "3h": one(**ALL)},
    ),
    Case(
        "AISpendForecastOverBudget",
        MORE,
        "of a budget of nothing something was spent before it was set",
        budget("0x300", "1x300"),
        {"5h": QUIET},
    ),
    Case(
        "AISpendForecastOverBudget",
        MORE,
        "four USD a day, and 100 a month are allowed",
        budget(f"100x{5 * DAY}", f"0+{4 / DAY}x{5 * DAY}"),
        {"24h": QUIET, "48h": QUIET, "49h": one(**ALL), "119h": one(**ALL)},
        interval="10m",
    ),
    Case(
        "AISpendForecastOverBudget",
        MORE,
        "three USD a day, and 100 a month are allowed",
        budget(f"100x{5 * DAY}", f"0+{3 / DAY}x{5 * DAY}"),
        {"24h": QUIET, "49h": QUIET, "119h": QUIET},
        interval="10m",
    ),
    Case(
        "AISpendForecastOverBudget",
        MORE,
        "9 of 10 USD on each day: the month is none of this budget's business",
        budget(f"10x{5 * DAY}", " ".join([f"0+{9 / DAY}x{DAY - 1}"] * 5)),
        {"47h": QUIET, "50h": QUIET, "71h": QUIET, "119h": QUIET},
        interval="10m",
    ),
    Case(
        "AISpendForecastOverBudget",
        INSTANCES,
        "of two the one that was asked last goes, and what was spent falls by a cent",
        budget("1000x432", "300+0.05x288 stale") | budget("1000x432", "299.94+0.05x432", instance="b"),
        {"47h": QUIET, "49h": QUIET, "60h": QUIET},
        interval="10m",
    ),
    Case(
        "AISpendForecastOverBudget",
        MORE,
        "a cost that was unknown becomes known, and is less than what was reserved",
        budget("1000x432", "300+0.05x288 314+0.05x143"),
        {"47h": QUIET, "50h": QUIET, "60h": QUIET},
        interval="10m",
    ),
]

EXCEEDED, REFUSED = "AIBudgetExceeded", "ai_budget_rejections_total"

exceeded = [
    Case(
        EXCEEDED,
        IN_TIME,
        "from minute 11 on all of it is spent",
        budget("10x60", "9x10 10x50"),
        {"10m": QUIET, "11m": one(**ALL), "60m": one(**ALL)},
        (
            "100% of the budget all of django are spent",
            "100% of the 10.00 USD of the budget all of django are spent; requests that do not fit in are refused.",
        ),
    ),
    Case(
        EXCEEDED,
        IN_TIME,
        "the first request does not fit into the rest",
        UP | budget("10x60", "9.5x60") | {of(REFUSED, **ALL): "_x10 1x50"},
        {"10m": QUIET, "12m": one(**ALL), "28m": QUIET},
        (
            "95% of the budget all of django are spent",
            "95% of the 10.00 USD of the budget all of django are spent; requests that do not fit in are refused.",
        ),
    ),
    Case(EXCEEDED, BELOW, "9.99 of 10 are spent", budget("10x60", "9.99x60"), {"60m": QUIET}),
    Case(EXCEEDED, IDLE, "there is no budget", {}, {"60m": QUIET}),
    Case(EXCEEDED, IDLE, "a budget of nothing, of which nothing is asked", budget("0x60", "0x60"), {"60m": QUIET}),
    Case(
        EXCEEDED,
        RESTART,
        "five requests were refused before a restart",
        budget("10x60", "1x60") | {of(REFUSED, **ALL): "5x30 0x30"},
        {"20m": QUIET, "32m": QUIET, "60m": QUIET},
    ),
    Case(
        EXCEEDED,
        INSTANCES,
        "both read that 6 of 10 are spent",
        budget("10x60", "6x60") | budget("10x60", "6x60", instance="b"),
        {"60m": QUIET},
    ),
    Case(
        EXCEEDED,
        INSTANCES,
        "both read that all of it is spent",
        budget("10x60", "10x60") | budget("10x60", "10x60", instance="b"),
        {"60m": one(**ALL)},
    ),
    Case(
        EXCEEDED,
        INSTANCES,
        "the same budget of two deployments",
        budget("10x60", "10x60") | budget("20x60", "10x60", job="staging"),
        {"60m": one(**ALL)},
    ),
]

UNPRICED, MODEL = "ai_unpriced_requests_total", {"model": "local"}

unpriced = [
    Case(
        "AIRequestsUnpriced",
        IN_TIME,
        "three requests to a new model, and an hour later that is over",
        {of("up"): "1x120"} | {of(UNPRICED, **MODEL): "_x10 3x120"},
        {"10m": QUIET, "12m": one(**MODEL), "60m": one(**MODEL), "73m": QUIET},
        (
            "Requests of django to local without a price: 3",
            "Requests of django to local within the last hour whose cost is unknown, and in no sum: 3.",
        ),
    ),
    Case("AIRequestsUnpriced", BELOW, "none since it began", {of(UNPRICED, **MODEL): "0x60"}, {"60m": QUIET}),
    Case("AIRequestsUnpriced", IDLE, "there are no series", {}, {"60m": QUIET}),
    Case("AIRequestsUnpriced", IDLE, "some, a while ago", UP | {of(UNPRICED, **MODEL): "7x60"}, {"60m": QUIET}),
    Case(
        "AIRequestsUnpriced",
        RESTART,
        "some before it",
        {of(UNPRICED, **MODEL): "7x20 0x40"},
        {"22m": QUIET, "60m": QUIET},
    ),
    Case(
        "AIRequestsUnpriced",
        INSTANCES,
        "one on each",
        {of(UNPRICED, **MODEL): "0x10 1x50", of(UNPRICED, instance="b", **MODEL): "0x10 1x50"},
        {"10m": QUIET, "12m": one(**MODEL)},
        (
            "Requests of django to local without a price: 2",
            "Requests of django to local within the last hour whose cost is unknown, and in no sum: 2.",
        ),
    ),
]

CASES = spend + forecast + exceeded + unpriced
