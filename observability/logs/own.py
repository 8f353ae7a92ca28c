"""Warnings of our own: one a minute for each cause, so that a fault never floods the host's logs."""

from __future__ import annotations

import logging
from time import monotonic

logger = logging.getLogger("observability")

INTERVAL = 60.0  # seconds between two warnings of one cause
MAX_CAUSES = 1000

_last: dict[str, float] = {}


def _due(cause: str) -> bool:
    """Without a lock, which a signal handler or a forked child might wait for: at worst two threads both warn."""
    now = monotonic()
    if now - _last.get(cause, -INTERVAL) < INTERVAL:
        return False
    if len(_last) >= MAX_CAUSES:
        _last.clear()
    _last[cause] = now
    return True


def warn(cause: str, message: str, *args: object, error: BaseException | None = None) -> None:
    """Log a warning unless the same cause was logged within the last minute. Untrusted ``args`` belong in ``%r``."""
    if _due(cause):
        logger.warning(message, *args, exc_info=error)
