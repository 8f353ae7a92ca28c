"""What an observation is an example of: the ids of the trace and the job in which it is made."""

from __future__ import annotations

from contextlib import AbstractContextManager
from sys import modules

from . import correlation

MAX_LENGTH = 128  # characters of names and values together, by OpenMetrics 1.0
LEFT_OUT = {"request_id", "step"}  # the one may fill the room alone, by the other no trace or job is found


def exemplar(**ids: object) -> AbstractContextManager[None]:
    """Observations within the block carry these ids, as ``with exemplar(job_id=job.pk):``.

    At most 128 characters in all, names included: OpenMetrics allows no more, and no names but of ASCII letters,
    digits and underscores, so that others are left out. A histogram of the host's own takes them as
    ``observe(value, exemplar=current())``.
    """
    return correlation.bound(**ids)


def current() -> dict[str, str]:
    """The ids that hold here, except for those of the request and the step, and the trace that Sentry samples."""
    around = correlation.ids.get()
    if not around and correlation.SENTRY not in modules:
        return {}
    ids = {name: value for name, value in around.items() if name not in LEFT_OUT}
    trace = correlation.sentry_trace()
    if trace and trace.endswith("-1"):  # one that is not sampled is nowhere to be found
        ids.setdefault("trace_id", trace.partition("-")[0])
    return ids if sum(map(len, (*ids, *ids.values()))) <= MAX_LENGTH else {}
