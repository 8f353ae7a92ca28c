"""PromQL that several rules are made of.

A deployment is what shares a ``job`` label: sums and maxima keep it, so that two of them on one Prometheus stay apart.
"""

# Prometheus's own scrapes are nobody's requests. Health probes are: when a load balancer has taken every instance out,
# they are all that is left to see.
NO_SCRAPES = 'endpoint!~"/api/metrics(/json)?"'
REQUESTS = f"http_requests_total{{{NO_SCRAPES}}}"
ERRORS = f'http_requests_total{{status=~"5..",{NO_SCRAPES}}}'


def risen(counter: str, window: str) -> str:
    """How far each series of a counter has risen, the first value of one that is new to its target included.

    A series that appears with its first event, as that of a new model, is at 1 from the start, and ``increase()`` sees
    no rise. It is new where the target was scraped within the window before the series was there.
    """
    return f"""\
  (
    {counter}
    and
    count_over_time({counter}[{window}])
    < on (job, instance) group_left ()
    max by (job, instance) (sum_over_time(up[{window}]))
  ) > increase({counter}[{window}])
  or
  increase({counter}[{window}])"""


def total(counter: str, window: str, by: str) -> str:
    """How far a counter has risen over all instances."""
    return f"sum by ({by}) (\n{risen(counter, window)}\n)"


def events(counter: str, window: str, by: str) -> str:
    """The same of a counter of events: a whole number, where ``increase()`` extrapolates to the ends of its window."""
    return f"round({total(counter, window, by)})"


def percentile(share: float, histogram: str, labels: str) -> str:
    """A percentile over five minutes by some labels; absent, not NaN, where nothing was observed."""
    return f"histogram_quantile({share}, sum by ({labels}, le) (rate({histogram}_bucket[5m]))) >= 0"
