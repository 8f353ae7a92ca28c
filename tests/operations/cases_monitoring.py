"""Cases for the alerts on the metrics themselves."""

from tests.operations.rules import BELOW, IDLE, IN_TIME, INSTANCES, QUIET, RESTART, Case, of, one

UP = {of("up"): "1x60"}

HEALTHY, SOURCE, DROPPED = "observability_store_healthy", "observability_source_up", "observability_dropped_total"
DATABASE, NAN = {"source": "database"}, {"metric": "ai_cost_usd", "reason": "invalid_value"}

store = [
    Case(
        "MetricsStoreUnhealthy",
        IN_TIME,
        "the disk is full from minute 11 on",
        {of(HEALTHY): "1x10 0x50"},
        {"15m": QUIET, "16m": one(instance="a")},
        (
            "a of django cannot record its metrics",
            "What a of django counts has not reached its store for five minutes: other alerts may miss it.",
        ),
    ),
    Case(
        "MetricsStoreUnhealthy",
        BELOW,
        "it is full for four minutes",
        {of(HEALTHY): "1x10 0x4 1x40"},
        {"15m": QUIET, "16m": QUIET},
    ),
    Case("MetricsStoreUnhealthy", IDLE, "there are no series", {}, {"60m": QUIET}),
    Case(
        "MetricsStoreUnhealthy",
        RESTART,
        "a restart mends it",
        {of(HEALTHY): "0x3 stale _ 1x50"},
        {"6m": QUIET, "10m": QUIET, "60m": QUIET},
    ),
    Case(
        "MetricsStoreUnhealthy",
        INSTANCES,
        "one of two has a full disk",
        {of(HEALTHY): "1x60", of(HEALTHY, instance="b"): "0x60"},
        {"60m": one(instance="b")},
    ),
]

source = [
    Case(
        "MetricsSourceDown",
        IN_TIME,
        "the database is away from minute 11 on",
        {of(SOURCE, **DATABASE): "1x10 0x50", of(SOURCE, source="cache"): "1x60"},
        {"15m": QUIET, "16m": one(instance="a", **DATABASE)},
        (
            "a of django cannot read gauges from database",
            "database has not answered a of django in time for five minutes; gauges read from it are absent.",
        ),
    ),
    Case(
        "MetricsSourceDown",
        BELOW,
        "a failover takes four minutes",
        {of(SOURCE, **DATABASE): "1x10 0x4 1x40"},
        {"15m": QUIET, "16m": QUIET},
    ),
    Case("MetricsSourceDown", IDLE, "there are no series", {}, {"60m": QUIET}),
    Case(
        "MetricsSourceDown",
        RESTART,
        "a restart mends it",
        {of(SOURCE, **DATABASE): "0x3 stale _ 1x50"},
        {"6m": QUIET, "10m": QUIET, "60m": QUIET},
    ),
    Case(
        "MetricsSourceDown",
        INSTANCES,
        "one of two cannot reach it",
        {of(SOURCE, **DATABASE): "1x60", of(SOURCE, instance="b", **DATABASE): "0x60"},
        {"60m": one(instance="b", **DATABASE)},
    ),
]

dropped = [
    Case(
        "MetricsSamplesDropped",
        IN_TIME,
        "a cost that is no number, and a quarter of an hour later that is over",
        UP | {of(DROPPED, **NAN): "_x10 1x50"},
        {"10m": QUIET, "12m": one(**NAN), "24m": one(**NAN), "28m": QUIET},
        (
            "Samples of ai_cost_usd that django refused: 1",
            "Samples of ai_cost_usd that django refused within a quarter of an hour: 1, for invalid_value.",
        ),
    ),
    Case("MetricsSamplesDropped", BELOW, "none since it began", {of(DROPPED, **NAN): "0x60"}, {"60m": QUIET}),
    Case("MetricsSamplesDropped", IDLE, "there are no series", {}, {"60m": QUIET}),
    Case(
        "MetricsSamplesDropped",
        IDLE,
        "some, a while ago",
        UP | {of(DROPPED, **NAN): "9x60"},
        {"5m": QUIET, "60m": QUIET},
    ),
    Case(
        "MetricsSamplesDropped",
        RESTART,
        "some before it",
        {of(DROPPED, **NAN): "9x20 0x40"},
        {"22m": QUIET, "60m": QUIET},
    ),
    Case(
        "MetricsSamplesDropped",
        INSTANCES,
        "two on each",
        {of(DROPPED, **NAN): "0x10 2x50", of(DROPPED, instance="b", **NAN): "0x10 2x50"},
        {"12m": one(**NAN)},
    ),
]

CASES = store + source + dropped
