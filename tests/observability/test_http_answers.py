"""What is read of the answers of models: every documented shape, and all that is none."""

import gzip
import json
import random
import subprocess
import sys
from contextlib import suppress
from decimal import Decimal

import httpx
import httpx2
import pytest
from genai_prices import Usage as Priced
from genai_prices import calc_price

from observability.http import Usage, instrument
from observability.testing import assert_increases
from tests.canned import answer, canned
from tests.site import ROOT

OPENAI = "https://api.openai.com/v1/chat/completions"
ANTHROPIC = "https://api.anthropic.com/v1/messages"
VERSION = {"anthropic-version": "2023-06-01"}
CHAT = {"model": "gpt-4o", "choices": [{"message": {"content": "Hi"}, "finish_reason": "stop"}]}
MESSAGE = {"type": "message", "model": "claude-haiku-4-5", "content": [], "stop_reason": "end_turn"}
LIBRARIES = pytest.mark.parametrize("library", [httpx, httpx2], ids=lambda library: library.__name__)


def call(url=OPENAI, response=None, library=httpx2, asked=None, **options):
    """What was learned of one request to a stand-in that gives this answer, with its content at hand or as it comes."""
    calls = []
    transport = library.MockTransport(lambda request: response or library.Response(200, **options))
    instrumented = instrument(library.Client(transport=transport), on_ai_call=calls.append)
    with instrumented as client, suppress(library.DecodingError):
        client.post(url, json=asked or {"model": "asked-for"}, headers=VERSION)
    [made] = calls
    return made


def stream(*events, **options):
    """The same of a stream of events."""
    body = "".join(f"data: {event if isinstance(event, str) else json.dumps(event)}\n\n" for event in events)
    return call(headers={"content-type": "text/event-stream"}, content=iter([body.encode()]), **options)


def served(*answers, url="/v1/chat/completions", library=httpx2):
    """The same of one answer from a server."""
    calls = []
    with canned(*answers) as server, instrument(library.Client(), on_ai_call=calls.append) as client:
        content = client.post(server.url + url, json={"model": "asked-for"}).content
    [made] = calls
    return made, content


SHAPES = [
    pytest.param(
        OPENAI,
        CHAT
        | {
            "usage": {
                "prompt_tokens": 1000,
                "completion_tokens": 100,
                "total_tokens": 1100,
                "prompt_tokens_details": {"cached_tokens": 600, "audio_tokens": 0},
                "completion_tokens_details": {"reasoning_tokens": 40},
            }
        },
        Usage(1000, 100, 600, reasoning_tokens=40, audio_input_tokens=0),
        "0.00275",  # 400 * $2.5 + 600 * $1.25 + 100 * $10, by the million
        id="chat completion",
    ),
    pytest.param(
        "https://api.openai.com/v1/responses",
        {
            "model": "gpt-4o",
            "output": [],
            "error": None,
            "usage": {
                "input_tokens": 1000,
                "output_tokens": 100,
                "input_tokens_details": {"cached_tokens": 600, "cache_write_tokens": 0},
                "output_tokens_details": {"reasoning_tokens": 40},
            },
        },
        Usage(1000, 100, 600, 0, None, 40),
        "0.00275",
        id="response",
    ),
    pytest.param(
        "https://api.openai.com/v1/embeddings",
        {"model": "text-embedding-3-small", "data": [], "usage": {"prompt_tokens": 1000, "total_tokens": 1000}},
        Usage(1000, 0),
        "0.00002",
        id="embeddings",
    ),
    pytest.param(
        "https://mine.openai.azure.com/openai/deployments/mine/chat/completions?api-version=2024-10-21",
        CHAT | {"usage": {"prompt_tokens": 1000, "completion_tokens": 100}},
        Usage(1000, 100),
        "0.0035",
        id="Azure",
    ),
    pytest.param(
        "https://openrouter.ai/api/v1/chat/completions",
        CHAT | {"model": "openai/gpt-4o", "usage": {"prompt_tokens": 1000, "completion_tokens": 100}},
        Usage(1000, 100),
        "0.0035",
        id="OpenRouter",
    ),
    pytest.param(
        "http://gateway.internal:4000/chat/completions",
        CHAT | {"usage": {"prompt_tokens": 1000, "completion_tokens": 100}},
        Usage(1000, 100),
        "0.0035",
        id="a gateway",
    ),
    pytest.param(
        "http://localhost:11434/v1/chat/completions",
        CHAT | {"model": "my-own-model", "usage": {"prompt_tokens": 1000, "completion_tokens": 100}},
        Usage(1000, 100),
        None,
        id="a model in the house",
    ),
    pytest.param(
        ANTHROPIC,
        MESSAGE
        | {
            "usage": {
                "input_tokens": 100,
                "output_tokens": 100,
                "cache_read_input_tokens": 600,
                "cache_creation_input_tokens": 300,
                "cache_creation": {"ephemeral_5m_input_tokens": 100, "ephemeral_1h_input_tokens": 200},
                "output_tokens_details": {"thinking_tokens": 40},
            }
        },
        Usage(1000, 100, 600, 300, 200, 40),
        "0.001185",  # 100 * $1 + 600 * $0.1 + 100 * $1.25 + 200 * $2 + 100 * $5
        id="message",
    ),
]


