"""Placeholder."""

from __future__ import annotations

from prometheus_client.samples import Exemplar


def keep(key: str, exemplar: Exemplar) -> None: ...
