"""After a known run of 200 jobs over 4 workers, with failures, the metrics say what the rows and the services say."""

import json
from collections import Counter, defaultdict
from contextlib import ExitStack
from datetime import datetime
from decimal import Decimal

import pytest

from automation.clients import llm_for
from project.sandbox.addresses import SERVICES, variables
from project.sandbox.briefs import brief
from project.sandbox.llm import UNPRICED
from project.sandbox.notion import page_id
from tests.site import eventually

ROWS = """
import json
from automation.models import AIRequest, Job, Step
jobs, steps, requests = ([*model.objects.values()] for model in (Job, Step, AIRequest))
print(json.dumps([jobs, steps, requests], default=str))
"""
MODELS = ["claude-sonnet-5", "gpt-5.5", "claude-haiku-4-5", "gpt-5.4-mini", UNPRICED]
WEBSITES = range(6, 146)  # the pages of these numbers have titles of their own
CHECKS = range(60)
CALLED_OFF = {10, 50, 90, 130}  # before a worker is there
CANCELLED = {30, 70, 110}  # in the middle of a stream
FAILED = {12, 17, 21, 26, 31, 46, 57, 66, 77, 88, 99, 123}
CHECK_FAILS = 4  # one in so many


def faults(number):
    """What goes wrong for the website of this number: arguments of ``Sandbox.faults``."""
    model = llm_for(model_of(number)).provider
    page, plan = {"match": page_id(number)}, {"match": f"order number {number}."}
    code = {"match": f"The plan\\n\\n# {brief(number).title}"}
    create, visit = {"match": f'"name":"{project(number)}"'}, {"match": f"/{project(number)}-"}
    always = {"times": None}
    return {
        # these pass
        7: [("notion", 429, {"retry_after": 0.2} | page)],
        8: [("notion", 500, {"times": 2} | page)],
        9: [("notion", "cut", page)],
        11: [("notion", "garbage", page)],
        13: [("notion", "timeout", page)],
        14: [("notion", "wrong_shape", page)],
        15: [(model, 429, {"retry_after": 0.2} | plan)],
        16: [(model, 503, plan), (model, "error_event", code)],
        18: [(model, "cut", code)],
        19: [(model, "prose", code)],
        20: [(model, "garbage", code)],
        22: [(model, "timeout", code)],
        23: [("vercel", 429, create)],
        24: [("sites", 404, visit)],
        25: [("sites", "cut", visit)],
        27: [(model, "wrong_shape", plan), ("vercel", 500, {"match": "/v13/deployments/dpl_"})],
        # these do not
        12: [("notion", 404, page | always)],
        17: [("notion", 500, page | always)],
        21: [(model, 400, plan | always)],
        26: [(model, 529, plan | always)],
        31: [(model, "prose", code | always)],
        46: [(model, "cut", code | always)],
        57: [("vercel", "build_error", create)],
        66: [("vercel", "build_error", create)],
        77: [("vercel", "build_canceled", create)],
        88: [("vercel", 403, create | always)],
        99: [("vercel", "cut", create)],
        123: [("sites", 404, visit | always)],
        # and these would take a minute
        **{each: [(model, "drip", {"seconds": 60} | code)] for each in CANCELLED},
    }.get(number, [])


def model_of(number):
    return MODELS[number % len(MODELS)]


def project(number):
    return f"website-{number:03}"


def start_all(site):
    """Start 200 jobs; the ids of the websites by number."""
    started = {}
    for number in WEBSITES:
        about = {"page": page_id(number), "project": project(number), "model": model_of(number)}
        started[number] = site.start_job("notion_vercel", **about)
    for number in CHECKS:
        site.start_job("site_check", base_url=site.url, paths=["/", "/" if number % CHECK_FAILS else "/missing"])
    return started


def cancel(site, job):
    token = {"Authorization": f"Bearer {site.env['AUTOMATION_TOKEN']}"}
    assert site.post(f"/api/automation/jobs/{job}/cancel", headers=token).status_code == 202