@LIBRARIES
@pytest.mark.parametrize(("url", "body", "usage", "cost"), SHAPES)
def test_tokens_and_cost_are_read_from_each_shape(library, url, body, usage, cost):
    made = call(url, library=library, json=body)
    assert (made.status, made.model, made.usage) == ("success", body["model"], usage)
    assert made.cost == (cost and Decimal(cost))


TOKENS = {"prompt_tokens": 1000, "completion_tokens": 100, "input_tokens": 1000, "output_tokens": 100}


@pytest.mark.parametrize(
    ("url", "body", "terms"),
    [
        (OPENAI, CHAT | {"model": "gpt-5", "service_tier": "priority", "usage": TOKENS}, {"service_tier": "priority"}),
        (OPENAI, CHAT | {"model": "gpt-5", "service_tier": "flex", "usage": TOKENS}, {"service_tier": "flex"}),
        (ANTHROPIC, MESSAGE | {"model": "claude-opus-5", "usage": TOKENS | {"speed": "fast"}}, {"speed": "fast"}),
    ],
    ids=lambda value: str(value) if isinstance(value, dict) and len(value) == 1 else "",
)
def test_the_terms_of_the_service_are_part_of_the_price(url, body, terms):
    usage = Priced(input_tokens=1000, output_tokens=100)
    cost = call(url, json=body).cost
    assert cost == calc_price(usage, body["model"], price_context=terms).total_price
    assert cost != calc_price(usage, body["model"]).total_price


def test_a_stream_of_responses_tells_its_usage_at_the_end():
    made = stream(
        {"type": "response.created", "response": {"model": "gpt-4o", "usage": None, "error": None}},
        {"type": "response.output_text.delta", "delta": "Hi"},
        {"type": "response.completed", "response": {"model": "gpt-4o", "usage": {"input_tokens": 9}, "error": None}},
        url="https://api.openai.com/v1/responses",
    )
    assert (made.status, made.model, made.usage) == ("success", "gpt-4o", Usage(9))
    assert made.time_to_first_token is not None


def test_later_numbers_of_a_stream_replace_earlier_ones():
    made = stream(
        {"type": "message_start", "message": MESSAGE | {"usage": {"input_tokens": 10, "output_tokens": 1}}},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 20}},
        {"type": "message_delta", "usage": {"input_tokens": None, "output_tokens": 30}},
        {"type": "message_stop"},
        url=ANTHROPIC,
    )
    assert (made.status, made.usage) == ("success", Usage(10, 30))
    assert made.time_to_first_token is None


def test_what_a_message_that_broke_off_has_cost_is_unknown():
    made = stream(
        {"type": "message_start", "message": MESSAGE | {"usage": {"input_tokens": 10, "output_tokens": 1}}},
        {"type": "content_block_delta", "delta": {"type": "text_delta", "text": "Half of"}},
        url=ANTHROPIC,
    )
    assert (made.status, made.usage, made.cost) == ("error", Usage(10), None)


