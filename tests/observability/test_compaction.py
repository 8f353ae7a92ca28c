"""Files of dead processes are folded: no number changes, no counter falls, whenever the folding process is killed."""

import json
import math
import os
import signal
import struct
import sys
import time
from contextlib import contextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry
from prometheus_client.multiprocess import MultiProcessCollector

from observability.store import compaction, files
from observability.store.fileformat import TAG, make_key
from observability.store.files import File
from observability.store.locks import FileLock
from observability.store.reader import Reader
from tests.servers import new_folder

KINDS = {"counter": "total", "histogram": "sum", "summary": "sum", "gauge_sum": "", "gauge_max": "", "gauge_min": ""}


def record(folder, kind, *amounts, name="m", documentation="Help."):
    """A file of this process's, with one value after another; its lock is freed as at the process's end."""
    file = File(folder, kind)
    for number, amount in enumerate(amounts):
        sample = f"{name}_{KINDS.get(kind, '')}".rstrip("_")
        cell = file.place(make_key(name, sample, ["n"], [str(number)], documentation))
        file.cells[cell] = amount
    return file


def end(file):
    file._close()


def dead_file(folder, kind, *amounts, **options):
    files.renew()  # another process's name
    end(record(folder, kind, *amounts, **options))


def shown(folder, reader=None):
    """What a reader sees, by default one that knows nothing yet."""
    return {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in (reader or Reader(folder)).read()
        for sample in family.samples
    }


def shown_by_peer(folder):
    registry = CollectorRegistry()
    MultiProcessCollector(registry, str(folder))
    return {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in registry.collect()
        for sample in family.samples
    }


@pytest.fixture
def folder():
    return new_folder("metrics")


@pytest.mark.parametrize("kind", KINDS)
def test_folding_changes_no_number_and_leaves_one_file(folder, kind):
    for process in range(1, 8):
        dead_file(folder, kind, 0.5 * process, 3.0)
    before = shown(folder)
    compaction.fold(folder)
    assert len(list(folder.glob("*.db"))) == 1
    assert shown(folder) == shown_by_peer(folder) == before


def test_a_deploy_that_changes_a_help_text_makes_no_counter_fall_when_the_files_of_both_are_folded(folder):
    for documentation in ("Help.", "More help.", "More help."):
        dead_file(folder, "counter", 5.0, documentation=documentation)
    compaction.fold(folder)
    assert shown(folder) == shown_by_peer(folder) == {("m_total", ("n", "0")): 15.0}


def test_a_living_process_keeps_its_file_and_an_archive_is_folded_again(folder):
    living = record(folder, "counter", 1.0)
    for _ in range(3):
        for _ in range(3):
            dead_file(folder, "counter", 2.0)
        compaction.fold(folder)
        assert len(list(folder.glob("*.db"))) == 2
    assert shown(folder) == shown_by_peer(folder) == {("m_total", ("n", "0")): 19.0}
    living.cells[living.place(make_key("m", "m_total", ["n"], ["0"], "Help."))] += 1
    living.cells[-1] += 1
    assert shown(folder) == {("m_total", ("n", "0")): 20.0}


def test_live_gauges_vanish_and_gauges_of_all_processes_are_kept_for_the_newest_of_the_dead(folder):
    for number in range(compaction.KEPT + 5):
        for kind in ("gauge_all", "gauge_livesum"):
            dead_file(folder, kind, float(number))
    compaction.fold(folder)
    assert sorted(shown(folder).values()) == [float(number) for number in range(5, compaction.KEPT + 5)]
    assert not list(folder.glob("gauge_live*"))


def test_a_reader_keeps_nothing_of_series_that_are_gone(folder):
    reader = Reader(folder)
    for number in range(30):
        dead_file(folder, "gauge_all", 1.0, float(number))
        reader.read()
    compaction.fold(folder)
    [family] = reader.read()
    assert len(family.samples) == 2 * compaction.KEPT
    assert len(reader.families["m", "gauge", "all"]._numbers) == 2 * compaction.KEPT
    dead_file(folder, "gauge_all", 1.0, 99.0)
    assert {sample.value for sample in reader.read()[0].samples} == {1.0, 99.0, *map(float, range(22, 30))}


