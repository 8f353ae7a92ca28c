"""Cases for the alerts on jobs."""

from tests.operations.rules import BELOW, IDLE, IN_TIME, INSTANCES, MORE, QUIET, RESTART, Case, both, of, one

NIGHTLY = {"job_type": "nightly"}
RESULTS, QUEUED, ACTIVE = "automation_job_results_total", "automation_jobs_queued", "active_jobs"
AGE, LAST = "automation_oldest_active_job_age_seconds", "automation_job_last_success_timestamp_seconds"
UP = {of("up"): "1x60"}


def ended(status, values, **labels):
    return {of(RESULTS, **NIGHTLY | {"status": status} | labels): values}


failures = [
    Case(
        "AutomationFailureRate",
        IN_TIME,
        "one job in four fails, four a minute",
        ended("success", "0+3x60") | ended("failed", "0+1x60"),
        {"2m": QUIET, "4m": one(**NIGHTLY), "60m": one(**NIGHTLY)},
        (
            "25% of the nightly jobs of django fail",
            "25% of the jobs nightly of django that ended within half an hour have failed, more than 20%.",
        ),
    ),
    Case(
        "AutomationFailureRate",
        BELOW,
        "19 of 100 fail",
        ended("success", "0+81x60") | ended("failed", "0+19x60"),
        {"5m": QUIET, "60m": QUIET},
    ),
    Case(
        "AutomationFailureRate",
        BELOW,
        "the only four jobs fail",
        ended("success", "7x60") | ended("failed", "0x10 1 2 3 4x50"),
        {"20m": QUIET, "40m": QUIET},
    ),
    Case(
        "AutomationFailureRate",
        IN_TIME,
        "the only five jobs fail, and half an hour later that is over",
        ended("success", "7x80") | ended("failed", "0x10 1 2 3 4 5x80"),
        {"14m": QUIET, "17m": one(**NIGHTLY), "40m": one(**NIGHTLY), "46m": QUIET},
    ),
    Case("AutomationFailureRate", IDLE, "there are no series", {}, {"60m": QUIET}),
    Case(
        "AutomationFailureRate",
        IDLE,
        "no job ends any more",
        ended("success", "5x60") | ended("failed", "50x60"),
        {"60m": QUIET},
    ),
    Case(
        "AutomationFailureRate",
        RESTART,
        "19 of 100 fail, with restarts",
        ended("success", "1000+81x20 0+81x20 0+81x20") | ended("failed", "5000+19x20 0+19x20 0+19x20"),
        {"19m": QUIET, "22m": QUIET, "43m": QUIET, "60m": QUIET},
    ),
    Case(
        "AutomationFailureRate",
        INSTANCES,
        "three fail on one, two succeed on the other: five",
        ended("failed", "0x10 3x50") | ended("success", "0x10 2x50", instance="b"),
        {"13m": one(**NIGHTLY)},
    ),
    Case(
        "AutomationFailureRate",
        INSTANCES,
        "half of the few on one, which is a sixth of all",
        ended("failed", "0+1x60")
        | ended("success", "0+1x60")
        | ended("success", "0+4x60", instance="b")
        | ended("failed", "0x60", instance="b"),
        {"40m": QUIET},
    ),
    Case(
        "AutomationFailureRate",
        INSTANCES,
        "of two deployments one fails",
        ended("failed", "0+9x60", job="staging") | ended("success", "0+9x60"),
        {"20m": [{"job": "staging"} | NIGHTLY]},
    ),
    Case(
        "AutomationFailureRate",
        MORE,
        "most are cancelled, one in ten of the others fails",
        ended("cancelled", "0+50x60") | ended("success", "0+9x60") | ended("failed", "0+1x60"),
        {"40m": QUIET},
    ),
    Case(
        "AutomationFailureRate",
        MORE,
        "cancelling does not hide what fails",
        ended("cancelled", "0+50x60") | ended("success", "0+1x60") | ended("failed", "0+9x60"),
        {"40m": one(**NIGHTLY)},
    ),
    Case(
        "AutomationFailureRate",
        MORE,
        "a type that nobody knew beforehand fails five times before the first scrape of it",
        UP | ended("failed", "_x9 5x50"),
        {"9m": QUIET, "13m": one(**NIGHTLY)},
    ),
]

