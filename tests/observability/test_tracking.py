"""Jobs of any project's models count once per committed transition, and only then."""

import threading
import time
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from django.apps import apps
from django.contrib.auth.models import User
from django.core.exceptions import ImproperlyConfigured
from django.db import IntegrityError, connection, transaction
from django.db.models import F
from django.db.models.functions import Now

from automation.models import AIRequest, Job, Step
from observability import signals, tracking
from observability.testing import assert_increases, metric_value
from observability.tracking import announce, track_jobs, transition, transition_all

pytestmark = pytest.mark.django_db(transaction=True)


def new_job(**values):
    return Job.objects.create(job_type="site_check", **{"status": "running"} | values)


def ended(by=1, status="success"):
    return assert_increases("automation_jobs_total", by=by, status=status)


def test_a_transition_counts_once_on_commit():
    job = new_job()
    with ended(), assert_increases("automation_job_results_total", job_type="site_check", status="success"):
        with transaction.atomic(), ended(by=0):
            assert transition(job, "success", duration=1.5)
        assert job.status == "success"
    assert Job.objects.get(pk=job.pk).duration == 1.5


def test_a_transition_that_another_writer_made_first_does_nothing():
    job = new_job()
    same = Job.objects.get(pk=job.pk)
    with ended(), ended(by=0, status="failed"):
        assert transition(job, "success")
        assert not transition(same, "failed", error="too late")
    assert (same.status, same.error) == ("running", "")
    assert Job.objects.get(pk=job.pk).status == "success"


def test_a_transition_may_ask_for_more_than_the_status():
    """As a worker that slept does, while another has begun the job anew."""
    job = new_job(attempts=2)
    with ended():
        assert not transition(job, "success", where={"attempts": 1})
        assert not transition(job, "success", where={"attempts__gt": 2})
        assert (job.status, Job.objects.get(pk=job.pk).status) == ("running", "running")
        assert transition(job, "success", where={"attempts": 2, "cancel_requested_at": None})


def test_what_the_database_computes_in_a_transition_is_read_from_the_row():
    job = new_job(attempts=2)
    assert transition(job, "success", attempts=F("attempts") + 1, heartbeat_at=Now())
    assert job.attempts == 3
    assert abs(job.heartbeat_at - datetime.now(UTC)) < timedelta(minutes=1)


def by_sql(job):
    """Read the row that a statement of one's own has ended."""
    end = "UPDATE automation_job SET status = 'success' WHERE id = %s AND status = 'running' RETURNING *"
    return list(Job.objects.raw(end, [job.pk]))


def test_what_sql_of_ones_own_did_is_announced():
    job = new_job()
    with ended(), transaction.atomic(), ended(by=0):
        for row in by_sql(job):
            announce(row)
    assert by_sql(job) == []


def test_what_sql_of_ones_own_did_counts_nothing_when_it_is_rolled_back():
    with ended(by=0):
        undone(lambda job: announce(*by_sql(job)), new_job())


def test_64_threads_that_end_the_same_job_count_once():
    job = new_job()
    wins = []

    def end():
        try:
            wins.append(transition(Job.objects.get(pk=job.pk), "success", come_from="running"))
        finally:
            connection.close()

    threads = [threading.Thread(target=end) for _ in range(64)]
    with ended():
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert sorted(wins) == [False] * 63 + [True]


def test_a_save_counts_once_and_ten_re_saves_count_nothing():
    job = new_job()
    job.status = "success"
    with ended():
        job.save()
    with ended(by=0):
        for _ in range(10):
            job.save()
        job.save(update_fields=["error"])
        again = Job.objects.get(pk=job.pk)
        again.refresh_from_db()
        again.save()


def test_an_instance_that_was_made_with_the_key_of_a_row_counts_only_what_changes_in_it():
    step = Step.objects.create(job=new_job(), position=1, name="fetch_path")
    same = {"pk": step.pk, "job": step.job, "position": 1, "name": "fetch_path", "status": "success"}
    with assert_increases("automation_job_steps_total", step="fetch_path", status="success"):
        Step(**same).save()
        Step(**same).save()


def test_two_changes_in_one_transaction_are_two_transitions():
    job = new_job(status="pending")
    with (
        assert_increases("automation_job_queue_wait_seconds_count", job_type="site_check"),
        ended(),
        transaction.atomic(),
    ):
        assert transition(job, "running", started_at=datetime.now(UTC))
        assert transition(job, "success")


