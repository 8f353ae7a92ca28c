"""What a worker does beside its job: signs of life for it, a look after the jobs of dead workers, sums of past days."""

import threading
from collections.abc import Callable

from django.db import connection, connections

from automation.conf import lease
from observability.logs import warn

PER_LEASE = 3  # how often in the time of a lease
REST = 2  # turns; in one of them each worker has given its signs of life


class Background:
    """A thread that calls a function a few times in each lease, on database connections of its own.

    With `rest` it leaves out two turns after a failure, from when the database is back: signs of life come first.
    """

    def __init__(self, name: str, action: Callable[[], object], *, rest: bool = False) -> None:
        self.name = name
        self.action = action
        self.rest = rest
        self._over = threading.Event()
        self._starting = threading.Lock()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Start the thread unless it runs already."""
        with self._starting:
            if self._thread is None or not self._thread.is_alive():  # a fork has no threads
                self._over.clear()
                self._thread = threading.Thread(target=self._repeat, name=self.name, daemon=True)
                self._thread.start()

    def stop(self) -> None:
        """End the thread, after what it does now if that ends soon."""
        self._over.set()
        if self._thread is not None:
            self._thread.join(timeout=5)

    def _repeat(self) -> None:
        resting = 0
        while not self._over.wait(lease().total_seconds() / PER_LEASE):
            try:
                if resting:
                    connection.ensure_connection()
                    resting -= 1
                else:
                    self.action()
            except Exception as exc:
                warn(self.name, "%s: %r", self.name, exc)
                resting = REST if self.rest else 0
            finally:
                connections.close_all()
