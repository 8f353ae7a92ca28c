"""Past days are summed once, and never differ from the rows."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from random import Random

import pytest
import time_machine

from automation import daybook
from automation.models import AIRequest, Job, Spend, SpendDay
from automation.prices import reprice
from tests.site import eventually

pytestmark = pytest.mark.django_db

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
SINCE = datetime(2026, 11, 11, tzinfo=UTC)


@pytest.fixture(autouse=True)
def today(settings, monkeypatch):
    settings.TIME_ZONE = "UTC"
    monkeypatch.setattr(daybook, "COSTLIEST", 3)
    with time_machine.travel(NOW, tick=False):
        yield


@pytest.fixture
def jobs(user):
    """Jobs of two types, of which some go on over midnight, with requests of all kinds on ten days."""
    chance = Random(7)
    found = []
    for number in range(40):
        at = NOW - timedelta(hours=number * 6)
        status = chance.choice(["success", "success", "failed", "cancelled"])
        job = Job.objects.create(
            job_type=chance.choice(["notion_vercel", "site_check"]),
            status=status,
            started_by=chance.choice([user, None]),
            created_at=at,
            finished_at=at + timedelta(hours=7),
        )
        found.append(job)
        for hours in range(chance.randrange(4)):
            ask(job=job, created_at=min(at + timedelta(hours=hours * 3), NOW - timedelta(minutes=1)), chance=chance)
    ask(job=None, created_at=NOW - timedelta(days=3), chance=chance)
    return found


def ask(*, chance, **about):
    cost, source = chance.choice(
        [(1, "settings"), (2, "settings"), (3, "settings"), (None, "no_price"), (None, "no_usage")]
    )
    return AIRequest.objects.create(
        model=chance.choice(["gpt-5", "gpt-5-mini", "<script>"]),
        step=chance.choice(["plan", "write", ""]),
        status="success",
        cost=cost and Decimal(cost) / 7,
        price_source=source,
        input_tokens=100,
        cached_input_tokens=30,
        output_tokens=chance.randrange(50),
        billed={"input_tokens": 100, "output_tokens": 7},
        **about,
    )


def book(since=SINCE, until=NOW):
    """All that it tells, to the hundred millionth of a dollar."""
    read = daybook.Book(since, until)
    costliest = [(key, rounded(sums)[:2]) for key, sums in read.costliest_jobs()]
    sorts = {
        name: {key: rounded(sums) for key, sums in sums.items()} for name, sums in read.by.items() if name != "job"
    }
    by_day = {key: rounded(sums) for key, sums in read.by_day.items()}
    return sorts, by_day, costliest, round(daybook.cost(since, until), 6)


def rounded(sums):
    money = [None if value is None else round(value, 6) for value in (sums.spent, sums.wasted)]
    return [getattr(sums, name) for name in daybook.COUNTS], money, sums.first, sums.last


def summed():
    return sorted(SpendDay.objects.filter(is_current=True).values_list("day", flat=True))


def close_all():
    while daybook.close():
        pass


def test_sums_of_past_days_equal_the_rows(jobs):
    as_they_are = book()
    close_all()
    assert len(summed()) >= 9
    assert book() == as_they_are
    begun = SINCE + timedelta(days=1, hours=5)  # within days
    by_sums = book(begun, NOW - timedelta(hours=7))
    SpendDay.objects.all().delete()
    assert by_sums == book(begun, NOW - timedelta(hours=7))


def test_past_days_are_read_from_their_sums(jobs):
    close_all()
    Spend.objects.filter(day="2026-11-15").update(number=1000)
    assert daybook.Book(SINCE, NOW).total.number > 1000


@pytest.mark.parametrize(
    "change",
    [
        lambda jobs: jobs[20].delete(),
        lambda jobs: AIRequest.objects.filter(job=jobs[20]).first().delete(),
        lambda jobs: AIRequest.objects.filter(created_at__lt=NOW - timedelta(days=4)).delete(),
        lambda jobs: ask(job=jobs[20], created_at=NOW - timedelta(days=4), chance=Random(1)),
    ],
    ids=["job deleted", "request deleted", "many deleted", "request that comes late"],
)
def test_what_changes_later_changes_the_sums(jobs, change):
    close_all()
    before = book()
    change(jobs)
    after = book()
    assert after != before
    close_all()
    assert book() == after
    SpendDay.objects.all().delete()
    assert book() == after


def test_a_price_that_becomes_known_changes_the_sums(jobs, settings):
    close_all()
    spent = daybook.Book(SINCE, NOW).total
    settings.OBSERVABILITY = settings.OBSERVABILITY | {"AI_PRICES": [{"model": "*", "input": "10000", "output": "0"}]}
    priced = [row for row, price in reprice() if price.cost is not None]
    assert priced
    later = daybook.Book(SINCE, NOW).total
    assert later.spent == pytest.approx(spent.spent + len(priced))
    assert later.unpriced == spent.unpriced - len(priced)
    close_all()
    assert daybook.Book(SINCE, NOW).total.spent == pytest.approx(later.spent)


def test_a_day_waits_for_its_jobs_and_requests(jobs):
    AIRequest.objects.create(model="gpt-5", created_at=NOW - timedelta(days=2))  # under way
    running = Job.objects.create(job_type="site_check", status="running", created_at=NOW - timedelta(days=4))
    ask(job=running, created_at=NOW - timedelta(days=3), chance=Random(1))
    close_all()
    left = set(daybook.days_between(NOW.date() - timedelta(days=8), NOW.date())) - set(summed())
    assert left == {(NOW - timedelta(days=days)).date() for days in (3, 2, 0)}


def test_a_day_is_summed_an_hour_after_its_end(jobs):
    with time_machine.travel("2026-11-22T00:59Z"):
        close_all()
        assert NOW.date() not in summed()
    with time_machine.travel("2026-11-22T01:01Z"):
        close_all()
        assert NOW.date() in summed()


def test_another_time_zone_has_other_days(jobs, settings):
    close_all()
    settings.TIME_ZONE = "Asia/Tokyo"
    as_they_are = book()
    close_all()
    assert book() == as_they_are
    assert SpendDay.objects.filter(zone="Asia/Tokyo").exists()


def test_a_few_days_are_summed_at_a_time(jobs):
    daybook.close()
    assert summed() == daybook.days_between(
        NOW.date() - timedelta(days=daybook.AT_ONCE), NOW.date() - timedelta(days=1)
    )


def test_without_requests_there_is_nothing_to_sum():
    assert daybook.close() == 0
    assert daybook.Book(SINCE, NOW).total == daybook.Sums()


HASTY = "from project.settings import *\nAUTOMATION |= {'LEASE_SECONDS': 1}\n"
OLD_REQUEST = """
from datetime import timedelta
from django.utils import timezone
from automation.models import AIRequest
made = timezone.now() - timedelta(days=2)
AIRequest.objects.create(model="gpt-5.5", status="success", cost="0.5", created_at=made)
"""
SUMMED = "from automation.models import Spend; print(sorted(Spend.objects.values_list('dimension', 'spent')))"


def test_a_worker_sums_past_days_by_itself(site, tmp_path):
    (tmp_path / "hasty.py").write_text(HASTY)
    env = {"DJANGO_SETTINGS_MODULE": "hasty", "PYTHONPATH": str(tmp_path)}
    with site(env=env, redis=False, workers=1) as running:
        assert running.manage("shell", "-v0", "-c", OLD_REQUEST).returncode == 0
        with running.worker():
            summed = "('model', Decimal('0.50000000'))"
            eventually(lambda: summed in running.manage("shell", "-c", SUMMED).stdout, True, seconds=60)
