"""The store under real faults: killed workers, damaged files, full disks, lost folders, forks, threads and signals."""

import os
import random
import shutil
import signal
import struct
import time
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from itertools import pairwise
from pathlib import Path
from statistics import quantiles

import httpx2
import pytest
from prometheus_client.mmap_dict import MmapedDict, mmap_key

from tests.kernel import disk, filled_up, make_writable, own_container
from tests.servers import new_folder
from tests.site import eventually, repeatedly

VIEWS = {"DJANGO_SETTINGS_MODULE": "tests.observability.site_settings"}
# Workers are forks of the master: a new one is there at once, and begins with what the master recorded.
FORKED = {"GUNICORN_CMD_ARGS": "--preload"}
COUNTERS = ("_total", "_count", "_sum", "_bucket")


@pytest.fixture
def folder():
    """The folder of a store that several processes share."""
    return new_folder("metrics")


def on(folder, **environment):
    return VIEWS | {"PROMETHEUS_MULTIPROC_DIR": str(folder)} | environment


def answered(site, path):
    """The status of an answer, or None where the worker was killed before it gave one."""
    try:
        return site.get(path).status_code
    except httpx2.TransportError:
        return None


def kill(processes):
    for process in processes:
        with suppress(ProcessLookupError):  # it ended by itself meanwhile
            os.kill(process, signal.SIGKILL)


def falls(scrapes):
    """Counters that one scrape shows lower than the one before it, or no longer."""
    return [
        (sample, before[sample], after.get(sample))
        for before, after in pairwise(scrapes)
        for sample in before
        if sample[0].endswith(COUNTERS) and after.get(sample, 0) < before[sample]
    ]


# Processes that die


def answers_reached(load, number):
    return load.count(200) >= number


def test_workers_killed_fifty_times_under_load_lose_nothing_that_was_answered(site, folder):
    with site(env=on(folder, **FORKED)) as running, site(env=on(folder), workers=1) as watching:
        with repeatedly(watching.samples) as scrapes, repeatedly(lambda: answered(running, "/ok"), threads=4) as load:
            for round_ in range(1, 51):
                kill(running.processes[1:])
                eventually(partial(answers_reached, load, 5 * round_), True)
        assert set(load) <= {200, None}
        assert load.count(200) <= watching.value("http_requests_total", endpoint="/ok") <= len(load)
        assert not falls(scrapes)
        assert len(scrapes) > 20


def test_what_a_process_counted_is_seen_though_it_was_killed_before_its_change_mark_said_so(folder, recorder):
    dying, watching = recorder(folder), recorder(folder)
    dying.do("counter = prometheus_client.Counter('host', 'The host has it.')")
    dying.do("counter.inc()")
    assert watching.do("metric_value('host_total')") == 1
    dying.do("value = counter._value")
    dying.do("value._file.cells[value._cell] += 1")  # the first half of what inc() does
    dying.kill()
    eventually(lambda: watching.do("metric_value('host_total')"), 2)


def test_forty_recycled_workers_leave_few_files(site, folder, recorder):
    watching = recorder(folder)
    with site(env=on(folder, GUNICORN_CMD_ARGS="--preload --max-requests 1"), workers=1) as running:
        assert running.get("/ok").status_code == 200
        ask_often(running, 40)
        eventually(lambda: scraped_files(watching, folder) <= 20, True)
        assert watching.do("metric_value('http_requests_total', endpoint='/ok', status='200')") == 41


def scraped_files(recorder, folder):
    """The number of files after a scrape, which may fold those of the dead."""
    recorder.do("len(MetricsCollector.get_metrics())")
    return len(files(folder))


def files(folder):
    return list(Path(folder).glob("*.db"))


def test_requests_in_progress_of_killed_workers_are_gone_without_a_server_hook(site):
    with site(env=VIEWS | FORKED) as running:
        with repeatedly(lambda: answered(running, "/slow?seconds=1"), threads=5):
            eventually(lambda: running.value("http_requests_in_progress") > 3, True)
            kill(running.processes[1:])
        eventually(lambda: running.value("http_requests_in_progress"), 1)  # the scrape itself


