"""The exporter itself: whether the numbers on the other dashboards can be trusted."""

from collections.abc import Mapping

from grafana.boards import board
from grafana.panels import GREEN, NUMBER, ORANGE, PER_MINUTE, RED, SECONDS, graph, number, rows
from grafana.queries import UP, increase, of, otherwise_none, otherwise_zero, per_minute, risen

NOT_SCRAPED = "No instance was scraped"
ADMIN = "/admin/observability/metric/"
YES_OR_NO = {"0": "No", "1": "Yes"}
RED_AT_0: Mapping[float, str] = {0: RED, 1: GREEN}

INSTANCES_UP = number(
    "Instances Up",
    "Those that Prometheus could scrape a moment ago.",
    NUMBER,
    f"sum({UP})",
    empty=NOT_SCRAPED,
    steps=RED_AT_0,
)
STORES_HEALTHY = number(
    "Stores Healthy",
    "Whether what is recorded reaches the shared store on all instances.",
    NUMBER,
    f"min({of('observability_store_healthy')})",
    empty=NOT_SCRAPED,
    steps=RED_AT_0,
    words=YES_OR_NO,
)
SOURCES_ANSWER = number(
    "Sources Answer",
    "Whether all services that gauges are read from answered all instances in time.",
    NUMBER,
    f"min({of('observability_source_up')})",
    empty=NOT_SCRAPED,
    steps=RED_AT_0,
    words=YES_OR_NO,
)
REFUSED_IN_RANGE = number(
    "Samples Refused",
    "In the whole range: bad values, label values past the cap, a store without room.",
    NUMBER,
    otherwise_zero(risen("observability_dropped_total")),
    steps={0: GREEN, 1: ORANGE},
    decimals=0,
)
DAMAGED_IN_RANGE = number(
    "Damaged Files",
    "Files of the shared store that were put aside in the whole range; the log has their names.",
    NUMBER,
    increase("observability_store_damaged_files_total"),
    empty=NOT_SCRAPED,
    steps={0: GREEN, 1: RED},
    decimals=0,
)
LONGEST_SCRAPE = number(
    "Longest Scrape",
    "The time that it took the slowest instance to gather its numbers. Prometheus waits for 10 seconds.",
    SECONDS,
    f"max({of('observability_scrape_duration_seconds')})",
    empty=NOT_SCRAPED,
    steps={0: GREEN, 1: ORANGE, 5: RED},
)

VERSIONS = rows(
    "Versions",
    "What runs where.",
    {"Value": (NUMBER, of("app_info"))},
    empty=NOT_SCRAPED,
    hidden=["__name__", "Value"],
    renamed={
        "job": "Job",
        "instance": "Instance",
        "version": "Version",
        "environment": "Environment",
        "python": "Python",
        "django": "Django",
    },
)
VERSIONS_OVER_TIME = graph(
    "Instances by Version",
    "How many instances run which version; without APP_VERSION it has no name.",
    NUMBER,
    (f"count by (version, django, python) ({of('app_info')})", "{{version}} (Django {{django}}, Python {{python}})"),
    empty=NOT_SCRAPED,
    stacked=True,
)
SOURCES = graph(
    "Sources",
    "1 where a service that gauges are read from answered the scrape in time on every instance. Gauges of one that "
    "did not are absent, not 0.",
    NUMBER,
    (f"min by (source) ({of('observability_source_up')})", "{{source}}"),
    empty=NOT_SCRAPED,
)
SCRAPES = graph(
    "Scrape Duration",
    "The time that an instance took to gather its numbers.",
    SECONDS,
    (of("observability_scrape_duration_seconds"), "{{instance}}"),
    empty=NOT_SCRAPED,
)
SERIES = graph(
    "Series",
    "Series that an instance recorded; each bucket of a histogram is one.",
    NUMBER,
    (of("observability_series"), "{{instance}}"),
    empty=NOT_SCRAPED,
)
FILES = graph(
    "Files of the Store",
    "Files that an instance reads at a scrape; those of processes that ended are folded.",
    NUMBER,
    (of("observability_store_files"), "{{instance}}"),
    empty=NOT_SCRAPED,
)
REFUSED = graph(
    "Samples Refused by Reason",
    "Per minute, over all metrics.",
    PER_MINUTE,
    (otherwise_none(per_minute("observability_dropped_total", by="reason"), "reason"), "{{reason}}"),
)
REFUSED_BY_METRIC = graph(
    "Samples Refused by Metric",
    "Per minute; the log says once a minute what was wrong.",
    PER_MINUTE,
    (otherwise_none(per_minute("observability_dropped_total", by="metric"), "metric"), "{{metric}}"),
)
DAMAGED = graph(
    "Damaged Files over Time",
    "Files of an instance's store that were put aside, per minute.",
    PER_MINUTE,
    (per_minute("observability_store_damaged_files_total", by="instance"), "{{instance}}"),
    empty=NOT_SCRAPED,
)

BOARD = board(
    "metrics-exporter",
    "Metrics exporter",
    "Whether the numbers on the other dashboards are whole: scrapes, the shared store, sources, refused samples.",
    admin={"Metrics": ADMIN},
    lines={
        "Now": [
            [INSTANCES_UP, STORES_HEALTHY, SOURCES_ANSWER, REFUSED_IN_RANGE, DAMAGED_IN_RANGE, LONGEST_SCRAPE],
            [VERSIONS, VERSIONS_OVER_TIME],
        ],
        "Scrapes": [[SCRAPES, SERIES, SOURCES]],
        "What is missing": [[REFUSED, REFUSED_BY_METRIC]],
        "The store": [[FILES, DAMAGED]],
    },
)
