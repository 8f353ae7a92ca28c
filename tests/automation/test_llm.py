"""The clients of language models: what they say, and what a row is kept of."""

import logging
import time
from uuid import uuid4

import pytest
from genai_prices import Usage, calc_price

from automation.clients import ServiceError, llm_for
from automation.clients.http import TRIES
from automation.models import AIRequest, Job, Step
from observability.testing import assert_increases, metric_value
from project.sandbox.llm import UNPRICED
from tests.automation.conftest import KEYS
from tests.canned import answer, canned

pytestmark = pytest.mark.django_db(transaction=True)

GPT, CLAUDE = "gpt-4o", "claude-haiku-4-5"
MODELS = [GPT, CLAUDE]
ASK = [{"role": "user", "content": 'Answer with "files".\n\n# Bakery\n\nBread, and cakes for weddings.'}]
SYSTEM = "Answer with JSON. " * 300
METRICS = {
    "ai_token_usage_total": {
        "input": "input_tokens",
        "output": "output_tokens",
        "cached_input": "cached_input_tokens",
        "cache_write": "cache_write_tokens",
        "reasoning": "reasoning_tokens",
    }
}


@pytest.fixture
def job():
    return Job.objects.create(job_type="site_check")


@pytest.fixture
def complete(services, job, waits):
    """Ask a model for something."""

    def ask(model, messages=ASK, **options):
        with llm_for(model)(sleep=waits.append) as client:
            return client.complete(job, model, messages, **options)

    return ask


def service_of(model):
    return llm_for(model).provider


def refusal(complete, *arguments, **options):
    with pytest.raises(ServiceError) as caught:
        complete(*arguments, **options)
    assert caught.value.__suppress_context__ or caught.value.__context__ is None
    return caught.value


def priced(row):
    """What a row's tokens cost, by the price list itself."""
    usage = Usage(
        input_tokens=row.input_tokens,
        output_tokens=row.output_tokens,
        cache_read_tokens=row.cached_input_tokens,
        cache_write_tokens=row.cache_write_tokens,
    )
    return calc_price(usage, row.model, provider_id=row.provider).total_price


def counted():
    """The sums of all metrics of AI requests."""
    names = "ai_requests_total ai_tokens_total ai_cost_usd_sum ai_cost_usd_count ai_request_duration_seconds_sum"
    names += " ai_time_to_first_token_seconds_count ai_unpriced_requests_total"
    kinds = METRICS["ai_token_usage_total"]
    sums = {name: metric_value(name) for name in names.split()}
    return sums | {kind: metric_value("ai_token_usage_total", type=kind) for kind in kinds}


def is_unpriced(row):
    """One that succeeded or told tokens, and has no price."""
    return row.cost is None and (row.status == "success" or row.input_tokens + row.output_tokens > 0)


def in_rows():
    """The same of all rows."""
    rows = list(AIRequest.objects.all())
    kinds = METRICS["ai_token_usage_total"]
    return {
        "ai_requests_total": len(rows),
        "ai_tokens_total": sum(row.input_tokens + row.output_tokens for row in rows),
        "ai_cost_usd_sum": float(sum(row.cost or 0 for row in rows)),
        "ai_cost_usd_count": sum(row.cost is not None for row in rows),
        "ai_request_duration_seconds_sum": sum(row.duration for row in rows),
        "ai_time_to_first_token_seconds_count": sum(row.time_to_first_token is not None for row in rows),
        "ai_unpriced_requests_total": sum(is_unpriced(row) for row in rows),
    } | {kind: sum(getattr(row, field) for row in rows) for kind, field in kinds.items()}


@pytest.mark.parametrize("model", MODELS)
def test_a_model_says_the_same_streamed_or_not(complete, model):
    pieces = []
    streamed = complete(model, watch=pieces.append)
    whole = complete(model, stream=False)
    assert streamed == whole
    assert streamed.whole
    assert "".join(pieces) == streamed.text
    assert len(pieces) > 1


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("stream", [True, False])
def test_an_answer_that_was_cut_short_by_its_limit_says_so(complete, model, stream):
    assert not complete(model, max_tokens=3, stream=stream).whole


@pytest.mark.parametrize("model", [*MODELS, "o3-mini"])
@pytest.mark.parametrize("stream", [True, False])
def test_each_request_is_a_row_with_all_its_tokens_and_its_cost(complete, services, job, model, stream):
    for _ in range(2):
        complete(model, system=SYSTEM, stream=stream)

    rows = AIRequest.objects.order_by("id")
    for row, asked in zip(rows, services.requests(), strict=True):
        assert (row.job, row.provider, row.status) == (job, service_of(model), "success")
        assert row.model == asked["model"]
        assert row.model.startswith(f"{model}-")
        assert (row.input_tokens, row.output_tokens) == (asked["input_tokens"], asked["output_tokens"])
        assert row.cached_input_tokens == asked["cached_tokens"]
        assert row.cache_write_tokens == asked["cache_write_tokens"]
        assert row.reasoning_tokens == asked["reasoning_tokens"]
        assert row.cost == priced(row) > 0
        assert row.request_id.startswith("req_")
        assert (row.time_to_first_token is not None) == stream
        assert 0 <= (row.time_to_first_token or 0) <= row.duration