def cancel_in_the_middle(site, sandbox, jobs):
    """Cancel each of these jobs when the stream that it hangs in has begun; they are taken in this order."""
    for number, job in enumerate(jobs, 1):
        eventually(lambda number=number: len(sandbox.requests(fault="drip")), number, seconds=60)
        cancel(site, job)


class Rows:
    """All rows of a site."""

    def __init__(self, site):
        done = site.manage("shell", "-v0", "-c", ROWS)
        assert done.returncode == 0, done.stderr
        self.jobs, self.steps, self.requests = json.loads(done.stdout)

    def cost_of(self, job):
        """None without a request, or when one has no price."""
        costs = [request["cost"] for request in self.requests if request["job_id"] == job["id"]]
        return sum(map(Decimal, costs)) if costs and None not in costs else None

    def counters(self):
        """What the counters have to say, by name and labels."""
        requests = self.requests
        kinds = ("input", "output", "cached_input", "cache_write", "reasoning")
        return {
            "automation_jobs_total": count(self.jobs, "status"),
            "automation_job_results_total": count(self.jobs, "job_type", "status"),
            "automation_job_steps_total": count(self.steps, "status", step="name"),
            "ai_requests_total": count(requests, "model", "status"),
            "ai_unpriced_requests_total": count(filter(is_unpriced, requests), "model"),
            "ai_tokens_total": added((by(r, "model"), r["input_tokens"] + r["output_tokens"]) for r in requests),
            "ai_token_usage_total": added(
                (by(r, "model") | {("type", kind)}, r[f"{kind}_tokens"]) for r in requests for kind in kinds
            ),
        }

    def histograms(self):
        """The observations of the histograms, by name and labels."""
        jobs, steps, requests = self.jobs, self.steps, self.requests
        waits = [job | {"wait": seconds_between(job["created_at"], job["started_at"])} for job in jobs]
        costs = [job | {"cost": self.cost_of(job)} for job in jobs]
        return {
            "automation_job_duration_seconds": observed(jobs, "duration", "job_type"),
            "automation_job_queue_wait_seconds": observed(waits, "wait", "job_type"),
            "automation_job_cost_usd": observed(costs, "cost", "job_type", "status"),
            "automation_step_duration_seconds": observed(steps, "duration", step="name"),
            "ai_cost_usd": observed(requests, "cost", "model"),
            "ai_request_duration_seconds": observed(requests, "duration", "model"),
            "ai_time_to_first_token_seconds": observed(requests, "time_to_first_token", "model"),
        }

    def last_success(self, job_type):
        ended = [j["finished_at"] for j in self.jobs if (j["job_type"], j["status"]) == (job_type, "success")]
        return datetime.fromisoformat(max(ended)).timestamp()


def is_unpriced(request):
    """One that succeeded or used tokens, and has no price."""
    used = request["status"] == "success" or request["input_tokens"] + request["output_tokens"]
    return request["cost"] is None and used


def by(row, *fields, **renamed):
    """Labels: fields of a row, some under another name."""
    named = dict(zip(fields, fields, strict=True)) | renamed
    return frozenset((label, row[field]) for label, field in named.items())


def count(rows, *fields, **renamed):
    return dict(Counter(by(row, *fields, **renamed) for row in rows))


def added(pairs):
    sums = Counter()
    for labels, number in pairs:
        sums[labels] += number
    return {labels: number for labels, number in sums.items() if number}


def observed(rows, value, *fields, **renamed):
    found = defaultdict(list)
    for row in rows:
        if row[value] is not None:
            found[by(row, *fields, **renamed)].append(Decimal(str(row[value])))
    return found


def seconds_between(first, last):
    return (datetime.fromisoformat(last) - datetime.fromisoformat(first)).total_seconds() if last else None


class Seen:
    """A scrape."""

    def __init__(self, site):
        self.samples = site.samples()

    def of(self, name):
        """The samples of a name by their labels, without those that are 0."""
        return {labels: value for (found, labels), value in self.samples.items() if found == name and value}