def test_live_gauges_of_the_living_are_seen_beside_those_of_the_dead(folder):
    for _ in range(3):
        dead_file(folder, "gauge_livesum", 5.0)
        files.renew()
        living = record(folder, "gauge_livesum", 1.0)
        dead_file(folder, "gauge_livesum", 5.0)
        assert set(shown(folder).values()) == {1.0}
        end(living)


@given(st.lists(st.floats(0, 1e9), min_size=2, max_size=8), st.data())
def test_no_sum_is_lower_than_before_in_its_last_bit(amounts, data):
    folder = new_folder("metrics")
    living = [amount for amount in amounts if data.draw(st.booleans())]
    open_files = []
    for amount in amounts:
        if amount in living:
            files.renew()
            open_files.append(record(folder, "counter", amount))
        else:
            dead_file(folder, "counter", amount)
    before, by_peer = shown(folder), shown_by_peer(folder)
    compaction.fold(folder)
    for key, value in shown(folder).items():
        assert value >= before[key]
        assert math.isclose(value, before[key], rel_tol=1e-12)
    assert all(value >= by_peer[key] for key, value in shown_by_peer(folder).items())
    for file in open_files:
        end(file)


def steps_of_a_fold(folder, killed_at=None):
    """Fold in a child that is killed before its n-th change of the folder; the number of changes that it made."""
    child = os.fork()
    if child:
        return os.WEXITSTATUS(os.waitpid(child, 0)[1])
    seen = 0

    def count(event, arguments):
        nonlocal seen
        if event in {"os.rename", "os.remove", "open"} and str(folder) in str(arguments[0]):
            if seen == killed_at:
                os.kill(os.getpid(), signal.SIGKILL)
            seen += 1

    sys.addaudithook(count)
    compaction.fold(folder)
    os._exit(seen)


def filled(kinds=("counter", "gauge_max", "histogram")):
    folder = new_folder("metrics")
    for process in range(3):
        for kind in kinds:
            dead_file(folder, kind, 0.1 * process, 7.0, name=f"m_{kind}")
    return folder


def test_a_fold_that_is_killed_at_any_step_loses_and_doubles_nothing():
    steps = steps_of_a_fold(filled())
    assert steps > 30
    for step in range(steps):
        folder = filled()
        reader, before = Reader(folder), shown(folder)
        reader.read()
        steps_of_a_fold(folder, killed_at=step)
        assert shown(folder) == shown(folder, reader) == pytest.approx(before, rel=1e-12)
        try:
            by_peer = shown_by_peer(folder)
        except (RuntimeError, FileNotFoundError):
            pass  # a scrape that fails is no fall
        else:
            assert by_peer == pytest.approx(before, rel=1e-12)
        compaction.mend(folder)
        assert shown(folder) == shown_by_peer(folder) == pytest.approx(before, rel=1e-12)
        compaction.fold(folder)
        assert shown(folder) == shown_by_peer(folder) == pytest.approx(before, rel=1e-12)
        assert sorted(path.name.partition("_archive")[0] for path in folder.glob("*.db")) == [
            "counter",
            "gauge_max",
            "histogram",
        ]


def test_files_that_killed_processes_left_before_they_had_a_name_are_removed_and_no_others(folder):
    old, new, held, named = (folder / name for name in (".counter_1.db.new", ".b.jsonl.new", ".c.db.new", "a.new"))
    for path in (old, new, held, named):
        path.write_bytes(bytes(8))
    for path in (old, held, named):
        os.utime(path, (time.time() - 2 * compaction.SECONDS_TO_MAKE,) * 2)
    lock = FileLock(held)
    compaction.fold(folder)
    assert set(folder.glob("*.new")) == {new, held, named}
    lock.free()


@contextmanager
def stopped_in_the_middle(folder):
    """A process that folds, and is stopped before it removes the first file that it folded."""
    old = {str(path) for path in folder.glob("*.db")}
    child = os.fork()
    if not child:
        sys.addaudithook(lambda event, given: stop() if event == "os.remove" and str(given[0]) in old else None)
        compaction.fold(folder)
        os._exit(0)
    try:
        os.waitpid(child, os.WUNTRACED)
        yield
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def stop():
    os.kill(os.getpid(), signal.SIGSTOP)


