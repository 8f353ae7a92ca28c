"""How the numbers were before: own samples in Redis, PostgreSQL or SQLite, or a real Prometheus."""

import json
import os
import re
from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
from django.utils import timezone

from observability.history.door import midnight
from tests.browser import sign_in
from tests.processes import stop
from tests.servers import new_folder, requires
from tests.site import METRICS_TOKEN, empty_redis, eventually, fresh_postgres, prepare, template_database

PAGE = "/admin/observability/metric/"

BEGIN = 1_800_000_000  # a multiple of every step
PRELUDE = f"""
from time import time
from observability import exposition, history
from observability.history import keeper, ring
from observability.history.amounts import Sample
from observability.metrics import MetricsCollector as collector
BEGIN = {BEGIN}
backend = ring.backend()
def request(n, status=200, seconds=0.02):
    for _ in range(n):
        collector.record_http_request("GET", "/orders", status, seconds)
def read(name, now):
    return history.read(history.RANGES[name], exposition.snapshot(), now)
"""


@pytest.fixture(params=["redis", "postgresql", "sqlite"])
def kept(request, own_process):
    """``kept("code that prints JSON")`` in a process whose samples go to an empty Redis, PostgreSQL or SQLite."""

    def run(code, **environment):
        return own_process(PRELUDE + code, PROMETHEUS_PORT="9", **where, **environment)

    if request.param == "redis":
        where = {"REDIS_URL": empty_redis()}
        yield run
    elif request.param == "postgresql":
        with fresh_postgres(like=template_database()) as url:
            where = {"DATABASE_URL": url, "REDIS_URL": ""}
            yield run
    else:
        where = {"DATABASE_URL": f"sqlite:///{new_folder('sqlite')}/db.sqlite3", "REDIS_URL": ""}
        prepare(os.environ | where)
        yield run


def test_rates_errors_and_times_follow_from_samples(kept):
    code = """
for slot, (good, bad) in enumerate([(0, 0), (15, 0), (30, 0), (27, 3)]):
    request(good); request(bad, 503, 0.2)
    keeper.keep(BEGIN + 15 * slot + 0.3)
past = read("15m", BEGIN + 46)
steps = [step for step in past.steps if step]
from observability.pages import charts
times = [chart.times for chart in charts.make(read("1h", BEGIN + 46), jobs=False, spend=True)]
assert all(one[-1] == BEGIN + 46 and list(one) == sorted(set(one)) for one in times)  # none is yet to come
print(json.dumps([
    past.source, [step.request_rate for step in steps[:3]], [step.error_ratio for step in steps[:3]],
    steps[0].request_quantile(0.5), past.details.counters["http_requests_total"].get(("GET", "/orders", "503")),
]))
"""
    assert kept(code) == ["own", [1.0, 2.0, 2.0], [0.0, 0.0, 0.1], 0.0175, 3.0]


def test_the_request_that_came_after_the_last_sample_is_there(kept):
    code = """
keeper.keep(BEGIN)
request(7)
past = read("15m", BEGIN + 5)
print(json.dumps([sum(step.sum("http_requests_total") for step in past.steps if step), past.minute.request_rate]))
"""
    assert kept(code) == [7.0, 1.4]


def test_the_last_minute_is_no_longer_than_that(kept):
    code = """
for slot in range(40):
    request(90 if slot < 30 else 15)
    keeper.keep(BEGIN + 15 * slot + 0.3)
past = read("6h", BEGIN + 15 * 39 + 1)
print(json.dumps([past.minute.request_rate, past.minutes.request_rate]))
"""
    minute, minutes = kept(code)
    assert minute == pytest.approx(1.0, abs=0.05)
    assert minutes == pytest.approx(3.5, abs=0.2)


def test_what_was_spent_counts_from_midnight(kept):
    code = """
from datetime import datetime, timezone
midnight = datetime.fromtimestamp(BEGIN, timezone.utc).replace(hour=0, minute=0, second=0).timestamp()
def write(tier, at, usd):
    sample = Sample(at, {"ai_cost_usd_sum": {(): usd}}, {})
    backend.write(tier, ring.Row("another host", tier.slot(at), sample.pack()))
four = midnight + 4 * 3600
for at, usd in {midnight - 900: 7.0, midnight: 9.0, four + 900: 9.25}.items():
    write(ring.TIERS[2], at, usd)
for second, usd in {900: 9.25, 915: 9.5, 1800: 10.0, 1815: 10.0, 1830: 10.25}.items():
    write(ring.FINE, four + second, usd)
past = read("15m", four + 1800 + 31)
from observability.pages import charts, now, sections
def drawn(**about):
    return next(chart for chart in charts.make(past, jobs=False, spend=True, **about) if chart.id == "spend")
tile = now.spend(0.75, sections.Budget(limit=3, reserved=0.3, forecast=9))
beside = drawn(limit=3.0)
found = [past.spent_before, drawn().summary, beside.summary, beside.shown, tile.unit, tile.note, tile.lengths]
print(json.dumps(found))
"""
    spent_before, summary, beside_budget, shown, unit, note, lengths = kept(code)
    assert spent_before == 0.5  # until the beginning of the chart
    assert summary == "Now $0.75"
    assert beside_budget == "Now $0.75, 25.0 % of $3.00"
    assert shown == ["$0.75", "$3.00"]
    assert (unit, note) == (" of $3.00, 25.0 %", "$0.30 reserved · forecast $9.00")
    assert lengths == ["25.0%", "35.0%"]