def test_requests_in_progress_in_a_container_are_gone_when_it_dies_though_its_process_id_lives_elsewhere(
    folder, recorder
):
    """It is process 1 in its container, and there is a process 1 wherever anyone looks from."""
    watching, container = recorder(folder), recorder(folder, own_container())
    in_progress = "metric_value('http_requests_in_progress')"
    container.do("from observability.metrics import http_requests_in_progress")
    container.do("http_requests_in_progress.labels('GET').inc(3)")
    assert watching.do(in_progress) == 3
    container.kill()
    eventually(lambda: watching.do(in_progress), 0)


# Process ids that come again


def test_a_process_starts_and_records_though_the_files_of_its_process_id_are_damaged(folder, recorder):
    first = recorder(folder, own_container())
    first.do("record('model')")
    first.kill()
    foreign = [f"{kind}_1.db" for kind in ("counter", "histogram", "gauge_livesum", "gauge_mostrecent")]
    for path in {*files(folder), *(folder / name for name in foreign)}:
        path.write_bytes(b"\xff" * 1000)
    second = recorder(folder, own_container())
    second.do("record('model')")
    assert second.do("recorded('model')") == [1, 1, 1, 0.5]


def test_two_containers_with_one_process_id_on_one_volume_lose_nothing(folder, recorder):
    containers = [recorder(folder, own_container()) for _ in range(2)]
    assert [container.do("os.getpid()") for container in containers] == [1, 1]
    for container in containers:
        container.tell("record('model', 3000)")
    for container in containers:
        container.answer()
    watching = recorder(folder)
    for process in (watching, *containers):
        assert process.do("recorded('model')") == [6000, 6000, 6000, 3000]


def test_a_process_is_not_taken_for_dead_in_a_container_that_cannot_see_it(folder, recorder):
    """Its process id there is nobody's, or another's; what it records after a look from there counts all the same."""
    recording, container = recorder(folder), recorder(folder, own_container())
    recording.do("from observability.metrics import http_requests_in_progress")
    for number in range(1, 6):
        recording.do("http_requests_in_progress.labels('GET').inc()")
        recording.do("record('model', 10)")
        assert container.do("metric_value('http_requests_in_progress')") == number
        assert container.do("recorded('model')[0]") == 10 * number


# Files that are damaged


def store_file(key):
    """The used part of a file, as prometheus_client writes it, with three counters of this key's form."""
    path = new_folder("file") / "counter_1.db"
    written = MmapedDict(str(path))
    for number in range(3):
        written.write_value(key.replace("NUMBER", str(number)), 7.0, 0.0)
    used = written._used
    written.close()
    return path.read_bytes()[:used]


GOOD = store_file(mmap_key("planted", "planted_total", ["number"], ["NUMBER"], "Planted."))
DAMAGES = {
    "empty": b"",
    "cut in its header": GOOD[:3],
    "cut in an entry": GOOD[:-20],
    "garbage": random.Random(1).randbytes(4096),
    "a used length beyond its end": struct.pack("i", 1 << 30) + GOOD[4:],
    "an entry's length beyond its end": GOOD[:8] + struct.pack("i", 1 << 20) + GOOD[12:],
    "an entry's length below 0": GOOD[:8] + struct.pack("i", -8) + GOOD[12:],
    "invalid UTF-8": GOOD.replace(b"planted", b"plan\xffed"),
    "invalid JSON": GOOD.replace(b'["planted"', b'{"planted"'),
    "JSON of another form": store_file('{"NUMBER": 1}'),
    "a name that is no text": store_file('[1, 2, {"a": "NUMBER"}, 3]'),
    "a key that is a number": store_file("1"),
    "a key that is null": store_file("null"),
    "a key that is true": store_file("true"),
    "a key that is a text of four": store_file('"abcd"'),
    "a key that is an object of four": store_file('{"a": 1, "b": 2, "c": {}, "d": 4}'),
    "a key that is nested deep": store_file("[" * 20_000),
    "an empty name": store_file(mmap_key("", "", ["number"], ["NUMBER"], "Planted.")),
    "a name with a lone surrogate": store_file(mmap_key("planted\ud800", "planted_total", [], [], "Planted.")),
}


@pytest.fixture(scope="module")
def living(site):
    """A site that recorded something and goes on to: shared by the tests that leave it as they found it."""
    with site(env=VIEWS, workers=2) as running:
        for _ in range(10):
            assert running.get("/ok").status_code == 200
        yield running


