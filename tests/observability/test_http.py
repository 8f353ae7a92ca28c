"""Clients that a project has already, instrumented: what is counted is what the sandbox says that it was asked for."""

import asyncio
import gc
import logging
import threading
from contextlib import suppress
from uuid import uuid4

import anthropic
import httpx
import httpx2
import openai
import pytest
from genai_prices import Usage, calc_price

from observability.http import AICall, instrument
from observability.signals import ai_request_finished
from observability.testing import assert_increases
from project.sandbox.llm import UNPRICED
from tests.canned import answer, canned
from tests.observability.ai_metrics import grow, grow_as, usage_of

GPT, CLAUDE = "gpt-4o", "claude-haiku-4-5"
KEY = "sk-key-of-the-tests"
ASK = [{"role": "user", "content": 'Answer with "files".\n\n# Bakery\n\nBread, and cakes for weddings.'}]
LIBRARIES = pytest.mark.parametrize("library", [httpx, httpx2], ids=lambda library: library.__name__)
STREAMED = pytest.mark.parametrize("stream", [True, False])


def gpt(sandbox, library=httpx2, *, is_async=False, max_retries=0, **options):
    """OpenAI's client on an instrumented one of a library."""
    kind, client = (openai.AsyncOpenAI, library.AsyncClient) if is_async else (openai.OpenAI, library.Client)
    address = f"{sandbox.url}/openai/v1"
    return kind(api_key=KEY, base_url=address, http_client=instrument(client()), max_retries=max_retries, **options)


def claude(sandbox, *, is_async=False, **options):
    kind, client = (anthropic.AsyncAnthropic, httpx2.AsyncClient) if is_async else (anthropic.Anthropic, httpx2.Client)
    address = f"{sandbox.url}/anthropic"
    return kind(api_key=KEY, base_url=address, http_client=instrument(client()), max_retries=0, **options)


def chat(client, model=GPT, stream=False, usage=True, messages=ASK, **options):
    """Ask a model; of a stream everything is read."""
    if stream:
        options |= {"stream": True, "stream_options": {"include_usage": usage}}
    said = client.chat.completions.create(model=model, messages=messages, **options)
    return list(said) if stream else said


def message(client, model=CLAUDE, stream=False, **options):
    said = client.messages.create(model=model, max_tokens=1000, messages=ASK, stream=stream, **options)
    return list(said) if stream else said


def usd(entry):
    """What a request of the sandbox's log cost, by the price list itself."""
    usage = Usage(
        input_tokens=entry["input_tokens"],
        output_tokens=entry["output_tokens"],
        cache_read_tokens=entry["cached_tokens"],
        cache_write_tokens=entry["cache_write_tokens"],
    )
    return float(calc_price(usage, entry["model"], provider_id=entry["service"]).total_price)


def sums_of(sandbox, stream):
    """What the requests in the log, all of them good, should have made grow."""
    entries = sandbox.requests()
    usages = [usage_of(entry) for entry in entries]
    added = {kind: sum(usage[kind] for usage in usages) for kind in usages[0]}
    counted = dict.fromkeys(("requests", "success", "priced", "timed"), len(entries))
    return added | counted | {"usd": sum(map(usd, entries)), "first_tokens": len(entries) * stream}


# Exactly what was asked for


@LIBRARIES
@STREAMED
@pytest.mark.parametrize("model", [GPT, "o3-mini"])
def test_each_chat_completion_is_measured_exactly(sandbox, library, stream, model):
    rules = [{"role": "system", "content": f"{uuid4()} Answer shortly. " * 100}, *ASK]
    with grow_as(lambda: sums_of(sandbox, stream)), gpt(sandbox, library) as client:
        for _ in range(2):
            chat(client, model, stream, messages=rules)
    assert sandbox.requests()[1]["cached_tokens"] > 0


@STREAMED
def test_each_message_of_claude_is_measured_exactly(sandbox, stream):
    text = f"{uuid4()} Answer shortly. " * 300
    system = [{"type": "text", "text": text, "cache_control": {"type": "ephemeral"}}]
    with grow_as(lambda: sums_of(sandbox, stream)), claude(sandbox) as client:
        for _ in range(2):
            message(client, stream=stream, system=system)
    first, second = sandbox.requests()
    assert first["cache_write_tokens"] == second["cached_tokens"] > 0