def test_what_was_spent_today_never_falls_as_the_chart_moves_on(kept):
    code = """
from datetime import datetime, timezone
from observability.pages import charts
midnight = datetime.fromtimestamp(BEGIN, timezone.utc).replace(hour=0, minute=0, second=0).timestamp()
begin = midnight + 4 * 3600
def write(tier, at):
    usd = (at - midnight) / 3600  # a dollar an hour
    backend.write(tier, ring.Row("another host", tier.slot(at), Sample(at, {"ai_cost_usd_sum": {(): usd}}, {}).pack()))
told = []
for at in range(int(begin - 4 * 3600), int(begin) + 721, 15):
    for tier in ring.TIERS[:3]:
        if at % tier.step == 0 and at > begin - 2 * tier.seconds:
            write(tier, at)
    if at >= begin and (at - begin) % 240 == 0:
        for name in ("15m", "1h"):
            drawn = charts.make(history.read(history.RANGES[name], [], at), jobs=False, spend=True)
            told.append(round(charts.last(next(c for c in drawn if c.id == "spend").lines[0].values), 3))
print(json.dumps(told))
"""
    assert kept(code) == [4.0, 4.0, 4.067, 4.067, 4.133, 4.133, 4.2, 4.2]


def test_a_day_begins_once_by_the_clocks_of_the_site(settings):
    settings.TIME_ZONE = "America/Havana"  # where on this day it was twice between 0:00 and 1:00
    begin = datetime(2026, 11, 1, tzinfo=ZoneInfo("America/Havana")).timestamp()
    with timezone.override("Asia/Tokyo"):  # as a middleware does for who signed in
        assert {midnight(begin + 3600 * hour) for hour in (0, 0.5, 1.5, 12, 24.9)} == {begin}
        assert midnight(begin + 3600 * 25) == begin + 3600 * 25


def test_one_sample_is_taken_in_a_slot_whoever_asks(kept):
    code = """
for second in range(0, 60, 5):
    keeper.keep(BEGIN + second)
print(json.dumps([len(backend.read(tier, 0)) for tier in ring.TIERS]))
"""
    assert kept(code) == [4, 1, 1, 1, 1]


def test_a_clock_that_is_set_back_makes_no_second_sample_and_no_peak(kept):
    code = """
mine = ring.instance()
request(150)
for slot in range(8):
    sample = Sample(BEGIN + 15 * slot + 0.2, {"http_requests_total": {("200",): 100.0 + 15 * slot}}, {})
    backend.write(ring.FINE, ring.Row(mine, ring.FINE.slot(BEGIN) + slot, sample.pack()))
keeper.keep(BEGIN + 47)
held = len(backend.read(ring.FINE, 0))
past = read("15m", BEGIN + 50)
print(json.dumps([held, [step.sum("http_requests_total") for step in past.steps if step]]))
"""
    assert kept(code) == [8, [15.0, 15.0, 15.0, 5.0]]


def test_processes_of_a_folder_that_was_emptied_are_one_instance_again(own_process, tmp_path):
    code = """
from pathlib import Path
import os, subprocess, sys
before = ring.instance()
again = ring.instance()
Path(os.environ["PROMETHEUS_MULTIPROC_DIR"], ring.FILE).unlink()
ask = "import django; django.setup(); from observability.history import ring; print(ring.instance())"
other = subprocess.run([sys.executable, "-c", ask], capture_output=True, text=True, check=True).stdout.strip()
print(json.dumps([before == again, before == other, ring.instance() == other, os.listdir(Path(ring.store.folder()))]))
"""
    same, as_before, one, files = own_process(PRELUDE + code, PROMETHEUS_MULTIPROC_DIR=str(tmp_path), REDIS_URL="")
    assert (same, as_before, one) == (True, False, True)
    assert [name for name in files if "instance" in name] == ["instance"]


def test_a_ring_holds_no_more_than_its_length_and_its_number(kept):
    code = """
tier = ring.Tier("short", 15, 60, {})
for slot in range(10):
    backend.write(tier, ring.Row("one", slot, b"x"))
slots = [row.slot for row in backend.read(tier, 0)]
for number in range(tier.most + 20):
    backend.write(tier, ring.Row(f"of many {number}", 9, b"x"))
print(json.dumps([slots, len(backend.read(tier, 0)), tier.most]))
"""
    slots, held, most = kept(code)
    assert slots == [6, 7, 8, 9]
    assert held == most