@contextmanager
def planted(site, name, content):
    """A file beside those of the site, of a process that wrote it an hour ago."""
    path = Path(site.env["PROMETHEUS_MULTIPROC_DIR"]) / name
    path.write_bytes(content)
    os.utime(path, (time.time() - 3600,) * 2)
    try:
        yield path
    finally:
        path.unlink(missing_ok=True)


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_file_is_put_aside_and_all_the_rest_is_exact(living, damage):
    requests = living.value("http_requests_total", endpoint="/ok")
    put_aside = living.value("observability_store_damaged_files_total")
    with planted(living, f"counter_{10_000_000 + list(DAMAGES).index(damage)}.db", DAMAGES[damage]) as path:
        assert living.get("/ok").status_code == 200
        assert living.value("http_requests_total", endpoint="/ok") == requests + 1
        assert living.value("planted_total") == 0
        assert not path.exists()
    assert DAMAGES[damage] in [other.read_bytes() for other in path.parent.rglob("*") if other.is_file()]
    assert living.value("observability_store_damaged_files_total") == put_aside + 1
    assert path.name in living.log


def test_a_sound_file_that_prometheus_client_wrote_is_counted(living):
    """So that the tests of damaged files can fail."""
    with planted(living, "counter_10000100.db", GOOD):
        assert living.value("planted_total") == 21


@pytest.mark.parametrize("name", ["notes.db", "oddity_7.db", "gauge_7.db", "gauge_unknown_7.db"])
def test_a_file_whose_name_is_not_of_the_store_fails_no_scrape(living, name):
    requests = living.value("http_requests_total", endpoint="/ok")
    with planted(living, name, GOOD):
        assert living.get("/ok").status_code == 200
        assert living.value("http_requests_total", endpoint="/ok") == requests + 1


# Metrics that a deploy changes

MADE = "prometheus_client.{}('planted', 'Planted.'{})"
GAUGES = [MADE.format("Gauge", f", multiprocess_mode={mode!r}") for mode in ("max", "mostrecent", "livesum", "all")]
SETTINGS = {MADE.format("Counter", ""): "inc(5)"} | dict.fromkeys(GAUGES, "set(5)")


@pytest.mark.parametrize(("before", "after"), list(pairwise([*SETTINGS, *SETTINGS][:6])))
def test_a_metric_whose_type_or_mode_a_deploy_changes_is_shown_as_it_is_now(folder, recorder, before, after):
    old = recorder(folder)
    old.do(f"{before}.{SETTINGS[before].replace('5', '3')}")
    old.kill()
    new = recorder(folder)
    new.do(f"{after}.{SETTINGS[after]}")
    assert sorted(shown_as_planted(new)) == sorted(shown_as_planted(recorder(folder))) == [5]


def shown_as_planted(recorder):
    """The values that a scrape shows of the metric, under any labels."""
    recorder.do("from observability import exposition")
    families = "[family for family in exposition.snapshot() if family.name == 'planted']"
    return recorder.do(f"[sample.value for family in {families} for sample in family.samples]")


# Files that cannot be read for a while


def test_a_process_with_too_many_open_files_shows_what_it_knew_and_puts_nothing_aside(folder, recorder):
    recording, watching = recorder(folder), recorder(folder)
    recording.do("record('model')")
    assert watching.do("recorded('model')") == [1, 1, 1, 0.5]
    recording.do("record('model')")
    watching.do("from observability import store")
    for spare in range(4):
        watching.do(f"opened = exhaust_descriptors({spare})")
        watching.do("families = list(store.collect())")
        watching.do("[os.close(descriptor) for descriptor in opened] and None")
        [requests] = watching.do("[sum(f.values) for f in families if f.name == 'ai_requests']")
        assert requests in {1, 2}
    assert watching.do("recorded('model')") == [2, 2, 2, 1.0]
    assert not list(folder.glob("*.damaged"))