def test_of_two_transactions_that_save_the_same_change_one_counts():
    """The second has to wait for the first before it may compare what the row holds."""
    job, saved, compares = new_job(), threading.Event(), threading.Event()

    def first():
        with transaction.atomic():
            save(Job.objects.get(pk=job.pk), "success")
            saved.set()
            compares.wait(10)
            time.sleep(0.3)  # the second is at the row by now, held up by it
        connection.close()

    def second():
        late = Job.objects.get(pk=job.pk)
        saved.wait(10)
        with transaction.atomic():
            compares.set()
            save(late, "success")
        connection.close()

    threads = [threading.Thread(target=work) for work in (first, second)]
    with ended():
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()


def test_the_same_instance_may_try_again_after_a_rollback():
    job = new_job()
    undone(lambda job: transition(job, "success"), job)
    with ended():
        assert transition(job, "success")
        assert not transition(job, "success")
    assert Job.objects.get(pk=job.pk).status == "success"


def test_an_instance_that_is_out_of_date_does_not_count_again():
    job = new_job()
    stale = Job.objects.get(pk=job.pk)
    transition(job, "success")
    stale.refresh_from_db(fields=["status"])
    with ended(by=0):
        stale.save()


@pytest.mark.parametrize("change", [lambda job: transition(job, "success"), lambda job: save(job, "success")])
def test_a_rollback_counts_nothing_and_the_retry_once(change):
    job = new_job()
    with ended(by=0):
        undone(change, job)
    with ended(), transaction.atomic():
        change(Job.objects.get(pk=job.pk))


@pytest.mark.parametrize("change", [lambda job: transition(job, "success"), lambda job: save(job, "success")])
def test_a_rolled_back_savepoint_counts_nothing(change):
    job = new_job()
    with ended(by=0), transaction.atomic():
        undone(change, job)
        assert Job.objects.get(pk=job.pk).status == "running"


def test_an_integrity_error_counts_nothing():
    with ended(by=0, status="failed"), pytest.raises(IntegrityError):
        new_job(status="failed", duration=-1)
    job = new_job()
    with ended(by=0), pytest.raises(IntegrityError):
        transition(job, "success", duration=-1)
    assert job.status == "running"


def undone(change, job):
    """Make a change in a transaction, or a savepoint, that is rolled back."""
    with suppress(ZeroDivisionError), transaction.atomic():
        change(job)
        raise ZeroDivisionError


def save(job, status):
    job.status = status
    job.save()


def test_a_row_that_is_made_in_a_final_state_counts():
    with ended(status="cancelled"):
        new_job(status="cancelled")


def test_a_proxy_counts_like_the_model_that_it_stands_for():
    class Urgent(Job):
        class Meta:
            proxy = True
            app_label = "automation"

    try:
        urgent = Urgent.objects.get(pk=new_job().pk)
        with ended():
            save(urgent, "success")
        with ended():
            transition(Urgent.objects.get(pk=new_job().pk), "success")
    finally:
        apps.all_models["automation"].pop("urgent")
        apps.clear_cache()


@pytest.mark.parametrize("slip", [{"status": "state"}, {"ended": "doen"}, {"job_type": "knd"}])
def test_a_slip_in_the_name_of_a_field_is_told_at_once(slip):
    with pytest.raises(ImproperlyConfigured, match=f"Job has no field '{next(iter(slip.values()))}'"):
        track_jobs(Job, **slip)


def test_a_model_that_is_not_tracked_is_told():
    with pytest.raises(LookupError, match=r"User is not tracked: call track_jobs\(User\)"):
        transition(User(), "success")
    with pytest.raises(LookupError, match="User is not tracked"):
        announce(User())


def test_what_sends_no_signals_counts_nothing_and_the_helper_counts():
    jobs = [new_job() for _ in range(10)]
    rows = Job.objects.filter(pk__in=[job.pk for job in jobs])
    with ended(by=0):
        Job.objects.bulk_create([Job(job_type="site_check", status="success") for _ in range(5)])
        Job.objects.filter(pk=jobs[0].pk).update(status="success")
        jobs[1].status = "success"
        Job.objects.bulk_update([jobs[1]], ["status"])
        Job.objects.filter(pk=jobs[2].pk).delete()
    with ended(by=7):
        assert transition_all(rows, "success") == 7
        assert transition_all(rows, "success") == 0


