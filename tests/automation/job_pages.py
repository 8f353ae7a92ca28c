"""Jobs in each of their states, as the engine would have left them."""

from datetime import timedelta
from decimal import Decimal

from django.utils import timezone

from automation.models import AIRequest, Job, Step

DIED = "Its worker stopped without a word."


def steps(job, *rows):
    """Add steps: name, seconds from the job's start to the step's, how long it took (None: so far), error, and more."""
    for position, (name, begins, lasts, error, more) in enumerate(rows, 1):
        status = "running" if lasts is None else "failed" if error else "success"
        started_at = job.created_at + timedelta(seconds=begins)
        about = {"position": position, "name": name, "started_at": started_at, "status": status} | more
        Step.objects.create(job=job, duration=lasts, error=error, **about)


def asked(job, model, begins, status="success", **more):
    """Add a request to a model, so many seconds after the job was created."""
    at = job.created_at + timedelta(seconds=begins)
    return AIRequest.objects.create(job=job, model=model, status=status, created_at=at, **more)


def failed_after_a_retry(user=None):
    """Its first worker died in `generate_code`; the second tried that three times and failed at `deploy`."""
    created = timezone.now() - timedelta(minutes=20)
    before = Job.objects.create(job_type="notion_vercel", status="failed")
    job = Job.objects.create(
        job_type="notion_vercel",
        status="failed",
        error='DeploymentError: Command "npm run build" exited with 1',
        created_at=created,
        started_at=created + timedelta(seconds=3.2),
        finished_at=created + timedelta(seconds=802),
        duration=798.8,
        attempts=2,
        worker="worker-2:4211",
        started_by=user,
        request_id="b3f1d7d2c0a84f6e",
        trace_id="4bf92f3577b34da6a3ce929d0e0e4736",
        sentry_event_id="fc6d8c0c43fc4630ad850ee518f1b9d0",
        retry_of=before,
        payload={"page": "ü"},
    )
    steps(
        job,
        ("fetch_page", 3.2, 1.1, "", {"output": {"title": "Home"}}),
        ("generate_code", 4.3, 121, DIED, {}),
        ("generate_code", 135, 214, "", {"attempts": 3}),
        ("run_tests", 349, 31, "", {}),
        ("deploy", 380, 422, 'Command "npm run build" exited with 1', {"detail": "production"}),
    )
    claude = {"provider": "anthropic", "step": "generate_code"}
    asked(
        job,
        "claude-sonnet-4-5",
        4.4,
        "timeout",
        duration=120,
        cost=0,
        input_tokens=18_204,
        error="ReadTimeout",
        **claude,
    )
    tokens = {"input_tokens": 26_880, "cached_input_tokens": 18_200, "cache_write_tokens": 1000, "output_tokens": 6120}
    more = {"reasoning_tokens": 640, "duration": 98, "time_to_first_token": 0.5, "cost": Decimal("0.1233")}
    asked(job, "claude-sonnet-4-5", 135, request_id="req_011CVb7", **tokens, **more, **claude)
    asked(
        job,
        "gpt-5.1-codex-preview",
        790,
        input_tokens=12_700,
        output_tokens=1044,
        step="deploy",
        price_source="no_price",
    )
    return job


def waiting(user=None):
    return Job.objects.create(job_type="site_check", started_by=user, created_at=timezone.now() - timedelta(seconds=12))


def under_way(user=None):
    created = timezone.now() - timedelta(seconds=90)
    started = {"started_at": created + timedelta(seconds=1.5), "heartbeat_at": timezone.now(), "attempts": 1}
    job = Job.objects.create(job_type="notion_vercel", status="running", created_at=created, worker="w:1", **started)
    steps(job, ("fetch_page", 1.5, 2.2, "", {}), ("generate_code", 4, None, "", {}))
    asked(job, "claude-sonnet-4-5", 5, "running", provider="anthropic", step="generate_code")
    return job


def ended(status, user=None):
    job = under_way(user)
    Step.objects.filter(job=job, status="running").update(
        status="failed" if status == "cancelled" else "success", duration=61, finished_at=timezone.now()
    )
    AIRequest.objects.filter(job=job).update(status="success", duration=59.6, cost=Decimal("0.02"), input_tokens=90)
    Job.objects.filter(pk=job.pk).update(status=status, finished_at=timezone.now(), duration=63.5)
    job.refresh_from_db()
    return job