def test_files_that_another_user_may_not_read_stay_and_keep_what_was_known_of_them(folder, recorder):
    recording, watching = recorder(folder), recorder(folder)
    recording.do("record('model')")
    assert watching.do("recorded('model')") == [1, 1, 1, 0.5]
    folder.chmod(0o777)
    of_recording = list(folder.glob(f"*_{recording.do('os.getpid()')}-*.db"))
    watching.do("os.getuid() or os.setuid(65534)")
    for path in of_recording:
        path.chmod(0)
    recording.do("record('model')")
    assert watching.do("recorded('model')") == [1, 1, 1, 0.5]
    for path in of_recording:
        path.chmod(0o644)
    assert watching.do("recorded('model')") == [2, 2, 2, 1.0]


# Disks and folders


def test_a_disk_that_fills_up_stops_the_recording_and_not_the_site(site, folder):
    with disk(folder, "6m"), site(env=on(folder)) as running:
        assert running.get("/record").status_code == 200
        with filled_up(folder):
            eventually(lambda: health_after_recording(running, 300), 0)
            for path in ["/ok", "/record?models=300", "/nowhere"] * 5:
                assert running.get(path).status_code in {200, 404}
            eventually(lambda: running.value("observability_dropped_total", reason="store_full") > 0, True)
            assert len(warnings(running)) <= 3 * len(running.processes[1:])
        eventually(lambda: health_after_recording(running, 300), 1)
        eventually(lambda: counted_of_twenty(running, "/record", "ai_requests_total", model="model-0"), 20)


def health_after_recording(site, models):
    assert site.get(f"/record?models={models}").status_code == 200
    return site.value("observability_store_healthy")


def warnings(site):
    return [line for line in site.lines() if (line["level"], line["logger"]) == ("WARNING", "observability")]


def test_what_has_a_place_is_shown_when_the_disk_has_room_for_a_part_of_what_a_file_needs(folder, recorder):
    with disk(folder, "4m"):
        recording = recorder(folder)
        recording.do("from observability.store import values")
        recording.do("counter = prometheus_client.Counter('host', 'The host has it.', ['of'])")
        recording.do("counter.labels('known').inc()")
        recording.do("[counter.labels('x' * 100 + str(number)).inc() for number in range(1000)] and None")
        assert recording.do("metric_value('host_total', of='known')") == 1
        with filled_up(folder, spare=80 * 1024):
            recording.do("[counter.labels('x' * 100 + str(number)).inc() for number in range(4000)] and None")
            assert recording.do("len(values.troubles())") == 1
            for counted in 2, 3:
                recording.do("counter.labels('known').inc()")
                assert recording.do("metric_value('host_total', of='known')") == counted


def test_a_log_handler_that_records_does_not_hang_on_a_full_disk(folder, recorder):
    with disk(folder, "4m"):
        recording = recorder(folder)
        recording.do("import logging")
        recording.do("lines = prometheus_client.Counter('log_lines', 'Lines.', ['level'])")
        recording.do("handler = logging.Handler()")
        recording.do("handler.emit = lambda record: lines.labels(record.levelname).inc()")
        recording.do("logging.getLogger().addHandler(handler)")
        recording.do("lines.labels('INFO').inc()")
        with filled_up(folder):
            recording.do("[lines.labels('x' * 100 + str(number)).inc() for number in range(1000)] and None", seconds=10)
            time.sleep(1.1)  # once a second it is tried again, and said
            recording.do("lines.labels('INFO').inc()", seconds=10)
            assert recording.do("metric_value('log_lines_total', level='INFO')", seconds=10) == 2


def test_the_end_of_a_request_holds_no_lock_that_a_log_handler_waits_for(folder, recorder):
    with disk(folder, "4m"):
        recording = recorder(folder)
        recording.do("import logging")
        recording.do("from observability import store")
        recording.do("lines = prometheus_client.Counter('log_lines', 'Lines.', ['level'])")
        recording.do("busy = prometheus_client.Gauge('busy', 'Busy.', multiprocess_mode='livesum')")
        recording.do("busy.inc(2)")
        recording.do("lines.labels('WARNING').inc()")
        recording.do("handler = logging.Handler()")
        recording.do("handler.emit = lambda record: in_threads(lines.labels('WARNING').inc, 1)")
        recording.do("logging.getLogger('observability').addHandler(handler)")
        with filled_up(folder):
            time.sleep(1.1)  # from then on the next record looks at the files, and says what is wrong with them
            recording.do("[lines.labels('x' * 100 + str(number)) for number in range(1000)] and None")
            recording.do("store.lower(busy._value)", seconds=10)
            recording.do("busy.inc()", seconds=10)
            assert recording.do("metric_value('log_lines_total', level='WARNING')") > 1  # it was said
            assert recording.do("metric_value('busy')") == 2


