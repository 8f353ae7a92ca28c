"""What a scrape costs, ours beside prometheus_client's on the same files.

Each round has the writing processes change some series, then times one scrape by each. Figures are medians.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from itertools import chain
from pathlib import Path
from statistics import median

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

from benchmarks.rounds import in_turn, seconds
from benchmarks.tables import at_least, at_most, table
from observability import exposition
from observability.store.reader import Reader

PROCESSES, SERIES, ROUNDS = 8, 10_000, 7
DEAD, DEAD_SERIES, FEW_FILES = 200, 1_000, 20
IDLE, TENTH, ALL = 0, 10, 1  # every how many-th series changes
OURS, PEER, OTHER = "this app", "prometheus_client", "OpenTelemetry"
HEADER = ["work", OURS, PEER, OTHER, "ratio", "goal"]
STEPS = {IDLE: "idle", TENTH: "a tenth changed", ALL: "all changed"}


class Writer:
    """A process with many series, in whose words ``do`` speaks; see ``benchmarks.writer``."""

    def __init__(self, kind: str, count: int, folder: Path | str) -> None:
        env = os.environ | {"PROMETHEUS_MULTIPROC_DIR": str(folder)}
        command = [sys.executable, "-m", "benchmarks.writer", kind, str(count)]
        self.process = subprocess.Popen(command, env=env, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def do(self, name: str, *arguments: object):
        print(json.dumps([name, *arguments]), file=self.process.stdin, flush=True)
        return json.loads(self.process.stdout.readline())

    def end(self) -> None:
        self.process.communicate()


@contextmanager
def writers(kind: str, number: int, count: int) -> Iterator[tuple[Path, list[Writer]]]:
    """So many processes that record so many series each into one folder."""
    with ExitStack() as stack:
        folder = Path(tempfile.mkdtemp(prefix="benchmarks-"))
        stack.callback(shutil.rmtree, folder)
        started = [Writer(kind, count, folder) for _ in range(number)]
        for writer in started:
            stack.callback(writer.end)
            writer.do("change", ALL)
        yield folder, started


def by_ours(reader: Reader) -> bytes:
    return exposition.to_text(list(reader.read()))


def by_peer(folder: Path) -> bytes:
    registry = CollectorRegistry()
    MultiProcessCollector(registry, str(folder))
    return generate_latest(registry)


def compared(
    ours: Callable[[], object], peer: Callable[[], object], before: Callable[[], object] = lambda: None
) -> tuple[float, ...]:
    """Medians in seconds of both, each timed once a round, after something happened."""
    works = {OURS: lambda: seconds(ours), PEER: lambda: seconds(peer)}
    return tuple(map(median, in_turn(works, ROUNDS, before).values()))


def faster(work: str, goal: float | None, ours: float, peer: float, other: float | None = None) -> list[str]:
    """A row of milliseconds."""
    times = [f"{ours * 1e3:.2f}", f"{peer * 1e3:.1f}", f"{other * 1e3:.1f}" if other else ""]
    return [work, *times, f"{peer / ours:.0f} × faster", at_least(peer / ours, goal, " ×") if goal else ""]


def scrapes(kind: str, whose: str, goals: dict[int, int]) -> Iterator[list[str]]:
    with writers(kind, PROCESSES, SERIES) as (folder, started):
        reader = Reader(folder)
        for step, goal in goals.items():
            change = lambda step=step: [writer.do("change", step) for writer in started]  # noqa: E731
            ours, peer = compared(lambda: by_ours(reader), lambda: by_peer(folder), change)
            yield faster(f"{PROCESSES} × {SERIES:,} series, {whose} files, {STEPS[step]}", goal, ours, peer)
        if kind == "ours":
            ours, peer = compared(lambda: by_ours(Reader(folder)), lambda: by_peer(folder))
            times = [f"{ours * 1e3:.0f}", f"{peer * 1e3:.0f}", "", f"{ours / peer:.2f}"]
            yield ["the same, first scrape of a process", *times, at_most(ours / peer, 0.7)]
            yield from memory_of(folder)
            ours, peer = compared(lambda: by_ours(reader), lambda: by_peer(folder), lambda: started[0].do("add", 1))
            yield faster("the same, a new series in one process", None, ours, peer)


def memory_of(folder: Path) -> Iterator[list[str]]:
    """By tracemalloc, in a process of its own."""
    measuring = Writer("ours", 0, "")
    kept, peak = measuring.do("megabytes_of_reader", str(folder))
    measuring.end()
    yield ["the same, memory that the reader keeps", f"{kept:.1f} MB", "", "", "", at_most(kept, 15, " MB")]
    yield ["the same, peak in its first scrape", f"{peak:.1f} MB", "", "", "", at_most(peak, 30, " MB")]


def in_memory() -> Iterator[list[str]]:
    """One process without a folder."""
    writer = Writer("ours", SERIES, "")
    for step, goal in {TENTH: 25, ALL: 12}.items():
        times = map(median, writer.do("compare_in_memory", step, ROUNDS))
        yield faster(f"one process in memory, {SERIES:,} series, {STEPS[step]}", goal, *times)
    writer.end()


def of_dead_processes() -> Iterator[list[str]]:
    dead = f"{DEAD} dead × {DEAD_SERIES:,} series"
    with writers("ours", 1, DEAD_SERIES) as (folder, (writer,)):
        one = idle_scrape(folder)
        writer.do("die", DEAD)
        reader = Reader(folder)
        ours, peer = compared(lambda: by_ours(reader), lambda: by_peer(folder))
        yield faster(f"{dead}, not folded, idle", 30, ours, peer)
        for _ in range(ROUNDS):
            writer.do("scrape")  # folds
        folded, files = idle_scrape(folder), len(list(folder.glob("*.db")))
        ratio = f"{folded / one:.1f} of one live process"
        yield [f"{dead}, folded", f"{folded * 1e3:.2f}", "", "", ratio, at_most(folded / one, 2)]
        yield [f"{dead}, folded: files", str(files), "", "", "", at_most(files, FEW_FILES)]


def idle_scrape(folder: Path) -> float:
    """Seconds that a scrape takes when nothing changed since the last."""
    reader = Reader(folder)
    by_ours(reader)
    return median(seconds(lambda: by_ours(reader)) for _ in range(ROUNDS))


def report() -> list[str]:
    """A Markdown table."""
    how = (
        f"Milliseconds, where nothing else is said ({ROUNDS} rounds, medians). prometheus_client reads the same files "
        "by its multiprocess mode; OpenTelemetry's exporter has none, and is beside what is in one process's memory."
    )
    rows = chain(
        scrapes("ours", "our own", {IDLE: 200, TENTH: 60, ALL: 25}),
        scrapes("peer", "prometheus_client's", {TENTH: 30, ALL: 18}),
        in_memory(),
        of_dead_processes(),
    )
    return table("A scrape", how, HEADER, rows)