@LIBRARIES
@STREAMED
def test_async_clients_are_measured_like_the_others(sandbox, library, stream):
    async def ask():
        async with gpt(sandbox, library, is_async=True) as client:
            options = {"stream": True, "stream_options": {"include_usage": True}} if stream else {}
            said = await client.chat.completions.create(model=GPT, messages=ASK, **options)
            return [chunk async for chunk in said] if stream else said

    with grow_as(lambda: sums_of(sandbox, stream)):
        asyncio.run(ask())


def test_the_sums_belong_to_the_model_that_answered(sandbox):
    with (
        assert_increases("ai_requests_total", model="gpt-4o-2024-08-06", status="success"),
        assert_increases("ai_requests_total", by=0, model=GPT),
        gpt(sandbox) as client,
    ):
        chat(client)


def test_a_price_that_nobody_knows_is_not_zero(sandbox):
    with (
        assert_increases("ai_unpriced_requests_total", model=UNPRICED),
        assert_increases("ai_cost_usd_count", by=0),
        gpt(sandbox) as client,
    ):
        chat(client, UNPRICED)


def test_a_stream_that_tells_no_usage_is_unpriced(sandbox):
    with grow(requests=1, success=1, unpriced=1, timed=1, first_tokens=1), gpt(sandbox) as client:
        chat(client, stream=True, usage=False)


def test_each_try_of_a_client_that_tries_again_is_a_request(sandbox):
    sandbox.faults("openai", 429, retry_after=0)
    sandbox.faults("openai", 500)
    with (
        grow(GPT, requests=2, rate_limited=1, error=1, timed=2, priced=2),  # for nothing
        assert_increases("ai_requests_total", by=3),
        gpt(sandbox, max_retries=2) as client,
    ):
        chat(client)


# What goes wrong


@STREAMED
@pytest.mark.parametrize(
    ("fault", "status"), [(429, "rate_limited"), (500, "error"), (401, "error"), ("cut", "error"), ("garbage", "error")]
)
def test_what_goes_wrong_is_counted_as_what_it_is(sandbox, stream, fault, status):
    for service, client, ask in (("openai", gpt(sandbox), chat), ("anthropic", claude(sandbox), message)):
        sandbox.faults(service, fault)
        with (
            assert_increases("ai_requests_total"),
            assert_increases("ai_requests_total", status=status),
            client,
            suppress(openai.OpenAIError, anthropic.AnthropicError, httpx2.HTTPError, ValueError),
        ):
            ask(client, stream=stream)


@LIBRARIES
def test_nobody_there_is_an_error_that_costs_nothing(library):
    with canned() as gone:
        pass
    with (
        grow(GPT, requests=1, error=1, timed=1, priced=1),
        gpt(gone, library) as client,
        pytest.raises(openai.APIConnectionError),
    ):
        chat(client)


@LIBRARIES
@STREAMED
def test_silence_is_a_timeout(sandbox, library, stream):
    sandbox.faults("openai", "timeout")
    with (
        grow(GPT, requests=1, timeout=1, timed=1),
        gpt(sandbox, library, timeout=0.3) as client,
        pytest.raises(openai.APITimeoutError),
    ):
        chat(client, stream=stream)


def test_of_a_stream_that_broke_off_what_was_told_counts(sandbox):
    def told():
        """All of the input, at no price: what was written would be told last."""
        [entry] = sandbox.requests()
        counted = dict.fromkeys(("requests", "error", "unpriced", "timed", "first_tokens"), 1)
        return usage_of(entry | {"output_tokens": 0, "reasoning_tokens": 0}) | counted

    sandbox.faults("anthropic", "cut")
    with grow_as(told), claude(sandbox) as client, pytest.raises(httpx2.RemoteProtocolError):
        message(client, stream=True)


def test_a_stream_that_ends_in_an_error_is_an_error(sandbox):
    for service, client, ask in (("openai", gpt(sandbox), chat), ("anthropic", claude(sandbox), message)):
        sandbox.faults(service, "error_event")
        with (
            assert_increases("ai_requests_total", status="error"),
            client,
            pytest.raises((openai.APIError, anthropic.APIError)),
        ):
            ask(client, stream=True)