def test_what_is_refused_before_there_is_room_to_count_it_is_counted_later_and_once(folder, recorder):
    with disk(folder, "4m"):
        with filled_up(folder):
            recording = recorder(folder)
            recording.do("counter = prometheus_client.Counter('host', 'The host has it.')")
            recording.do("[counter.inc() for _ in range(1000)] and None")
        recording.do("record_later = lambda: time.sleep(1.1) or counter.inc()")
        assert recording.do("ends_well(fork_child(record_later), 10)")
        recording.do("record_later()")
        assert recorder(folder).do("[metric_value('host_total'), dropped('host_total')]") == [2, 1000]


def test_a_site_starts_on_a_full_disk_and_records_when_there_is_room(site, folder):
    with disk(folder, "4m"), ExitStack() as stack:
        with filled_up(folder):
            running = stack.enter_context(site(env=on(folder), workers=1))
            ask_often(running)
            assert running.value("observability_store_healthy") == 0
        eventually(lambda: health_after_recording(running, 1), 1)
        before = running.value("http_requests_total", endpoint="/ok")
        ask_often(running)
        assert running.value("http_requests_total", endpoint="/ok") == before + 20


def remove_files(folder):
    for path in folder.iterdir():
        path.unlink()


@pytest.mark.parametrize("wipe", [shutil.rmtree, remove_files], ids=["the folder", "its files"])
def test_a_folder_that_is_wiped_while_the_site_runs_comes_back(site, folder, wipe):
    with site(env=on(folder, **FORKED)) as running:
        ask_often(running)
        wipe(folder)
        eventually(lambda: counted_of_twenty(running, "/ok", "http_requests_total", endpoint="/ok"), 20)
        assert running.value("observability_store_healthy") == 1


def counted_of_twenty(site, path, name, **labels):
    """How many of twenty requests are counted: all, when every worker records again."""
    before = site.value(name, **labels)
    ask_often(site, path=path)
    return site.value(name, **labels) - before


def ask_often(site, times=20, path="/ok"):
    """Requests for all workers; each has to be answered."""
    for _ in range(times):
        assert site.get(path).status_code == 200


def test_a_site_starts_on_a_read_only_folder_and_records_there_when_it_may(site, folder):
    with disk(folder, "4m", mode="ro"), site(env=on(folder), workers=1) as running:
        ask_often(running)
        assert running.value("observability_store_healthy") == 0
        assert "observability.W002" in running.manage("check").stderr
        make_writable(folder)
        eventually(lambda: health_after_recording(running, 1), 1)
        ask_often(running)
        assert running.manage("dump_metrics", "--name", "http_requests_total").stdout.count("/ok")


def test_a_site_starts_where_its_folder_cannot_be_made(site, folder):
    file = folder / "file"
    file.write_text("not a folder")
    with site(env=on(file / "metrics"), workers=1) as running:
        ask_often(running)
        assert running.value("http_requests_total", endpoint="/ok") == 20
        assert running.value("observability_store_healthy") == 0


# Threads, forks and signals


@pytest.fixture(params=["in the store", "in memory"])
def anywhere(request):
    """The folder of a store, and none: values in the memory of one process must stand the same."""
    return new_folder("metrics") if request.param == "in the store" else ""


def test_sixty_four_threads_are_counted_exactly(anywhere, recorder):
    recording = recorder(anywhere)
    recording.do("in_threads(lambda: record('model', 200), threads=64)", seconds=60)
    recording.do("in_threads(lambda: handle(100), threads=64)", seconds=60)
    for reading in [recording, *([recorder(anywhere)] if anywhere else [])]:
        assert reading.do("recorded('model')") == [12800, 12800, 12800, 6400]
        assert reading.do("handled_requests()") == [6400, 6400, 2 * 6400, 0]