@pytest.mark.parametrize("model", MODELS)
def test_a_request_is_a_row_before_it_is_made(complete, job, model):
    seen = []
    with assert_increases("ai_requests_total"):
        complete(
            model, watch=lambda text: seen.append(AIRequest.objects.values("job", "model", "status", "cost").get())
        )
    assert seen[0] == {"job": job.pk, "model": model, "status": "running", "cost": None}
    assert AIRequest.objects.get().status == "success"


def test_some_tokens_come_from_the_cache_and_some_are_thoughts(complete):
    system = f"{uuid4()} {SYSTEM}"
    for _ in range(2):
        complete("o3-mini", system=system)
    first, second = AIRequest.objects.order_by("id")
    assert first.cached_input_tokens == 0 < second.cached_input_tokens < second.input_tokens
    assert 0 < second.reasoning_tokens < second.output_tokens
    assert second.cost < first.cost


def test_the_metrics_say_what_the_rows_say(complete, services):
    before = counted()
    for model in (*MODELS, UNPRICED, "o3-mini"):
        complete(model, system=SYSTEM)
        complete(model, stream=False)
        for fault in (429, "cut", "error_event", "garbage"):
            services.faults(service_of(model), fault)
            try:
                complete(model)
            except ServiceError:
                pass
    grown = {name: value - before[name] for name, value in counted().items()}
    assert grown == pytest.approx(in_rows(), abs=1e-9)
    assert min(grown["ai_requests_total"], grown["ai_cost_usd_sum"], grown["reasoning"]) > 0


def test_a_price_that_nobody_knows_is_not_zero(complete, job):
    with (
        assert_increases("ai_unpriced_requests_total", model=UNPRICED),
        assert_increases("ai_cost_usd_count", by=0),
    ):
        complete(UNPRICED)
    row = AIRequest.objects.get()
    assert (row.cost, row.status) == (None, "success")
    assert row.input_tokens > 0
    assert job.ai_cost() is None


@pytest.mark.parametrize("model", MODELS)
def test_a_refusal_costs_nothing_and_is_followed_by_another_try(complete, services, job, waits, model):
    services.faults(service_of(model), 429, retry_after=2)
    services.faults(service_of(model), 500)
    complete(model)
    refused, failed, answered = AIRequest.objects.order_by("id")
    assert [row.status for row in (refused, failed, answered)] == ["rate_limited", "error", "success"]
    assert (refused.cost, failed.cost) == (0, 0)
    assert refused.model == model  # as it was asked for: the refusal names none
    assert job.ai_cost() == answered.cost
    assert waits[0] > 2


@pytest.mark.parametrize("model", MODELS)
def test_a_model_that_keeps_failing_is_asked_a_few_times(complete, services, model):
    services.faults(service_of(model), 500, times=None)
    error = refusal(complete, model)
    assert (error.status, error.retriable) == (500, True)
    assert [row.status for row in AIRequest.objects.all()] == ["error"] * TRIES
    assert len(services.requests()) == TRIES


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("fault", ["cut", "garbage", "wrong_shape"])
def test_an_answer_that_is_of_no_use_is_left_to_the_step(complete, services, model, stream, fault):
    services.faults(service_of(model), fault)
    assert refusal(complete, model, stream=stream).retriable
    assert [row.status for row in AIRequest.objects.all()] == ["error"]
    assert len(services.requests()) == 1


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (429, "HTTP 429 rate_limit"),
        (400, "HTTP 400 invalid_request_error ("),
        (503, "HTTP 503 "),
        ("cut", "The answer broke off ("),
        ("garbage", "The answer is not of the documented shape"),
        ("error_event", "The answer ended in the error "),
    ],
)
def test_each_row_says_why_its_request_failed_and_not_what_the_next_one_did(complete, services, model, fault, reason):
    services.faults(service_of(model), fault)
    try:
        complete(model)
    except ServiceError:
        complete(model)
    failed, answered = AIRequest.objects.order_by("id")
    assert failed.error.startswith(reason)
    assert answered.error == ""


