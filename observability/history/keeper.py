"""Takes the samples: in each process that answers requests or runs jobs, in a thread of its own.

Whichever process comes first in a slot of time takes the sample of its instance, so there is one for all of them.
"""

from __future__ import annotations

import os
import sys
from threading import Lock, Thread
from time import sleep, time

from observability import exposition
from observability.conf import get_conf
from observability.logs import warn
from observability.probes import Probe, database_in_memory

from . import ring
from .amounts import NAMES, take

DELAY = 0.2  # seconds after a slot began

_starting = Lock()
_pid = 0


def start() -> None:
    """Have this process take samples from now on; it is enough to say so once, and after a fork again."""
    global _pid
    if _pid == os.getpid() or _in_tests():
        return
    with _starting:
        if _pid != os.getpid():
            _pid = os.getpid()
            Thread(target=_repeat, name="observability-history", daemon=True).start()


def _in_tests() -> bool:
    """Rows that a thread writes would be a surprise in a test; Django keeps there what its test runner has changed."""
    utils = sys.modules.get("django.test.utils")
    return hasattr(getattr(utils, "_TestState", None), "saved_data") or database_in_memory()


def _repeat() -> None:
    while True:
        _probe.start()  # at once: what a new site counts first should be seen as added
        sleep(ring.FINE.step - time() % ring.FINE.step + DELAY)


def keep(now: float) -> None:
    """Take the samples that are due at a moment, in seconds since the epoch."""
    backend = ring.backend()
    if backend is None:
        return
    instance = ring.instance()
    if not backend.claim(ring.FINE, instance, ring.FINE.slot(now)):
        return
    due = [tier for tier in ring.TIERS[1:] if backend.claim(tier, instance, tier.slot(now))]
    families = exposition.snapshot(NAMES)
    for tier in (ring.FINE, *due):
        backend.write(tier, ring.Row(instance, tier.slot(now), take(families, tier.wanted, now).pack()))


def _keep_quietly() -> None:
    try:
        keep(time())
    except Exception as error:
        warn("history", "Samples cannot be kept: %r", error)


_probe = Probe(_keep_quietly, lambda: get_conf().SOURCE_TIMEOUT)


def _after_fork_in_child() -> None:
    global _starting
    _starting = Lock()


os.register_at_fork(after_in_child=_after_fork_in_child)
