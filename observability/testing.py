"""For tests of projects that use the app: assert what was recorded."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from difflib import get_close_matches

from . import exposition


def metric_value(name: str, **labels: object) -> float:
    """The sum of all samples of this name that carry these labels; 0.0 when there is none.

    A name that no metric has is a LookupError.
    """
    wanted = {key: str(value) for key, value in labels.items()}.items()
    samples = [sample for family in exposition.snapshot([name]) for sample in family.samples if sample.name == name]
    if not samples:
        _require_known(name)
    return sum(sample.value for sample in samples if wanted <= sample.labels.items())


def _require_known(name: str) -> None:
    """A slip in a name would be 0 before and after, and a test of it could not fail."""
    known = exposition.sample_names()
    if name not in known:
        close = get_close_matches(name, known, n=1)
        raise LookupError(f"No metric has samples named {name!r}." + (f" Did you mean {close[0]!r}?" if close else ""))


@contextmanager
def assert_increases(name: str, by: float = 1, **labels: object) -> Iterator[None]:
    """Fail unless the samples of this name with these labels grow by exactly ``by`` within the block."""
    before = metric_value(name, **labels)
    yield
    after = metric_value(name, **labels)
    if abs(after - before - by) > 1e-9:
        series = name + "{" + ", ".join(f'{key}="{value}"' for key, value in labels.items()) + "}"
        raise AssertionError(f"{series} grew by {after - before:g}, not by {by:g}: {before:g} → {after:g}")
