"""PromQL that panels are made of.

Each query holds for what the variables of the dashboard choose: a metric with a label of a variable's name is matched
with it. Counters and histograms are summed over instances; of gauges that are the same on every instance, `highest`
takes one.
"""

from prometheus_client.metrics import MetricWrapperBase

from observability import metrics
from prometheus import expressions

# The labels that a dashboard lets choose from, with the metric in which their values are found.
VARIABLES = {
    "endpoint": "http_requests_total",
    "job_type": "automation_job_results_total",
    "model": "ai_requests_total",
}
INSTANCES = 'job=~"$job", instance=~"$instance"'
RATE, RANGE = "$__rate_interval", "$__range"

_OF_HISTOGRAM = ("_bucket", "_sum", "_count")
SAMPLES: dict[str, MetricWrapperBase] = {
    f"{metrics.name_of(metric)}{suffix}": metric
    for metric in metrics.declared()
    for suffix in (_OF_HISTOGRAM if metric._type == "histogram" else ("",))
}


def of(name: str, *matchers: str) -> str:
    """The series of a sample's name, as ``ai_cost_usd_sum``, on the instances that are looked at."""
    chosen = [f'{label}=~"${label}"' for label in VARIABLES if label in SAMPLES[name]._labelnames]
    return f"{name}{{{', '.join([INSTANCES, *chosen, *matchers])}}}"


UP = f"up{{{INSTANCES}}}"
SCRAPED = f"0 * max({of('app_info')})"  # 0 where the site was scraped, absent where it was not


def _sum(series: str, by: str) -> str:
    return f"sum by ({by}) ({series})" if by else f"sum({series})"


def rate(name: str, *matchers: str, by: str = "", window: str = RATE) -> str:
    """Per second."""
    return _sum(f"rate({of(name, *matchers)}[{window}])", by)


def per_minute(name: str, *matchers: str, by: str = "") -> str:
    """For what happens too rarely to be told per second."""
    return f"60 * {rate(name, *matchers, by=by)}"


def increase(name: str, *matchers: str, by: str = "", window: str = RANGE) -> str:
    """How much came in a window, by default in the whole range that the dashboard shows."""
    return _sum(f"increase({of(name, *matchers)}[{window}])", by)


def risen(name: str, *matchers: str, by: str = "", window: str = RANGE) -> str:
    """The same of a counter whose series appear with their first event, as that of a new model: with that one."""
    return _sum(f"\n{expressions.risen(of(name, *matchers), window)}\n", by)


def quantile(share: float, histogram: str, by: str = "", window: str = RATE) -> str:
    labels = f"le, {by}" if by else "le"
    return f"histogram_quantile({share}, {rate(f'{histogram}_bucket', by=labels, window=window)})"


def mean(histogram: str, by: str = "", window: str = RATE) -> str:
    """The average of what was observed; absent where nothing was."""
    return (
        f"{rate(f'{histogram}_sum', by=by, window=window)} / ({rate(f'{histogram}_count', by=by, window=window)} > 0)"
    )


def ratio(part: str, whole: str) -> str:
    """A share from 0 to 1: 0 where there is none of the part, absent where there is nothing of the whole."""
    return f"({part} or 0 * {whole}) / ({whole} > 0)"


def highest(gauge: str, by: str = "") -> str:
    """A gauge that describes the whole deployment, which is what a ``job`` stands for: once, not once an instance."""
    return f"max by ({', '.join(filter(None, ['job', by]))}) ({of(gauge)})"


def added(gauge: str, by: str = "") -> str:
    """The sum of a gauge that describes the whole deployment, over its other labels."""
    return f"sum by (job) ({highest(gauge, by)})"


def otherwise_none(query: str, label: str) -> str:
    """The query, and a single 0 called ``none`` where nothing was ever counted: good news, not missing news."""
    return f'{query} or on () label_replace({SCRAPED}, "{label}", "none", "", "")'


def otherwise_zero(query: str) -> str:
    """The query, and 0 where nothing was ever counted."""
    return f"{query} or {SCRAPED}"