def notion_requests(log):
    """What Notion answered, as its metric has to say it."""
    found = Counter()
    for entry in log:
        status = "success" if entry["status"] == 200 and entry["complete"] else "error"
        status = {429: "rate_limited", None: "timeout"}.get(entry["status"], status)
        found[frozenset({("operation", entry["operation"]), ("status", status)})] += 1
    return dict(found)


def deployments(log):
    """How deployments ended that somebody heard of."""
    made = [entry for entry in log if entry["operation"] == "create_deployment" and entry["status"] == 200]
    ends = {"build_error": "failed", "build_canceled": "cancelled", None: "success"}
    return dict(Counter(frozenset({("status", ends[entry["fault"]])}) for entry in made if entry["complete"]))


def assert_tokens_are_those_of_the_services(rows, log):
    """Of requests that went well, by model; the services know of all requests, and nothing else was asked."""
    providers = Counter(request["provider"] for request in rows.requests)
    assert providers == Counter(entry["service"] for entry in log if entry["service"] in {"openai", "anthropic"})
    well = [entry for entry in log if entry["model"] and entry["complete"] and entry["fault"] in {None, "prose"}]
    kept = [request for request in rows.requests if request["status"] == "success"]
    for kind in ("input_tokens", "output_tokens", "reasoning_tokens"):
        served = added((by(entry, "model"), entry[kind]) for entry in well)
        assert served == added((by(request, "model"), request[kind]) for request in kept)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("database", [True, False], ids=["PostgreSQL", "SQLite"])
def test_metrics_are_what_happened(site, sandbox, database):
    env = variables(sandbox.url, list(SERVICES)) | {"AI_MODELS": ",".join(MODELS)}
    env |= {"DJANGO_SETTINGS_MODULE": "tests.automation.exact_settings"}
    for number in WEBSITES:
        for service, fault, options in faults(number):
            sandbox.faults(service, fault, **options)

    with site(env=env, database=database, redis=False) as s, ExitStack() as workers:
        websites = start_all(s)
        for number in CALLED_OFF:
            cancel(s, websites[number])
        for _ in range(4):
            workers.enter_context(s.worker())
        cancel_in_the_middle(s, sandbox, [websites[number] for number in sorted(CANCELLED)])
        eventually(lambda: sum(Seen(s).of("automation_jobs_total").values()), 200, seconds=120)
        rows, log, seen = Rows(s), sandbox.requests(), Seen(s)

        ended = {job["id"]: job["status"] for job in rows.jobs}
        assert {number for number, job in websites.items() if ended[job] == "failed"} == FAILED
        assert {number for number, job in websites.items() if ended[job] == "cancelled"} == CALLED_OFF | CANCELLED
        assert len({job["worker"] for job in rows.jobs if job["worker"]}) == 4

        for name, expected in rows.counters().items():
            assert (name, seen.of(name)) == (name, expected)
        for name, series in rows.histograms().items():
            assert (name, seen.of(f"{name}_count")) == (name, {labels: len(each) for labels, each in series.items()})
            sums = {labels: float(sum(each)) for labels, each in series.items() if any(each)}
            assert (name, seen.of(f"{name}_sum")) == (name, pytest.approx(sums, rel=1e-9))

        notion = [entry for entry in log if entry["service"] == "notion"]
        assert seen.of("notion_requests_total") == notion_requests(notion)
        assert seen.of("notion_request_duration_seconds_count") == count(notion, "operation")
        assert seen.of("vercel_deployments_total") == deployments(log)
        assert sum(seen.of("vercel_deployment_duration_seconds_count").values()) == sum(deployments(log).values())
        assert_tokens_are_those_of_the_services(rows, log)

        for kind in ("notion_vercel", "site_check"):
            last = s.value("automation_job_last_success_timestamp_seconds", job_type=kind)
            assert last == pytest.approx(rows.last_success(kind), abs=1e-3)
        gauges = ("active_jobs", "automation_jobs_queued", "automation_oldest_active_job_age_seconds")
        assert [seen.of(name) for name in gauges] == [{}, {}, {}]
        assert seen.of("observability_dropped_total") == {}
