"""The history that rows tell, in a real Prometheus."""

import subprocess
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from io import StringIO
from random import Random

import pytest
from django.core.management import CommandError, call_command
from django.db.models import Count, Sum

from automation.models import AIRequest, Job, Step
from tests.servers import require

pytestmark = pytest.mark.django_db

NOW = datetime.now(UTC).replace(microsecond=0)
MONTH = timedelta(days=30)
KEEP = "--storage.tsdb.retention.time=90d"


def make(number, random):
    """A job of the past month with its steps and requests."""
    begin = NOW - MONTH + random.random() * (MONTH - timedelta(hours=2))
    end = begin + timedelta(seconds=random.uniform(1, 600))
    job = Job.objects.create(
        job_type=random.choice(["site_check", "notion_vercel"]),
        status=random.choice(["success", "success", "failed", "cancelled"]),
        created_at=begin - timedelta(seconds=random.uniform(0, 30)),
        started_at=begin,
        finished_at=end,
        duration=(end - begin).total_seconds(),
    )
    Step.objects.create(
        job=job, position=1, name="plan", status="success", finished_at=end, started_at=begin, duration=1
    )
    for _ in range(random.randrange(3)):
        known = random.random() < 0.9
        AIRequest.objects.create(
            job=job,
            model=random.choice(["gpt-5.5", 'a "quoted" \\ model']),
            status=random.choice(["success", "error"]),
            input_tokens=random.randrange(1, 5000),
            output_tokens=random.randrange(1, 2000),
            cost=Decimal(random.randrange(1, 10**6)) / 10**6 if known else None,
            duration=random.uniform(0.1, 60),
            created_at=begin,
        )


@pytest.fixture
def past():
    random = Random(7)
    for number in range(300):
        make(number, random)
    Job.objects.create(job_type="site_check", status="running", started_at=NOW - timedelta(hours=1))
    AIRequest.objects.create(model="gpt-5.5")  # under way
    AIRequest.objects.create(model="gpt-5.5", status="error", created_at=NOW - timedelta(days=1))  # nobody was there


@pytest.fixture
def restored(past, prometheus, tmp_path):
    """A Prometheus with the history of the past month."""
    file, data = tmp_path / "history.om", tmp_path / "data"
    since = (NOW - MONTH).isoformat()
    call_command("export_history", "--since", since, "--label", "job=django", "--step=1800", "--output", str(file))
    make_blocks = "tsdb create-blocks-from --max-block-duration=500h openmetrics"
    command = [require("promtool"), *make_blocks.split(), str(file), str(data)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stderr
    with prometheus("global: {}", KEEP, data=data) as running:
        yield running


def at_end(metric):
    """What was counted in the past month."""
    return f"last_over_time({metric}[2h]) - (min_over_time({metric}[31d]) or {metric} * 0)"


NUMBER = Count("pk")


def sums(rows, *labels, value=NUMBER):
    grouped = rows.values_list(*labels).annotate(value=value).exclude(value=None).order_by()
    return {tuple(group[:-1]): pytest.approx(float(group[-1])) for group in grouped}


def test_queries_over_the_past_month_equal_the_database(restored):
    ended = Job.objects.exclude(status="running")
    requests = AIRequest.objects.exclude(status="running")

    def table(metric, *labels):
        return {key: value for key, value in restored.table(at_end(metric), *labels).items() if value}

    assert table("automation_jobs_total", "status") == sums(ended, "status")
    assert table("automation_job_results_total", "job_type", "status") == sums(ended, "job_type", "status")
    durations = sums(ended, "job_type", value=Sum("duration"))
    assert table("automation_job_duration_seconds_sum", "job_type") == durations
    assert table("automation_job_queue_wait_seconds_count", "job_type") == sums(Job.objects.all(), "job_type")
    assert table("automation_job_steps_total", "step", "status") == sums(Step.objects.all(), "name", "status")
    assert table("ai_requests_total", "model", "status") == sums(requests, "model", "status")
    assert table("ai_cost_usd_sum", "model") == sums(requests, "model", value=Sum("cost"))
    assert table("ai_cost_usd_count", "model") == sums(requests.exclude(cost=None), "model")
    assert table("ai_unpriced_requests_total", "model") == sums(requests.filter(cost=None, input_tokens__gt=0), "model")
    costs = defaultdict[tuple[str, str], float](float)
    for job in ended:
        costs[job.job_type, job.status] += float(job.ai_cost() or 0)
    assert table("automation_job_cost_usd_sum", "job_type", "status") == pytest.approx(dict(costs))
    tokens = restored.table(f"sum({at_end('ai_token_usage_total')}) by (type)", "type")
    assert tokens["output",] == requests.aggregate(sum=Sum("output_tokens"))["sum"]
    assert restored.query("count(count by (job) (last_over_time(ai_requests_total[31d])))") == [1]


def test_the_spend_of_each_week_is_in_its_week(restored):
    for week in range(1, 5):
        begin, end = NOW - timedelta(days=7 * week), NOW - timedelta(days=7 * (week - 1))
        before, after = (f"sum(last_over_time(ai_cost_usd_sum[2h] @ {at.timestamp()}))" for at in (begin, end))
        [grown] = restored.query(f"{after} - ({before} or vector(0))")
        spent = AIRequest.objects.filter(created_at__gte=begin, created_at__lt=end).aggregate(sum=Sum("cost"))["sum"]
        assert grown == pytest.approx(float(spent), rel=0.02)  # samples are half an hour apart


def test_it_may_be_printed_and_its_arguments_are_checked(past, capsys):
    call_command("export_history", "--since", (NOW - timedelta(days=2)).date().isoformat())
    printed = capsys.readouterr().out
    assert printed.startswith("# HELP automation_jobs ")
    assert printed.endswith("# EOF\n")
    for wrong, said in {
        ("--since=soon",): "'soon' is neither a day, as 2026-11-01, nor a moment, as 2026-11-01T12:00.",
        ("--since=2026-02-30",): "'2026-02-30' is neither a day",
        ("--since=2999-01-01",): "--since has to be before --until, and before now.",
        ("--since=2026-01-01", "--label=9=1"): "'9=1' is not NAME=VALUE.",
        ("--since=2026-01-01", "--label=model=1"): "model is a label that the metrics have already.",
        ("--since=2026-01-01", "--output=/nowhere/history.om"): "/nowhere/history.om cannot be written: No such file",
        ("--since=2026-01-01", "--step=0"): "--step is a number of seconds from 1 on.",
    }.items():
        with pytest.raises(CommandError, match=said):
            call_command("export_history", *wrong, stderr=StringIO())


def test_names_that_are_cut_to_the_same_label_are_one_series(capsys):
    for end in ("a", "b"):
        AIRequest.objects.create(model="x" * 150 + end, status="success", created_at=NOW - timedelta(minutes=1))
    since = (NOW - timedelta(minutes=2)).isoformat()
    call_command("export_history", "--since", since, "--until", NOW.isoformat())
    counts = [line.split() for line in capsys.readouterr().out.splitlines() if line.startswith("ai_requests_total{")]
    assert [count for _, count, _ in counts] == ["0.0", "2.0"]