def test_of_two_hundred_forks_while_threads_record_and_scrape_none_hangs_and_all_are_counted(folder, recorder):
    recording = recorder(folder)
    ended, recorded = recording.do("fork_children(200, seconds=5)", seconds=60)
    assert ended == 200
    assert recording.do("recorded('child')") == [200, 200, 200, 100]
    assert recording.do("recorded('parent')") == [recorded, recorded, recorded, recorded / 2]
    eventually(lambda: scraped_files(recording, folder) <= 20, True)


def test_no_child_hangs_that_reads_samples_or_changes_a_state_while_the_parent_does_so(folder, recorder):
    recording = recorder(folder)
    samples = "lambda: [family.samples for family in store.collect(metrics.REGISTRY)]"
    recording.do("from observability import metrics, store")
    assert recording.do(f"fork_children(20, seconds=5, child={samples}, beside={samples})", seconds=110)[0] == 20
    recording.do("state = prometheus_client.Enum('task', 'A task.', ['of'], states=['idle', 'busy']).labels('x')")
    change = "lambda: state.state('busy')"
    assert recording.do(f"fork_children(50, seconds=5, child={change}, beside={change})", seconds=60)[0] == 50


@pytest.mark.parametrize(
    "call",
    [
        "lambda number: record('model')",
        "lambda number: record(f'model-{number % 400}')",
        "lambda number: MetricsCollector.record_ai_request('model', 'success', tokens=-1)",
    ],
    ids=["of one series", "of new series", "of a bad value"],
)
def test_a_record_in_a_signal_handler_never_hangs_and_is_counted_or_dropped(anywhere, recorder, call):
    recording = recorder(anywhere)
    handled, done = recording.do(f"record_in_handler({call}, {call}, seconds=1.5)", seconds=10)
    assert handled > 100
    counted = recording.do("metric_value('ai_requests_total')")
    assert counted >= done
    assert counted + recording.do("dropped('ai_requests_total')") == handled + done


def test_a_request_in_a_signal_handler_never_hangs_and_is_counted_or_dropped(anywhere, recorder):
    recording = recorder(anywhere)
    request = "lambda number: handle()"
    handled, done = recording.do(f"record_in_handler({request}, {request}, seconds=1.5)", seconds=10)
    assert handled > 100
    counted, observed, size, in_progress = recording.do("handled_requests()")
    dropped, durations = (
        recording.do(f"dropped('{name}')") for name in ("http_requests_total", "http_request_duration_seconds")
    )
    assert counted + dropped == handled + done
    assert counted - durations <= observed <= counted + dropped
    assert (size, in_progress) == (2 * observed, 0)


def test_a_metric_of_the_hosts_own_never_hangs_in_a_signal_handler(folder, recorder):
    recording = recorder(folder)
    recording.do("counter = prometheus_client.Counter('host', 'The host has it.')")
    increment = "lambda number: counter.inc()"
    handled, done = recording.do(f"record_in_handler({increment}, {increment}, seconds=1.5)", seconds=10)
    assert handled > 100
    assert recording.do("metric_value('host_total') + dropped('host_total')") == handled + done


# Scrapes


def test_scrapers_that_hammer_hold_up_other_requests_no_more_than_as_many_clients_of_a_small_page(
    site, folder, recorder
):
    client = recorder(folder)
    client.do("make_series(20_000)")
    with site(env=on(folder)) as running:
        ask_often(running)
        ratios = []
        for _ in range(2):  # the better of two, since the machine has other work
            (_, small), (statuses, scrapes) = (waits_beside(running, client, path) for path in ("/ok", "/api/metrics"))
            assert set(statuses) == {"200", "503"}
            ratios.append(scrapes / small)
        assert min(ratios) < 2


def waits_beside(site, client, path, seconds=4):
    """What eight clients get that ask for a path without a pause, and the 99th percentile of what others wait."""
    address, token = site.url.removeprefix("http://").split(":"), site.env["METRICS_TOKEN"]
    client.tell(f"ask_over_and_over({address}, '{path}', 'Bearer {token}', threads=8, seconds={seconds})")
    times, deadline = [], time.monotonic() + seconds
    while time.monotonic() < deadline:
        times.append(site.get("/ok").elapsed.total_seconds())
    return client.answer(), quantiles(times, n=100)[-1]