@pytest.mark.parametrize(
    "delta",
    [{"content": "a"}, {"tool_calls": [{}]}, {"reasoning_content": "a"}, {"refusal": "no"}],
    ids=lambda delta: next(iter(delta)),
)
def test_the_first_token_is_the_first_that_says_something(delta):
    empty = {"choices": [{"delta": {"role": "assistant", "content": ""}}]}
    last = {"choices": [{"delta": {}, "finish_reason": "stop"}]}
    assert stream(empty, last, "[DONE]").time_to_first_token is None
    assert stream(empty, {"choices": [{"delta": delta}]}, last, "[DONE]").time_to_first_token is not None


@pytest.mark.parametrize(
    ("events", "status"),
    [
        ([], "error"),
        ([{"choices": [{"delta": {"content": "a"}}]}], "error"),
        ([{"choices": [{"delta": {}, "finish_reason": "length"}]}], "success"),
        (["[DONE]"], "success"),
        ([{"error": {"message": "no", "code": "server_error"}}, "[DONE]"], "error"),
        ([{"error": {"message": "no", "code": "rate_limit_exceeded"}}], "rate_limited"),
        ([{"type": "error", "error": {"type": "rate_limit_error"}}], "rate_limited"),
        ([{"type": "error", "error": {"type": "overloaded_error"}}], "error"),
        ([{"type": "response.failed", "response": {"error": {"code": "server_error"}}}], "error"),
        ([{"type": "response.incomplete", "response": {}}], "success"),
        (["garbage", "[DONE]"], "error"),
        (["[1]", "[DONE]"], "error"),
    ],
)
def test_how_a_stream_ends(events, status):
    assert stream(*events).status == status


@pytest.mark.parametrize(
    "usage",
    [
        None,
        [],
        "many",
        {},
        {"prompt_tokens": "12", "completion_tokens": None},
        {"prompt_tokens": -1, "completion_tokens": 1.5},
        {"prompt_tokens": True, "completion_tokens": float("inf")},
        {"prompt_tokens": 10**30, "completion_tokens": {}},
        {"prompt_tokens_details": {"cached_tokens": 3}, "completion_tokens_details": [1]},
    ],
)
def test_a_usage_that_cannot_be_is_unknown(usage):
    body = json.dumps(CHAT | {"usage": usage})
    made = call(content=body)
    assert (made.status, made.usage, made.cost) == ("success", Usage(), None)


def test_parts_that_are_more_than_the_whole_are_refused_and_the_cost_is_unknown():
    said = {"prompt_tokens": 5, "completion_tokens": 2, "prompt_tokens_details": {"cached_tokens": 6}}
    refused = {"metric": "ai_token_usage_total", "reason": "contradiction"}
    with assert_increases("observability_dropped_total", by=2, **refused):
        made = call(json=CHAT | {"usage": said | {"completion_tokens_details": {"reasoning_tokens": 3}}})
    assert (made.usage, made.cost, made.price.source) == (Usage(5, 2), None, "no_usage")


GARBAGE = [b"", b"<html>", b"\xff\xfe", b"[" * 100_000, b'"text"', b"null", b"[]", b"{}", b'{"unexpected": [1]}']


@pytest.mark.parametrize("body", GARBAGE, ids=lambda body: repr(body[:12]))
def test_a_body_that_is_no_answer_is_an_error(body):
    made = call(content=body, asked={"model": "gpt-4o"})
    assert (made.status, made.model, made.usage, made.cost) == ("error", "gpt-4o", Usage(), None)


def test_an_empty_body_is_no_answer():
    made, content = served(answer(b""))
    assert (content, made.status, made.cost) == (b"", "error", None)


@pytest.mark.parametrize("model", [None, 7, "", ["gpt"], {"name": "gpt"}])
def test_a_model_without_a_name_is_the_one_that_was_asked_for(model):
    assert call(json=CHAT | {"model": model}).model == "asked-for"
    assert call(json=CHAT | {"model": model}, asked={"model": model}).model == "unknown"