def test_steps_and_ai_requests_count_once_too():
    job = new_job()
    step = Step.objects.create(job=job, position=1, name="fetch_path")
    with (
        assert_increases("automation_job_steps_total", step="fetch_path", status="failed"),
        assert_increases("automation_step_duration_seconds_sum", by=0.5, step="fetch_path"),
    ):
        transition(step, "failed", duration=0.5)
        step.save()
    with (
        assert_increases("ai_requests_total", model="tracked", status="success"),
        assert_increases("ai_tokens_total", by=12, model="tracked"),
        assert_increases("ai_cost_usd_sum", by=0.25, model="tracked"),
    ):
        request = AIRequest.objects.create(
            job=job, model="tracked", status="success", input_tokens=10, output_tokens=2, cost="0.25"
        )
        request.save()


def test_the_queue_wait_and_the_active_jobs_are_seen():
    waiting = new_job(status="pending", created_at=datetime.now(UTC) - timedelta(seconds=30))
    with assert_increases("automation_job_queue_wait_seconds_count", job_type="site_check"):
        transition(waiting, "running", started_at=datetime.now(UTC))
    assert metric_value("active_jobs") == Job.objects.filter(status="running").count() == 1


def test_queued_jobs_and_the_last_success_are_read_from_the_rows_themselves():
    queued = "automation_jobs_queued"
    last = "automation_job_last_success_timestamp_seconds"
    assert (metric_value(queued, job_type="site_check"), metric_value(last)) == (0, 0)
    end = datetime(2026, 11, 23, 12, tzinfo=UTC)
    Job.objects.bulk_create(
        Job(job_type=kind, status=status, finished_at=end + timedelta(hours=hours))
        for kind, status, hours in [
            ("site_check", "pending", 0),
            ("site_check", "pending", 0),
            ("removed", "pending", 0),
            ("site_check", "success", 1),
            ("site_check", "success", 0),
            ("site_check", "failed", 2),
        ]
    )
    assert (metric_value(queued, job_type="site_check"), metric_value(queued, job_type="removed")) == (2, 1)
    assert metric_value(last, job_type="site_check") == (end + timedelta(hours=1)).timestamp()
    assert metric_value("observability_source_up", source="database") == 1


def test_a_clock_that_is_set_back_during_a_job_gives_no_negative_time():
    with time_machine.travel("2026-11-23 12:00+00:00") as clock:
        job = new_job(status="pending", created_at=datetime.now(UTC))
        clock.shift(-3600)
        with (
            assert_increases("automation_job_queue_wait_seconds_count", job_type="site_check"),
            assert_increases("automation_job_queue_wait_seconds_sum", by=0, job_type="site_check"),
            assert_increases("observability_dropped_total", by=0),
        ):
            transition(job, "running", started_at=datetime.now(UTC))


def test_a_failing_receiver_fails_neither_the_job_nor_the_count():
    def broken(**kwargs):
        raise RuntimeError("somebody's receiver")

    signals.job_finished.connect(broken, sender=Job)
    try:
        job = new_job()
        with ended():
            assert transition(job, "success")
    finally:
        signals.job_finished.disconnect(broken, sender=Job)
    assert Job.objects.get(pk=job.pk).status == "success"


def test_a_cost_that_cannot_be_read_leaves_the_job_counted(monkeypatch):
    def broken(job):
        raise RuntimeError("no such table")

    monkeypatch.setitem(tracking._tracked, Job, tracking._tracked[Job])  # as it was, at the end
    track_jobs(Job, duration="duration", cost=broken)
    job = new_job()
    with ended(), assert_increases("automation_job_cost_usd_count", by=0):
        assert transition(job, "success")


def test_whatever_goes_wrong_while_telling_others_stays_with_us(monkeypatch):
    job = new_job()
    monkeypatch.setattr(Job, "job_type", property(lambda job: 1 / 0))
    assert transition(job, "success")
    monkeypatch.undo()
    assert Job.objects.get(pk=job.pk).status == "success"


def test_a_host_project_may_send_the_signals_by_itself():
    with (
        ended(status="failed"),
        assert_increases("automation_job_duration_seconds_sum", by=3, job_type="nightly"),
        assert_increases("automation_job_cost_usd_sum", by=0.5, job_type="nightly", status="failed"),
    ):
        signals.job_finished.send_robust(User, instance=None, job_type="nightly", status="failed", duration=3, cost=0.5)
