"""Store files of earlier versions, of prometheus_client, of later versions; ``data/record.py`` made the archives."""

import re
import shutil
from itertools import count
from pathlib import Path

import pytest

from tests.servers import new_folder

DATA = Path(__file__).with_name("data")
OWN = ["files-2b36240", "folded-5d839d0"]
KINDS = ("plain", 'né\\n\\"w\\"')
# What the processes recorded that were told 1, 2 and 30; without the label ``pid``.
RECORDED = [
    line.replace("KIND", kind)
    for kind in KINDS
    for line in (
        'old_pages_total{kind="KIND"} 8.25',
        'old_seconds_bucket{kind="KIND",le="0.1"} 0.0',
        'old_seconds_bucket{kind="KIND",le="1.0"} 1.0',
        'old_seconds_bucket{kind="KIND",le="10.0"} 2.0',
        'old_seconds_bucket{kind="KIND",le="+Inf"} 3.0',
        'old_seconds_count{kind="KIND"} 3.0',
        'old_seconds_sum{kind="KIND"} 33.0',
        'old_size_count{kind="KIND"} 3.0',
        'old_size_sum{kind="KIND"} 8.25',
    )
]
RECORDED += [f"old_level_all {value}" for value in (-1.0, -2.0, -30.0)]
RECORDED += ["old_level_max -1.0", "old_level_min -30.0", "old_level_mostrecent -30.0", "old_level_sum -33.0"]
# prometheus_client keeps these until a server's hook tells that the process has ended.
LIVE = [f"old_level_liveall {value}" for value in (-1.0, -2.0, -30.0)]
LIVE += ["old_level_livemostrecent -30.0", "old_level_livesum -33.0"]


def unpacked(archive):
    """A folder with the files of an archive."""
    folder = new_folder("metrics")
    shutil.unpack_archive(DATA / f"{archive}.zip", folder)
    return folder


def shown(process):
    lines = process.do("MetricsCollector.get_metrics().decode().splitlines()")
    return sorted(re.sub(r'\{pid="[\w-]+"\}', "", line) for line in lines if line.startswith("old_"))


@pytest.mark.parametrize("archive", OWN)
def test_files_of_an_earlier_version_are_read_counted_on_and_folded(archive, recorder):
    folder = unpacked(archive)
    process = recorder(folder)
    assert shown(process) == sorted(RECORDED)
    assert shown(process) == sorted(RECORDED)  # after the fold that the first scrape made
    assert len(list(folder.glob("counter_*.db"))) == 2  # the archive, and this process's
    process.do("pages = prometheus_client.Counter('old_pages_total', 'Pages.', ['kind'])")
    process.do("pages.labels('plain').inc(0.5)")
    assert 'old_pages_total{kind="plain"} 8.75' in shown(process)


def test_examples_that_an_earlier_version_kept_are_shown(recorder):
    process = recorder(unpacked("folded-5d839d0"))
    process.do("from observability import exposition")
    text = process.do("exposition.to_openmetrics(exposition.snapshot()).decode()")
    assert re.search(r'^old_seconds_bucket\{kind="plain",le="10\.0"\} 2\.0 # \{trace_id="of 2\.0"\} 2\.0', text, re.M)


def test_files_of_an_earlier_prometheus_client_are_read_and_left_as_they_are(recorder):
    folder = unpacked("prometheus_client-0.24.0")
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    process = recorder(folder)
    assert shown(process) == sorted(RECORDED + LIVE)
    assert shown(process) == sorted(RECORDED + LIVE)
    assert {name: (folder / name).read_bytes() for name in before} == before


def test_files_of_a_later_version_are_left_alone_and_a_warning_says_so(recorder):
    folder = unpacked("files-2b36240")
    process = recorder(folder)
    later = {}
    for path, number in zip(sorted(folder.glob("counter_*.db")), count(2)):
        path.write_bytes(path.read_bytes().replace(b"obs1", b"obs%d" % number, 1))
        later[path] = path.read_bytes()
    (folder / "sketch_1.db").write_bytes(next(iter(later.values())))  # of a kind that is not known yet
    rest = [line for line in RECORDED if not line.startswith("old_pages")]
    assert shown(process) == sorted(rest)
    assert shown(process) == sorted(rest)
    assert {path: path.read_bytes() for path in later} == later
    assert not list(folder.glob("*.damaged"))
    log = process.log.read_text()
    for path in later:
        assert f"The file '{path.name}' of the shared store is of a newer version, left out" in log
    assert process.do("metric_value('observability_store_damaged_files_total')") == 0