def test_a_body_too_large_to_read_is_an_answer_of_unknown_cost():
    padding = random.randbytes(2_500_000).hex()  # hard to compress
    body = json.dumps(CHAT | {"padding": padding, "usage": {"prompt_tokens": 1}}).encode()
    encoded = answer(gzip.compress(body + b" " * 5_000_000, 1), Content_Encoding="gzip")
    for whole in (answer(body), encoded):
        made, content = served(whole)
        assert json.loads(content) == json.loads(body)
        assert (made.status, made.model, made.usage, made.cost) == ("success", "asked-for", Usage(), None)


def test_an_event_too_large_to_read_hides_no_other():
    body = f'data: {{"padding": "{"x" * 4_000_000}"}}\n\ndata: {json.dumps({"usage": {"prompt_tokens": 1}})}\n\n'
    made, content = served(answer(f"{body}data: [DONE]\n\n", Content_Type="text/event-stream"))
    assert len(content) > 4_000_000
    assert (made.status, made.usage) == ("success", Usage(1))


@LIBRARIES
@pytest.mark.parametrize("encoding", ["gzip", "identity"])
def test_what_is_compressed_is_read_as_well(library, encoding):
    usage = {"usage": {"prompt_tokens": 1000, "completion_tokens": 100}}
    events = f"data: {json.dumps(CHAT | usage)}\n\ndata: [DONE]\n\n"
    for text, kind in ((json.dumps(CHAT | usage), "application/json"), (events, "text/event-stream; charset=utf-8")):
        body = gzip.compress(text.encode()) if encoding == "gzip" else text.encode()
        made, content = served(answer(body, Content_Encoding=encoding, Content_Type=kind), library=library)
        assert content == text.encode()
        assert (made.status, made.usage) == ("success", Usage(1000, 100))
        assert made.time_to_first_token is None


@LIBRARIES
def test_what_is_said_to_be_compressed_and_is_not_harms_nobody(library):
    made = call(library=library, headers={"content-encoding": "gzip"}, content=iter([b"no gzip"]))
    assert (made.status, made.usage) == ("success", Usage())  # nobody knows what was in it


@pytest.mark.parametrize(
    ("status", "outcome"), [(200, "success"), (302, "success"), (400, "error"), (429, "rate_limited"), (529, "error")]
)
def test_what_is_no_answer_costs_nothing(status, outcome):
    made = call(response=httpx2.Response(status, json=CHAT | {"usage": {"prompt_tokens": 7}}))
    assert (made.status, made.http_status) == (outcome, status)
    assert (made.usage, made.cost) == ((Usage(), 0) if status != 200 else (Usage(7), made.cost))


def test_the_request_id_is_the_providers():
    for name in ("x-request-id", "request-id"):
        assert call(json=CHAT, headers={name: "req_1"}).request_id == "req_1"
    assert call(json=CHAT).request_id == ""


def test_a_body_that_is_sent_as_a_stream_names_no_model():
    calls = []
    with canned(answer("{}", "500 Oops")) as server, instrument(httpx2.Client(), on_ai_call=calls.append) as client:
        client.post(f"{server.url}/v1/chat/completions", content=iter([b'{"model": ', b'"gpt-4o"}']))
    assert [call.model for call in calls] == ["unknown"]


def test_without_the_price_list_every_price_is_unknown(own_process):
    code = """
import sys
sys.modules["genai_prices"] = None
import httpx2
from observability.http import instrument
calls = []
body = {"model": "gpt-4o", "choices": [], "usage": {"prompt_tokens": 1}}
transport = httpx2.MockTransport(lambda request: httpx2.Response(200, json=body))
with instrument(httpx2.Client(transport=transport), on_ai_call=calls.append) as client:
    client.post("https://api.openai.com/v1/chat/completions", json={})
print(json.dumps([calls[0].usage.input_tokens, calls[0].cost]))
"""
    assert own_process(code) == [1, None]


def test_no_library_is_imported_before_it_is_needed():
    code = """
import sys
from django.conf import settings
settings.configure()
from observability.http import instrument
print([name for name in ("httpx", "httpx2", "genai_prices", "pydantic") if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.stdout == "[]\n", done.stderr