def test_a_row_says_that_there_was_no_connection(services, settings, job):
    settings.AUTOMATION |= {"OPENAI_URL": "http://127.0.0.1:9"}
    with llm_for(GPT)(sleep=lambda seconds: None) as client:
        refusal(client.complete, job, GPT, ASK)
    assert [row.error for row in AIRequest.objects.all()] == ["No connection (ConnectError)"] * TRIES


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize(("first", "part"), [(b"", b": ping\n\n"), (b"data: {", b" ")], ids=["comments", "an event"])
def test_a_stream_that_says_nothing_without_end_takes_too_long(settings, first, part):
    def drip():
        yield b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n" + first
        for _ in range(200):
            time.sleep(0.05)
            yield part

    watched = []
    with canned(drip()) as server:
        settings.AUTOMATION |= KEYS | {"OPENAI_URL": f"{server.url}/v1"}
        with llm_for(GPT)(sleep=lambda seconds: None) as client:
            assert "too long" in str(refusal(client.complete, None, GPT, ASK, watch=watched.append))
    assert watched  # so a job can be cancelled


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("fault", ["timeout", "drip"])
def test_an_answer_that_takes_too_long_is_left_to_the_step(complete, services, model, stream, fault):
    services.faults(service_of(model), fault, seconds=30)
    assert refusal(complete, model, stream=stream).retriable
    [row] = AIRequest.objects.all()
    assert (row.status, row.error[:18]) == ("timeout", "It took too long (")
    assert len(services.requests()) == 1


def test_of_a_stream_that_broke_off_the_tokens_that_it_told_are_kept_and_the_cost_is_unknown(complete, services, job):
    services.faults("anthropic", "cut")
    refusal(complete, CLAUDE)
    row, asked = AIRequest.objects.get(), services.requests()[0]
    assert row.input_tokens == asked["input_tokens"] > 0
    assert row.model == asked["model"]
    assert (row.output_tokens, row.cost, job.ai_cost()) == (0, None, None)


def test_of_a_stream_that_broke_off_before_it_told_its_tokens_the_cost_is_unknown(complete, services, job):
    services.faults("openai", "cut")
    refusal(complete, GPT)
    row = AIRequest.objects.get()
    assert (row.model, row.input_tokens, row.cost) == ("gpt-4o-2024-08-06", 0, None)
    assert job.ai_cost() is None


@pytest.mark.parametrize(("model", "code"), [(GPT, "server_error"), (CLAUDE, "overloaded_error")])
def test_a_stream_that_ends_in_an_error_is_one(complete, services, model, code):
    services.faults(service_of(model), "error_event")
    error = refusal(complete, model)
    assert f"the answer ended in the error {code} (request req_" in str(error)
    assert error.retriable
    assert AIRequest.objects.get().status == "error"


class Enough(BaseException):
    """Of a stream."""


@pytest.mark.parametrize("model", MODELS)
def test_whoever_listens_may_end_it(complete, services, model):
    def enough(text):
        raise Enough

    with pytest.raises(Enough):
        complete(model, watch=enough)
    row = AIRequest.objects.get()
    assert (row.status, row.error) == ("error", "Ended before the answer was whole (Enough)")
    assert len(services.requests()) == 1


def test_a_failed_job_keeps_the_rows_and_the_step_is_tried_again(services, pipeline, run_job):
    @pipeline.step(retries=1, backoff=0)
    def generate_code(run):
        with llm_for(CLAUDE)(sleep=run.sleep) as client:
            return client.complete(run.job, CLAUDE, ASK, watch=lambda text: run.checkpoint()).text

    services.faults("anthropic", "cut", times=2)
    job = run_job("test")
    assert job.status == "failed"
    assert job.error.startswith("Anthropic complete failed: the answer broke off")
    assert Step.objects.get().attempts == 2
    assert [row.input_tokens > 0 for row in job.ai_requests.all()] == [True, True]

    assert run_job("test").status == "success"


def test_what_a_provider_says_is_kept_in_a_form_that_rows_can_hold(settings):
    body = (
        '{"model": "' + "g\\u0000\\ud800" * 200 + '", "usage": {"prompt_tokens": 99999999999, "completion_tokens": 1,'
    )
    body += ' "completion_tokens_details": {"reasoning_tokens": 7}}, "choices": [{"finish_reason": "stop",'
    body += ' "message": {"content": "Hello"}}]}'
    with canned(answer(body, X_Request_Id="r" * 1000)) as server:
        settings.AUTOMATION = KEYS | {"OPENAI_URL": server.url}
        with llm_for(GPT)() as client:
            assert client.complete(None, GPT, ASK, stream=False).text == "Hello"
    row = AIRequest.objects.get()
    assert (len(row.model), len(row.request_id)) == (200, 128)
    assert (row.input_tokens, row.output_tokens, row.reasoning_tokens, row.cost) == (0, 1, 0, None)


def test_no_key_is_in_a_row_a_log_or_an_error(complete, services, pipeline, run_job, caplog, job):
    @pipeline.step(retries=1, backoff=0)
    def generate_code(run):
        for model in MODELS:
            complete(model)

    caplog.set_level(logging.DEBUG)
    for fault in (401, 429, 500, "cut", "garbage", "error_event"):
        for model in MODELS:
            services.faults(service_of(model), fault, times=None)
            run_job("test")
            services.clear()
    text = caplog.text + "".join(str(vars(row)) for kind in (Job, Step, AIRequest) for row in kind.objects.all())
    assert "HTTP 401" in text
    assert [key for key in KEYS.values() if key in text] == []