# What a host does with its answers


def test_an_answer_that_is_left_unread_counts_once(sandbox):
    with gpt(sandbox) as client:
        ask = {"model": GPT, "messages": ASK}
        headers_only = client.chat.completions.with_streaming_response.create(**ask)
        with grow(requests=1, success=1, unpriced=1, timed=1), headers_only as response:
            assert response.status_code == 200
        with grow(requests=1, success=1, unpriced=1, timed=1):
            client.chat.completions.create(**ask, stream=True).close()
        with grow(requests=1, success=1, unpriced=1, timed=1):
            client.chat.completions.with_raw_response.create(**ask, stream=True)
            gc.collect()


def test_a_raw_answer_is_measured_like_any(sandbox):
    with gpt(sandbox) as client, assert_increases("ai_cost_usd_count"):
        raw = client.chat.completions.with_raw_response.create(model=GPT, messages=ASK)
        assert raw.parse().usage.prompt_tokens == sandbox.requests()[0]["input_tokens"]


def test_who_stops_listening_has_heard_a_good_answer(sandbox):
    with grow(requests=1, success=1, unpriced=1, timed=1, first_tokens=1), gpt(sandbox) as client:
        stream = client.chat.completions.create(model=GPT, messages=ASK, stream=True)
        for _, _ in zip(range(3), stream, strict=False):
            pass
        stream.close()


@pytest.mark.parametrize(("seconds", "ending"), [(30, asyncio.CancelledError), (0.5, TimeoutError)])
def test_a_task_that_is_cancelled_counts_once(sandbox, seconds, ending):
    async def ask():
        async with gpt(sandbox, is_async=True) as client, asyncio.timeout(seconds):
            stream = await client.chat.completions.create(model=GPT, messages=ASK, stream=True)
            async for _ in stream:
                asyncio.current_task().cancel()

    if ending is TimeoutError:
        sandbox.faults("openai", "timeout")  # without an answer there is none that is good
    with (
        assert_increases("ai_requests_total"),
        assert_increases("ai_requests_total", status="error" if ending is TimeoutError else "success"),
        pytest.raises(ending),
    ):
        asyncio.run(ask())


@LIBRARIES
@pytest.mark.parametrize("is_async", [False, True])
def test_a_stream_is_neither_changed_nor_held_back(library, is_async):
    """Each piece is sent only when the one before was heard."""
    pieces = [b"data: {}\n", b"\n", b"da", b'ta: {"choices": [{"delta": {"content": "a"}}]}\r\n\r\n', b": \xff\n"]
    heard, was_heard = [], threading.Semaphore()

    def say():
        yield b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"
        for piece in pieces:
            assert was_heard.acquire(timeout=20)
            yield piece

    def hear(chunk):
        heard.append(chunk)
        was_heard.release()

    async def listen(url):
        async with instrument(library.AsyncClient()) as client, client.stream("POST", url) as response:
            async for chunk in response.aiter_raw():
                hear(chunk)

    with canned(say()) as server, assert_increases("ai_time_to_first_token_seconds_count"):
        url = f"{server.url}/v1/chat/completions"
        if is_async:
            asyncio.run(listen(url))
        else:
            with instrument(library.Client()) as client, client.stream("POST", url) as response:
                for chunk in response.iter_raw():
                    hear(chunk)
    assert heard == pieces


# Whom it tells


def test_receivers_are_told_of_each_request(sandbox):
    told = []

    def remember(instance, **about):
        told.append((instance, about))

    ai_request_finished.connect(remember)
    try:
        with gpt(sandbox) as client:
            chat(client, stream=True)
    finally:
        ai_request_finished.disconnect(remember)
    [(call, about)] = told
    [entry] = sandbox.requests()
    assert isinstance(call, AICall)
    assert (call.api, call.http_status, call.request_id[:4]) == ("openai", 200, "req_")
    assert (about["model"], about["status"]) == (entry["model"], "success")
    assert (about["input_tokens"], about["output_tokens"]) == (entry["input_tokens"], entry["output_tokens"])
    assert float(about["cost"]) == usd(entry)
    assert 0 < about["time_to_first_token"] < about["duration"] < 10


