"""A host that becomes a daemon closes all descriptors, the store's too: it lives on, and is counted as before."""

import time

import pytest

from tests.kernel import disk, overlay
from tests.servers import new_folder

IN_PROGRESS = "metric_value('http_requests_in_progress')"


@pytest.fixture
def processes(recorder):
    """``processes(folder)``: one that recorded and closed all its descriptors, and one that looks at it."""

    def start(folder):
        recording, watching = recorder(folder), recorder(folder)
        recording.do("from observability.metrics import http_requests_in_progress")
        recording.do("http_requests_in_progress.labels('GET').inc()")
        recording.do("record('model', 3)")
        recording.do("os.closerange(3, 256)")
        return recording, watching

    return start


def test_it_is_not_taken_for_dead(processes):
    folder = new_folder("metrics")
    with disk(folder, "8m"):
        recording, watching = processes(folder)
        for number in range(4, 7):
            watching.do("len(MetricsCollector.get_metrics())")  # would fold the files of the dead
            recording.do("record('model')")
            assert watching.do("recorded('model')") == [number, number, number, number / 2]
            assert watching.do(IN_PROGRESS) == 1


def test_a_process_that_ends_after_it_is_taken_for_dead(processes):
    folder = new_folder("metrics")
    with disk(folder, "8m"):
        recording, watching = processes(folder)
        recording.kill()
        assert watching.do(IN_PROGRESS) == 0
        assert watching.do("recorded('model')") == [3, 3, 3, 1.5]


def test_where_its_locks_are_gone_it_makes_its_files_again_and_loses_nothing(processes):
    folder = new_folder("metrics")
    with overlay(folder):
        recording, watching = processes(folder)
        time.sleep(1.1)
        recording.do("record('model')")
        assert watching.do("recorded('model')") == [4, 4, 4, 2]
        assert watching.do(IN_PROGRESS) == 1


def test_where_its_files_were_folded_before_it_saw_that_nothing_is_doubled_and_all_later_counts(processes):
    folder = new_folder("metrics")
    with overlay(folder):
        recording, watching = processes(folder)
        watching.do("len(MetricsCollector.get_metrics())")  # folds
        time.sleep(1.1)
        recording.do("record('model')")  # sees it
        requests, *_ = watching.do("recorded('model')")
        assert requests in {3, 4}
        recording.do("record('model', 5)")
        assert watching.do("recorded('model')[0]") == requests + 5
        assert watching.do(IN_PROGRESS) == 1


def test_no_file_of_another_is_closed_or_written_to(processes):
    recording, _ = processes(new_folder("metrics"))
    recording.do("import tempfile; from observability.exemplars import exemplar")
    recording.do("others = [tempfile.TemporaryFile() for _ in range(60)]")  # they get the numbers
    recording.do("inodes = [os.fstat(other.fileno()).st_ino for other in others]")
    recording.do("exemplar(job_id=7).__enter__()")
    recording.do("record('model')")
    recording.do("make_series(5000)")
    recording.do("fork_child()")
    assert recording.do("[os.fstat(other.fileno()).st_ino for other in others] == inodes")
    assert recording.do("max(os.fstat(other.fileno()).st_size for other in others)") == 0
