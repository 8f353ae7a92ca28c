"""Which requests are requests to models, and what their answers tell besides tokens, by API."""

import json

import httpx2
import pytest

from observability.http import Usage, instrument
from observability.testing import assert_increases

GEMINI = "https://generativelanguage.googleapis.com/v1beta/models/gemini-2.5-flash:"
BEDROCK = "https://bedrock-runtime.us-east-1.amazonaws.com/model/us.amazon.nova-pro-v1%3A0/"
VERTEX = "https://us-east5-aiplatform.googleapis.com/v1/projects/p/locations/us-east5/publishers/anthropic/models/"
EVENTS = {"content-type": "text/event-stream"}


def calls_of(url, response=None, method="POST", **options):
    calls = []
    transport = httpx2.MockTransport(lambda request: response or httpx2.Response(200, **options))
    with instrument(httpx2.Client(transport=transport), on_ai_call=calls.append) as client:
        client.request(method, url, json={"model": "asked-for"})
    return calls


def call_of(*arguments, **options):
    [call] = calls_of(*arguments, **options)
    return call


def stream(*events):
    text = "".join(f"data: {json.dumps(event)}\n\n" for event in events)
    return httpx2.Response(200, headers=EVENTS, content=iter([text.encode()]))


@pytest.mark.parametrize(
    ("url", "about"),
    [
        (f"{GEMINI}generateContent", ("gemini", "google", "gemini-2.5-flash")),
        (f"{GEMINI}streamGenerateContent?alt=sse", ("gemini", "google", "gemini-2.5-flash")),
        ("http://gateway.internal/v1beta/models/mine:generateContent", ("gemini", "google", "mine")),
        (f"{BEDROCK}converse", ("bedrock", "aws", "us.amazon.nova-pro-v1:0")),
        (f"{BEDROCK}invoke", ("bedrock", "aws", "us.amazon.nova-pro-v1:0")),
        (f"{BEDROCK}converse-stream", ("bedrock", "aws", "us.amazon.nova-pro-v1:0")),
        (f"{BEDROCK}invoke-with-response-stream", ("bedrock", "aws", "us.amazon.nova-pro-v1:0")),
        (f"{VERTEX}claude-haiku-4-5%4020251001:rawPredict", ("anthropic", "google", "claude-haiku-4-5@20251001")),
        (f"{VERTEX}claude-haiku-4-5:streamRawPredict", ("anthropic", "google", "claude-haiku-4-5")),
        ("https://api.groq.com/openai/v1/chat/completions", ("openai", "groq", "asked-for")),
        ("https://api.mistral.ai/v1/embeddings", ("embeddings", "mistral", "asked-for")),
        ("http://localhost:8000/v1/chat/completions", ("openai", "openai", "asked-for")),
    ],
)
def test_a_request_to_a_model_is_known_by_its_path(url, about):
    call = call_of(url, json={"output": {}})
    assert (call.api, call.provider, call.model) == about


@pytest.mark.parametrize(
    ("url", "method"),
    [
        (f"{GEMINI}countTokens", "POST"),
        (f"{GEMINI}embedContent", "POST"),
        (f"{GEMINI}generateContent", "GET"),
        (f"{BEDROCK}count-tokens", "POST"),
        (f"{VERTEX}claude-haiku-4-5:countTokens", "POST"),
        ("https://example.com/models/converse", "POST"),
        ("https://api.openai.com/v1/models", "GET"),
        ("https://api.example.com/messages", "POST"),
    ],
)
def test_what_is_no_request_to_a_model_is_none_of_ours(url, method):
    assert calls_of(url, method=method) == []


def test_the_events_of_aws_are_not_read_and_cost_nobody_knows_what():
    headers = {"content-type": "application/vnd.amazon.eventstream", "x-amzn-requestid": "a1-b2"}
    call = call_of(f"{BEDROCK}converse-stream", headers=headers, content=b"\0\0\0\xff{}garbage")
    assert (call.status, call.usage, call.cost, call.price.source) == ("success", Usage(), None, "no_usage")
    assert call.request_id == "a1-b2"


@pytest.mark.parametrize(
    ("events", "status"),
    [
        ([{"candidates": [{"content": {"parts": [{"text": "Hi"}]}, "finishReason": "STOP"}]}], "success"),
        ([{"candidates": [{"content": {"parts": [{"text": "Hi"}]}}]}], "error"),
        ([{"promptFeedback": {"blockReason": "SAFETY"}}], "success"),
        ([{"candidates": "garbage"}], "error"),
        ([{"error": {"code": 429, "status": "RESOURCE_EXHAUSTED"}}], "rate_limited"),
        ([{"error": {"code": 503, "status": "UNAVAILABLE"}}], "error"),
    ],
)
def test_how_a_stream_of_gemini_ends(events, status):
    assert call_of(f"{GEMINI}streamGenerateContent?alt=sse", stream(*events)).status == status


def test_a_stream_of_gemini_has_a_first_token():
    empty, said = {"candidates": [{"index": 0}]}, {"candidates": [{"content": {"parts": [{"text": "Hi"}]}}]}
    assert call_of(f"{GEMINI}streamGenerateContent?alt=sse", stream(empty)).time_to_first_token is None
    assert call_of(f"{GEMINI}streamGenerateContent?alt=sse", stream(empty, said)).time_to_first_token is not None


@pytest.mark.parametrize("body", [[], [1], {}, {"error": {"code": 500}}, {"unexpected": 1}])
def test_what_is_no_answer_of_gemini_is_an_error(body):
    assert call_of(f"{GEMINI}generateContent", json=body).status == "error"


def test_the_model_is_the_one_that_answered():
    call = call_of(f"{GEMINI}generateContent", json={"candidates": [], "modelVersion": "gemini-2.5-flash-002"})
    assert call.model == "gemini-2.5-flash-002"


def test_a_cut_stream_that_told_its_usage_as_it_went_is_priced_by_that():
    usage = {"promptTokenCount": 1000, "candidatesTokenCount": 10, "totalTokenCount": 1010}
    event = {"candidates": [{"content": {"parts": [{"text": "Hi"}]}}], "usageMetadata": usage}
    model = {"modelVersion": "gemini-2.5-flash"}
    with assert_increases("ai_cost_usd_sum", by=0), assert_increases("ai_unpriced_requests_total", by=0):
        call = call_of(f"{GEMINI}streamGenerateContent?alt=sse", stream(event | model))
    assert (call.status, call.usage, float(call.cost)) == ("error", Usage(1000, 10), 0.000325)