def test_a_project_that_keeps_rows_is_told_instead(sandbox):
    calls = []
    with grow(), instrument(httpx2.Client(), on_ai_call=calls.append) as http_client:
        chat(openai.OpenAI(api_key=KEY, base_url=f"{sandbox.url}/openai/v1", http_client=http_client))
    assert [call.usage.input_tokens for call in calls] == [entry["input_tokens"] for entry in sandbox.requests()]


def test_a_fault_in_what_is_told_is_none_of_the_hosts(sandbox, caplog):
    def fail(call):
        raise RuntimeError("a bug")

    with (
        assert_increases("observability_dropped_total", metric="observability.http", reason="error"),
        instrument(httpx2.Client(), on_ai_call=fail) as http_client,
    ):
        assert chat(openai.OpenAI(api_key=KEY, base_url=f"{sandbox.url}/openai/v1", http_client=http_client)).choices


def test_neither_key_nor_text_is_told_or_logged(sandbox, caplog):
    calls = []
    caplog.set_level(logging.INFO)  # what the libraries log of a request at DEBUG is theirs
    with instrument(httpx2.Client(), on_ai_call=calls.append) as http_client:
        client = openai.OpenAI(api_key=KEY, base_url=f"{sandbox.url}/openai/v1", http_client=http_client, max_retries=0)
        for fault in ("garbage", "cut", "wrong_shape", 401, 500):
            sandbox.faults("openai", fault)
            with suppress(openai.OpenAIError, ValueError):
                chat(client)
    told = caplog.text + repr(calls)
    assert len(calls) == 5
    assert KEY not in told
    assert "Bakery" not in told


def test_what_is_switched_off_is_not_counted(sandbox, settings):
    with grow(), gpt(sandbox) as client:
        settings.OBSERVABILITY = settings.OBSERVABILITY | {"METRICS_ENABLED": False}
        assert chat(client).choices
        settings.OBSERVABILITY = settings.OBSERVABILITY | {"METRICS_ENABLED": True}


# Which clients it takes


def test_instrumented_twice_counts_once(sandbox):
    with assert_increases("ai_requests_total"):
        http_client = instrument(instrument(httpx2.Client()))
        with openai.OpenAI(api_key=KEY, base_url=f"{sandbox.url}/openai/v1", http_client=http_client) as client:
            chat(client)


@LIBRARIES
def test_requests_through_a_proxy_or_mount_are_seen(sandbox, library):
    mounts = {"http://127.0.0.1": library.HTTPTransport(), "http://nowhere": None}
    with instrument(library.Client(mounts=mounts)) as client, assert_increases("ai_requests_total", status="error"):
        client.post(f"{sandbox.url}/openai/v1/chat/completions", json={"model": GPT})


def test_what_a_test_puts_in_place_of_the_network_is_used(monkeypatch):
    with instrument(httpx2.Client()) as client, assert_increases("ai_requests_total", status="rate_limited"):
        monkeypatch.setattr(httpx2.HTTPTransport, "handle_request", lambda transport, request: httpx2.Response(429))
        client.post("https://api.openai.com/v1/chat/completions", json={})


def test_the_default_clients_of_the_libraries_are_taken():
    kinds = [
        openai.DefaultHttpxClient,
        openai.DefaultAsyncHttpxClient,
        anthropic.DefaultHttpxClient,
        anthropic.DefaultAsyncHttpxClient,
    ]
    for kind in kinds:
        client = kind()
        assert instrument(client) is client


@pytest.mark.parametrize("wrong", [None, "client", object(), openai, httpx2.HTTPTransport()])
def test_what_is_no_client_is_refused(wrong):
    with pytest.raises(TypeError, match=r"instrument\(\) takes a client of httpx or httpx2, not "):
        instrument(wrong)


@pytest.mark.parametrize(("method", "path"), [("GET", "/v1/chat/completions"), ("POST", "/v1/models"), ("POST", "/x")])
def test_other_requests_pass_unseen(method, path):
    with canned(answer("fine")) as server, grow(), instrument(httpx2.Client()) as client:
        assert client.request(method, server.url + path).text == "fine"