stuck = [
    Case(
        "AutomationJobStuck",
        IN_TIME,
        "the only worker dies at minute 10",
        {of(AGE): "5x9 0+60x60"},
        {"16m": QUIET, "17m": one(), "30m": one()},
        (
            "A running job of django gave no sign of life for 7m 0s",
            "The worker of a running job of django was last heard of 7m 0s ago, and no other worker took the job over.",
        ),
    ),
    Case("AutomationJobStuck", BELOW, "the age stays at five minutes", {of(AGE): "300x60"}, {"60m": QUIET}),
    Case("AutomationJobStuck", IDLE, "there are no series", {}, {"60m": QUIET}),
    Case("AutomationJobStuck", IDLE, "no job runs", {of(AGE): "0x60"}, {"60m": QUIET}),
    Case(
        "AutomationJobStuck",
        RESTART,
        "each time a worker dies another takes over",
        {of(AGE): "0+60x5 0+60x5 0+60x5 0+60x5"},
        {"5m": QUIET, "6m": QUIET, "17m": QUIET, "23m": QUIET},
    ),
    Case("AutomationJobStuck", INSTANCES, "both read the same 200 seconds", both(AGE, "200x60"), {"60m": QUIET}),
    Case("AutomationJobStuck", INSTANCES, "both read the same 400 seconds", both(AGE, "400x60"), {"60m": one()}),
]


def last(values, **labels):
    return {of(LAST, **NIGHTLY | labels): values}


HOUR = 3600
# Three weeks by the hour, from a Monday on: each hour a success, but for the time from Friday evening on.
WORKWEEKS = " ".join(f"{start * HOUR}+{HOUR}x113 {(start + 113) * HOUR}x53" for start in (0, 168, 336))
NEXT_MONDAY = 3 * 168
FRIDAY = 2 * 168 + 113  # when it succeeds for the last time

success = [
    Case(
        "AutomationNoSuccess",
        IN_TIME,
        "the last success was at hour 1",
        last(f"_ {HOUR}x60"),
        {"26h": QUIET, "27h": one(**NIGHTLY), "60h": one(**NIGHTLY)},
        (
            "No nightly job of django has succeeded for 1d 2h 0m 0s",
            "A job nightly of django last succeeded 1d 2h 0m 0s ago.",
        ),
        "1h",
    ),
    Case(
        "AutomationNoSuccess",
        BELOW,
        "it succeeds once a day",
        last(f"{HOUR}x24 {25 * HOUR}x23 {49 * HOUR}x23"),
        {"25h": QUIET, "26h": QUIET, "49h": QUIET, "50h": QUIET, "72h": QUIET},
        interval="1h",
    ),
    Case("AutomationNoSuccess", IDLE, "there are no series", {}, {"60h": QUIET}, interval="1h"),
    Case("AutomationNoSuccess", IDLE, "no job has succeeded ever", last("0x60"), {"60h": QUIET}, interval="1h"),
    Case(
        "AutomationNoSuccess",
        RESTART,
        "the site is away for three hours, and then it goes on",
        last(f"{HOUR}x22 _x3 {25 * HOUR}x20"),
        {"24h": QUIET, "26h": QUIET, "46h": QUIET},
        interval="1h",
    ),
    Case(
        "AutomationNoSuccess",
        INSTANCES,
        "one has not seen the newest success yet",
        last(f"{HOUR}x30") | last(f"{HOUR}x10 {11 * HOUR}x20", instance="b"),
        {"27h": QUIET, "30h": QUIET},
        interval="1h",
    ),
    Case(
        "AutomationNoSuccess",
        INSTANCES,
        "both read the same, old one",
        last(f"{HOUR}x30") | last(f"{HOUR}x30", instance="b"),
        {"26h": QUIET, "27h": one(**NIGHTLY)},
        interval="1h",
    ),
    Case(
        "AutomationNoSuccess",
        INSTANCES,
        "of two deployments one has a success",
        last(f"{HOUR}x30") | last(f"{20 * HOUR}x30", job="staging"),
        {"30h": one(**NIGHTLY)},
        interval="1h",
    ),
    Case(
        "AutomationNoSuccess",
        MORE,
        "it pauses each weekend, and nobody starts it",
        last(WORKWEEKS),
        {f"{NEXT_MONDAY - 10}h": QUIET, f"{NEXT_MONDAY}h": QUIET},
        interval="1h",
    ),
    Case(
        "AutomationNoSuccess",
        MORE,
        "it pauses each weekend, and on this one its jobs fail",
        last(WORKWEEKS) | ended("failed", f"0x{FRIDAY} 1+1x60"),
        {f"{FRIDAY + 23}h": QUIET, f"{FRIDAY + 27}h": one(**NIGHTLY)},
        interval="1h",
    ),
    Case(
        "AutomationNoSuccess",
        MORE,
        "it pauses each weekend, and on this one its jobs are cancelled",
        last(WORKWEEKS) | ended("cancelled", f"0x{FRIDAY} 1+1x60") | ended("failed", "0x520"),
        {f"{FRIDAY + 27}h": QUIET},
        interval="1h",
    ),
    Case(
        "AutomationNoSuccess",
        MORE,
        "it pauses each weekend, and on this one its jobs wait",
        last(WORKWEEKS) | {of(QUEUED, **NIGHTLY): f"0x{NEXT_MONDAY - 10} 1x30"},
        {f"{NEXT_MONDAY - 10}h": QUIET, f"{NEXT_MONDAY - 1}h": one(**NIGHTLY)},
        interval="1h",
    ),
    Case(
        "AutomationNoSuccess",
        MORE,
        "it succeeded each hour for three weeks, and nobody starts it any more",
        last(f"0+{HOUR}x504 {504 * HOUR}x168"),
        {"528h": QUIET, "530h": one(**NIGHTLY), "670h": one(**NIGHTLY)},
        interval="1h",
    ),
]


