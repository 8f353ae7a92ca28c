"""Cases for the alerts on requests, targets and the database."""

from tests.operations.rules import BELOW, IDLE, IN_TIME, INSTANCES, MORE, QUIET, RESTART, Case, both, of, one

REQUESTS = "http_requests_total"


def answers(status, values, **labels):
    return {of(REQUESTS, **{"method": "GET", "endpoint": "/", "status": status} | labels): values}


def durations(buckets, **labels):
    """A histogram from the values of some buckets by their upper bound; the last one counts all."""
    labels = {"method": "GET", "endpoint": "/report"} | labels
    name = "http_request_duration_seconds"
    series = {of(f"{name}_bucket", **labels, le=bound): values for bound, values in buckets.items()}
    return series | {of(f"{name}_count", **labels): list(buckets.values())[-1]}


SLOW, FAST = (
    {"2.5": "0x60", "5": "0x60", "7.5": "0+10x60", "+Inf": "0+10x60"},
    {"2.5": "0x60", "5": "0+10x60", "7.5": "0+10x60", "+Inf": "0+10x60"},
)

errors = [
    Case(
        "HighErrorRate",
        IN_TIME,
        "one request in ten fails from minute 10 on",
        answers(200, "0+9x60") | answers(500, "0x10 1+1x50"),
        {"17m": QUIET, "18m": one(), "50m": one()},
        (
            "10% of the requests to django fail",
            "10% of the requests to django ended in 5xx over the last five minutes, more than 5%.",
        ),
    ),
    Case(
        "HighErrorRate",
        BELOW,
        "49 of 1,000 requests fail",
        answers(200, "0+951x60") | answers(503, "0+49x60"),
        {"20m": QUIET, "60m": QUIET},
    ),
    Case("HighErrorRate", IDLE, "there are no series", {}, {"60m": QUIET}),
    Case(
        "HighErrorRate",
        IDLE,
        "nobody asks after the errors of yesterday",
        answers(200, "100x60") | answers(500, "100x60"),
        {"60m": QUIET},
    ),
    Case(
        "HighErrorRate",
        RESTART,
        "4 % fail, and the site restarts twice",
        answers(200, "0+960x20 0+960x20 0+960x20") | answers(500, "0+40x20 0+40x20 0+40x20"),
        {"20m": QUIET, "25m": QUIET, "45m": QUIET, "60m": QUIET},
    ),
    Case(
        "HighErrorRate",
        RESTART,
        "10 % fail, and go on after a restart",
        answers(200, "0+90x20 0+90x20") | answers(500, "0+10x20 0+10x20"),
        {"19m": one(), "22m": one(), "40m": one()},
    ),
    Case(
        "HighErrorRate",
        INSTANCES,
        "one of two fails always, which is a tenth of all",
        answers(500, "0+10x60") | answers(200, "0+90x60", instance="b"),
        {"20m": one()},
    ),
    Case(
        "HighErrorRate",
        INSTANCES,
        "one of two fails always, which is a thirtieth of all",
        answers(500, "0+10x60") | answers(200, "0+290x60", instance="b"),
        {"20m": QUIET},
    ),
    Case(
        "HighErrorRate",
        INSTANCES,
        "of two deployments one fails",
        answers(500, "0+10x60", job="staging") | answers(200, "0+900x60"),
        {"20m": [{"job": "staging"}]},
    ),
    Case(
        "HighErrorRate",
        INSTANCES,
        "a rolling deploy replaces one by the other, and 4 % fail",
        answers(200, "0+96x20 stale")
        | answers(500, "0+4x20 stale")
        | answers(200, "_x19 0+96x40", instance="b")
        | answers(500, "_x19 0+4x40", instance="b"),
        {"19m": QUIET, "21m": QUIET, "24m": QUIET, "40m": QUIET},
    ),
    Case(
        "HighErrorRate",
        MORE,
        "clients go away and lose their way",
        answers(500, "0+1x60") | answers(499, "0+50x60") | answers(404, "0+50x60"),
        {"60m": QUIET},
    ),
    Case(
        "HighErrorRate",
        MORE,
        "two requests fail within any five minutes of a night, and nobody else asks",
        answers(500, "0+0.4x60"),
        {"20m": QUIET, "60m": QUIET},
    ),
    Case(
        "HighErrorRate",
        MORE,
        "Prometheus's own scrapes do not count among what works",
        answers(200, "0+100x60", endpoint="/api/metrics") | answers(200, "0+9x60") | answers(500, "0+1x60"),
        {"20m": one()},
    ),
]

