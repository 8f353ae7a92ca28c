"""What the numbers were before: from Prometheus where it answers, else from samples that the app keeps itself."""

from __future__ import annotations

from .amounts import Sample
from .door import History, read
from .ranges import RANGES, Range
from .steps import Step

__all__ = ["RANGES", "History", "Range", "Sample", "Step", "read"]