def test_a_counter_that_began_anew_and_a_time_without_samples_make_no_peak(kept):
    code = """
def write(slot, value):
    sample = Sample(BEGIN + 15 * slot, {"http_requests_total": {("200",): value}}, {})
    backend.write(ring.FINE, ring.Row("another host", ring.FINE.slot(BEGIN) + slot, sample.pack()))
for slot, value in enumerate([1000, 1030, 15, 45]):
    write(slot, value)
write(40, 9045)
past = read("15m", BEGIN + 15 * 41)
print(json.dumps([step.request_rate for step in past.steps if step]))
"""
    assert kept(code) == [2.0, 1.0, 2.0]


def test_a_day_is_told_from_samples_a_minute_apart_and_keeps_its_peak(kept):
    code = """
def write(tier, minute, good, bad):
    sample = Sample(BEGIN + 60 * minute, {"http_requests_total": {("200",): good, ("500",): bad}}, {})
    backend.write(tier, ring.Row("another host", tier.slot(BEGIN) + minute, sample.pack()))
for minute in range(121):
    write(ring.TIERS[1], minute, 60.0 * minute, 30.0 * (minute >= 61))
past = read("24h", BEGIN + 7260)
from observability.pages import charts
drawn = {chart.id: chart for chart in charts.make(past, jobs=False, spend=False)}
rates = [round(v, 2) for v in drawn["requests"].lines[0].values if v is not None]
print(json.dumps([rates[:3], round(max(v for v in drawn["errors"].lines[0].values if v is not None), 3)]))
"""
    rates, worst = kept(code)
    assert rates == [1.0, 1.0, 1.0]
    assert worst == pytest.approx(30 / 330, abs=0.001)  # of its five minutes, where ten have half of it


def test_what_is_no_number_is_in_no_sample(own_process):
    code = """
from observability import metrics
from observability.history.amounts import DETAILS, take
metrics.active_users.set(float("nan"))
metrics.http_request_duration_seconds.labels("GET", "/orders").observe(float("inf"))
sample = take(exposition.snapshot(), DETAILS, BEGIN)
sums = [value for of in sample.counters.values() for value in of.values()]
print(json.dumps([sums, "active_users" in sample.gauges], allow_nan=False))
"""
    assert own_process(PRELUDE + code) == [[1.0], False]


def test_samples_that_cannot_be_read_leave_the_page_without_history(own_process):
    code = """
past = read("1h", time())
print(json.dumps([past.source, any(past.steps)]))
"""
    where = {"DATABASE_URL": "postgres://nobody@127.0.0.1:9/nothing", "REDIS_URL": "redis://127.0.0.1:9/0"}
    assert own_process(PRELUDE + code, PROMETHEUS_PORT="9", **where) == ["none", False]


def test_a_silent_prometheus_is_waited_for_once(own_process, silent):
    code = """
waited = []
for _ in range(2):
    begin = time()
    past = read("1h", begin)
    waited.append(time() - begin)
print(json.dumps([past.source, past.problem, waited]))
"""
    source, problem, waited = own_process(PRELUDE + code, PROMETHEUS_URL=f"http://127.0.0.1:{silent}")
    assert [source, problem] == ["own", "did not answer within 2 s"]
    assert waited[0] < 4
    assert waited[1] < 1.5


SCRAPE = """
global: {{scrape_interval: 1s}}
scrape_configs:
  - job_name: site
    metrics_path: /api/metrics
    authorization: {{credentials: "{token}"}}
    file_sd_configs: [{{files: ["{targets}"]}}]
"""


@requires("prometheus")
def test_history_is_that_of_prometheus_while_it_answers(site, prometheus):
    targets = new_folder("targets") / "targets.json"
    with (
        prometheus(SCRAPE.format(token=METRICS_TOKEN, targets=targets)) as server,
        site({"PROMETHEUS_URL": server.url.replace("//", "//name:word@")}) as running,
    ):
        cookie = sign_in(running)

        def data():
            return running.get(f"{PAGE}data/?range=15m", headers={"Cookie": cookie}).json()

        assert "has no numbers of this site" in data()["fragments"]["messages"]
        running.get("/nowhere")
        written = targets.with_suffix(".new")
        written.write_text(json.dumps([{"targets": [running.url.removeprefix("http://")]}]))
        written.rename(targets)
        counted = "http_requests_total{endpoint='unmatched'}"
        eventually(lambda: server.query(counted), [1.0])
        for _ in range(20):
            running.get("/nowhere")
        eventually(lambda: server.query(counted), [21.0])
        eventually(lambda: "History from <strong>Prometheus</strong>" in data()["fragments"]["note"], True, 40)
        assert 15 < requests_of("unmatched", data()["fragments"]["tables"]) < 30  # Prometheus extrapolates
        assert "word" not in json.dumps(data())
        stop(server.process)
        gone = "did not answer. Charts show this site’s own samples"
        eventually(lambda: gone in data()["fragments"]["messages"], True, 40)


def requests_of(endpoint, html):
    return int(re.search(rf">{endpoint}</bdi>.*?data-label=\"Requests\"><span>(\d+)<", html, re.DOTALL)[1])