def test_a_fold_that_is_stopped_midway_keeps_no_reader_waiting(folder):
    for _ in range(3):
        dead_file(folder, "counter", 7.0)
    reader = Reader(folder)
    assert [family.values for family in reader.read()] == [[21.0]]
    with stopped_in_the_middle(folder):
        assert len(list(folder.glob("*.db"))) == 3 + 2  # with the archive and the marker
        dead_file(folder, "counter", 1.0)
        for one in (reader, Reader(folder)):
            assert [family.values for family in one.read()] == [[22.0]]
    compaction.mend(folder)
    assert [family.values for family in reader.read()] == [[22.0]]


def test_scrapes_beside_folds_without_end_miss_and_double_nothing(folder):
    dead_file(folder, "counter", 7.0)
    files.renew()
    living = record(folder, "counter", 1.0)
    child = os.fork()
    if not child:
        while True:
            dead_file(folder, "counter", 0.0)
            compaction.fold(folder)
    try:
        known, deadline = Reader(folder), time.monotonic() + 2
        while time.monotonic() < deadline:
            for reader in (known, Reader(folder)):
                assert [family.values for family in reader.read()] == [[8.0]]
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    end(living)


def test_our_own_files_say_that_they_are_ours(folder):
    dead_file(folder, "counter", 1.0)
    [path] = folder.glob("*.db")
    assert path.read_bytes()[4:8] == TAG


@pytest.mark.parametrize("journal", [compaction.PREPARED, compaction.DONE])
@pytest.mark.parametrize(
    "text",
    ["", "{}", "[]", "1", "null", "[" * 100_000, '{"old": 1, "new": 1}', '{"old": [1, "a\\u0000.db"], "new": [[]]}'],
)
def test_a_journal_that_is_none_is_removed(folder, journal, text):
    (folder / journal).write_text(text)
    compaction.mend(folder)
    assert not (folder / journal).exists()


def test_no_journal_removes_anything_but_files_of_the_store(folder):
    victim, inside = folder.parent / f"{folder.name}-victim.db", folder / "notes.txt"
    names = [f"../{victim.name}", str(victim), inside.name, "..", "counter_1.db"]
    for journal in (compaction.PREPARED, compaction.DONE):
        for path in (victim, inside, folder / "counter_1.db"):
            path.touch()
        (folder / journal).write_text(json.dumps({"old": names, "new": names}))
        compaction.mend(folder)
        assert victim.exists()
        assert inside.exists()
        assert not (folder / "counter_1.db").exists()
    victim.unlink()


def test_a_folder_without_access_is_left_alone(folder, monkeypatch):
    def refuse(*_):
        raise PermissionError

    monkeypatch.setattr(compaction.Path, "exists", refuse)
    compaction.mend(folder)


@pytest.mark.parametrize("content", [b"", b"\1", b"\x09\0\0\0" + bytes(60), b"\xff" * 64])
def test_a_foreign_file_that_cannot_be_read_keeps_no_other_from_being_folded(folder, content):
    for amount in range(3):
        dead_file(folder, "counter", float(amount))
    foreign = {folder / name for name in ("counter_5.db", "counter_archive-x.db", "counter_archive.db")}
    for path in foreign:
        path.write_bytes(content)
    compaction.fold(folder)
    assert set(folder.glob("*.db")) == {*foreign, folder / "counter_archive-1.db"}
    assert shown(folder) == {("m_total", ("n", "0")): 3.0}


def test_a_fold_that_fails_does_not_end_the_scrape(folder, monkeypatch):
    def fail(*_):
        raise struct.error

    for _ in range(compaction.DEAD_FILES + 1):
        dead_file(folder, "counter", 1.0)
    reader = Reader(folder)
    reader.read()
    monkeypatch.setattr(compaction, "_write_archive", fail)
    before = sorted(folder.glob("*.db"))
    compaction.fold_when_due(reader)
    assert sorted(folder.glob("*.db")) == before  # as if it had never begun


def test_files_that_are_kept_anyway_are_no_reason_to_fold(folder, monkeypatch):
    for number in range(compaction.KEPT + compaction.DEAD_FILES + 2):
        dead_file(folder, "gauge_all", float(number))
    folds, fold = [], compaction.fold
    monkeypatch.setattr(compaction, "fold", lambda where: (folds.append(where), fold(where)))
    reader = Reader(folder)
    for _ in range(3):
        reader.read()
        compaction.fold_when_due(reader)
    assert len(folds) == 1
