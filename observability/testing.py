"""For tests of projects that use the app: assert what was recorded."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from . import exposition


def metric_value(name: str, **labels: object) -> float:
    """The sum of all samples of this name that carry these labels; 0.0 when there is none."""
    wanted = {key: str(value) for key, value in labels.items()}.items()
    return sum(
        sample.value
        for family in exposition.snapshot([name])
        for sample in family.samples
        if sample.name == name and wanted <= sample.labels.items()
    )


@contextmanager
def assert_increases(name: str, by: float = 1, **labels: object) -> Iterator[None]:
    """Fail unless the samples of this name with these labels grow by exactly ``by`` within the block."""
    before = metric_value(name, **labels)
    yield
    after = metric_value(name, **labels)
    if abs(after - before - by) > 1e-9:
        series = name + "{" + ", ".join(f'{key}="{value}"' for key, value in labels.items()) + "}"
        raise AssertionError(f"{series} grew by {after - before:g}, not by {by:g}: {before:g} → {after:g}")
