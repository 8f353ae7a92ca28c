"""A process with many series: ``python -m benchmarks.writer ours 10000`` in an environment that names the folder.

For each line that it reads it does what the line says, and answers with a line of JSON.
"""

import gc
import json
import os
import sys
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import django
from prometheus_client import CollectorRegistry, Counter, generate_latest

from benchmarks.peers import provider
from benchmarks.rounds import in_turn, seconds


def opentelemetry(count: int) -> tuple[CollectorRegistry, Callable[[int], None]]:
    """A registry to scrape so many series, and what changes every so-manieth of them."""
    registry = CollectorRegistry()
    add = provider(registry, most=count + 1).get_meter("many").create_counter("series").add
    labels = [{"endpoint": f"/api/items/{number}", "status": "200"} for number in range(count)]

    def change(step: int) -> None:
        for each in labels[::step]:
            add(1, each)

    change(1)
    return registry, change


class Writer:
    def __init__(self, count: int) -> None:
        self.registry = CollectorRegistry()
        self.counter = Counter("series_total", "Many series.", ["endpoint", "status"], registry=self.registry)
        self.children = []
        self.add(count)

    def add(self, count: int) -> None:
        """Have so many series more."""
        numbers = range(len(self.children), len(self.children) + count)
        self.children += [self.counter.labels(f"/api/items/{number}", "200") for number in numbers]

    def change(self, step: int) -> None:
        """Change every ``step``-th series; 0 changes none."""
        for child in self.children[::step] if step else ():
            child.inc()

    def die(self, times: int) -> None:
        """Let so many processes change all series and end."""
        for _ in range(times):
            if not (pid := os.fork()):
                self.change(1)
                os._exit(0)
            os.waitpid(pid, 0)

    def scrape(self) -> int:
        """Scrape the deployment; the number of bytes."""
        from observability.metrics import MetricsCollector

        return len(MetricsCollector.get_metrics())

    def compare_in_memory(self, step: int, rounds: int) -> list[list[float]]:
        """Seconds that scrapes of this process's memory take, ours, prometheus_client's, and OpenTelemetry's."""
        from observability import exposition, store

        registry, change = opentelemetry(len(self.children))
        works = {
            "ours": lambda: seconds(lambda: exposition.to_text(list(store.collect(self.registry)))),
            "peer": lambda: seconds(lambda: generate_latest(self.registry)),
            "other": lambda: seconds(lambda: generate_latest(registry)),
        }
        return list(in_turn(works, rounds, lambda: (self.change(step), change(step))).values())

    def megabytes_of_reader(self, folder: str) -> list[float]:
        """What a reader keeps of a folder, and the most that it needs while it scrapes for the first time."""
        from observability import exposition
        from observability.store.reader import Reader

        gc.collect()
        tracemalloc.start()
        reader = Reader(Path(folder))
        exposition.to_text(list(reader.read()))
        gc.collect()
        return [size / 1e6 for size in tracemalloc.get_traced_memory()]


def main(kind: str, count: str) -> None:
    if kind == "ours":
        os.environ["DJANGO_SETTINGS_MODULE"] = "benchmarks.settings"
        django.setup()
    writer = Writer(int(count))
    for line in sys.stdin:
        name, *arguments = json.loads(line)
        print(json.dumps(getattr(writer, name)(*arguments)), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