slow = [
    Case(
        "SlowRequests",
        IN_TIME,
        "every request takes 5 to 7.5 seconds",
        durations(SLOW),
        {"10m": QUIET, "12m": one(endpoint="/report"), "60m": one(endpoint="/report")},
        (
            "/report of django is slow: p95 is 7.375s",
            "One request in twenty to /report of django takes 7.375s or more, above 5 s.",
        ),
    ),
    Case("SlowRequests", BELOW, "every request takes almost 5 seconds", durations(FAST), {"20m": QUIET, "60m": QUIET}),
    Case("SlowRequests", IDLE, "there are no series", {}, {"60m": QUIET}),
    Case(
        "SlowRequests",
        IDLE,
        "nobody asks any more",
        durations(dict.fromkeys(["2.5", "5"], "0x60") | dict.fromkeys(["7.5", "+Inf"], "50x60")),
        {"60m": QUIET},
    ),
    Case(
        "SlowRequests",
        RESTART,
        "slow goes on after a restart",
        durations({"2.5": "0x60", "5": "0x60", "7.5": "0+10x15 0+10x45", "+Inf": "0+10x15 0+10x45"}),
        {"15m": one(endpoint="/report"), "18m": one(endpoint="/report"), "30m": one(endpoint="/report")},
    ),
    Case(
        "SlowRequests",
        RESTART,
        "fast, and restarts",
        durations({"2.5": "0x60", "5": "0+10x15 0+10x45", "7.5": "0+10x15 0+10x45", "+Inf": "0+10x15 0+10x45"}),
        {"16m": QUIET, "18m": QUIET, "30m": QUIET},
    ),
    Case(
        "SlowRequests",
        INSTANCES,
        "both are slow",
        durations(SLOW) | durations(SLOW, instance="b"),
        {"20m": one(endpoint="/report")},
    ),
    Case(
        "SlowRequests",
        INSTANCES,
        "of twenty-two requests one, to one of the two, is slow",
        durations(SLOW)
        | durations({"2.5": "0x60", "5": "0+210x60", "7.5": "0+210x60", "+Inf": "0+210x60"}, instance="b"),
        {"20m": QUIET, "60m": QUIET},
    ),
    Case(
        "SlowRequests",
        MORE,
        "four requests in five minutes say nothing",
        durations({"2.5": "0x60", "5": "0x60", "7.5": "0+0.8x60", "+Inf": "0+0.8x60"}),
        {"60m": QUIET},
    ),
    Case(
        "SlowRequests",
        MORE,
        "a stream takes as long as its reader",
        durations(SLOW) | {of("http_stream_first_byte_seconds_count", method="GET", endpoint="/report"): "0+10x60"},
        {"60m": QUIET},
    ),
]

down = [
    Case(
        "TargetDown",
        IN_TIME,
        "it is down from minute 11 on",
        {of("up"): "1x10 0x20"},
        {"13m": QUIET, "14m": one(instance="a"), "30m": one(instance="a")},
        (
            "a of django cannot be scraped",
            "Prometheus got no metrics from a of django for three minutes: it is down, or refuses the scrape.",
        ),
    ),
    Case("TargetDown", BELOW, "a restart takes two minutes", {of("up"): "1x10 0x1 1x20"}, {"13m": QUIET, "14m": QUIET}),
    Case("TargetDown", IDLE, "there is no target", {}, {"60m": QUIET}),
    Case(
        "TargetDown",
        RESTART,
        "it restarts again and again",
        {of("up"): "1 1 0 0 1 1 0 0 1 1 0 0 1 1 0 0 1 1"},
        {"3m": QUIET, "7m": QUIET, "15m": QUIET},
    ),
    Case(
        "TargetDown",
        INSTANCES,
        "one of two is down",
        {of("up"): "0x30", of("up", instance="b"): "1x30"},
        {"10m": one(instance="a")},
    ),
    Case(
        "TargetDown",
        INSTANCES,
        "a deploy takes one away",
        {of("up"): "1x10 stale", of("up", instance="b"): "_x9 1x30"},
        {"12m": QUIET, "20m": QUIET},
    ),
]

CONNECTIONS = "database_connections"

connections = [
    Case(
        "DatabaseConnectionsHigh",
        IN_TIME,
        "81 from minute 6 on",
        {of(CONNECTIONS): "20x5 81x60"},
        {"15m": QUIET, "16m": one()},
        (
            "81 connections to the database of django",
            "django has 81 connections to its database open, more than 80.",
        ),
    ),
    Case("DatabaseConnectionsHigh", BELOW, "80 all the time", {of(CONNECTIONS): "80x60"}, {"60m": QUIET}),
    Case(
        "DatabaseConnectionsHigh",
        IDLE,
        "the database does not answer",
        {of(CONNECTIONS): "90x5 stale"},
        {"12m": QUIET, "60m": QUIET},
    ),
    Case(
        "DatabaseConnectionsHigh",
        RESTART,
        "the old workers' are open for a while beside those of the new",
        {of(CONNECTIONS): "60x10 110x8 60x40"},
        {"15m": QUIET, "20m": QUIET, "60m": QUIET},
    ),
    Case("DatabaseConnectionsHigh", INSTANCES, "both read the same 79", both(CONNECTIONS, "79x60"), {"60m": QUIET}),
    Case("DatabaseConnectionsHigh", INSTANCES, "both read the same 90", both(CONNECTIONS, "90x60"), {"60m": one()}),
]

CASES = errors + slow + down + connections
