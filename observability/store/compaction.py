"""Placeholder."""

from __future__ import annotations

from .reader import Reader


def fold_when_due(reader: Reader) -> None: ...