def queue(waiting, running):
    return {of(QUEUED, **NIGHTLY): waiting, of(ACTIVE): running}


backlog = [
    Case(
        "AutomationQueueBacklog",
        IN_TIME,
        "51 wait from minute 10 on",
        queue("0x9 51x60", "4x60"),
        {"24m": QUIET, "25m": one(**NIGHTLY)},
        (
            "51 nightly jobs of django wait",
            (
                "51 jobs nightly of django have been waiting for a quarter of an hour: more than 50, or no job "
                "of any type runs."
            ),
        ),
    ),
    Case(
        "AutomationQueueBacklog",
        IN_TIME,
        "one waits from minute 10 on, and no worker is there",
        queue("0x9 1x60", "2x9 0x60"),
        {"24m": QUIET, "25m": one(**NIGHTLY)},
    ),
    Case("AutomationQueueBacklog", BELOW, "50 wait, and some run", queue("50x60", "4x60"), {"60m": QUIET}),
    Case("AutomationQueueBacklog", IDLE, "there are no series", {}, {"60m": QUIET}),
    Case("AutomationQueueBacklog", IDLE, "nothing waits and nothing runs", queue("0x60", "0x60"), {"60m": QUIET}),
    Case(
        "AutomationQueueBacklog",
        RESTART,
        "the workers restart, which takes ten minutes",
        queue("5x10 60x10 5x40", "4x10 0x10 4x40"),
        {"20m": QUIET, "26m": QUIET, "60m": QUIET},
    ),
    Case(
        "AutomationQueueBacklog",
        INSTANCES,
        "both read the same 30",
        both(QUEUED, "30x60", **NIGHTLY) | both(ACTIVE, "1x60"),
        {"60m": QUIET},
    ),
    Case(
        "AutomationQueueBacklog",
        INSTANCES,
        "of two deployments one has no workers",
        queue("1x60", "1x60") | {of(QUEUED, job="staging", **NIGHTLY): "1x60", of(ACTIVE, job="staging"): "0x60"},
        {"60m": [{"job": "staging"} | NIGHTLY]},
    ),
]

CASES = failures + stuck + success + backlog
