"""The sandbox's OpenAI and Anthropic, with the clients of both."""

import json

import anthropic
import openai
import pytest

from project.sandbox.llm import PROSE, UNPRICED, tokens

BRIEF = "# Bakery\n\n## Opening hours\n- Tuesday to Friday\n- Saturday\n"
ASK_FILES = f'Answer with JSON, an object with "files": a list of objects with "path" and "content".\n\n{BRIEF}'
LONG = "Rules that every website has to keep. " * 200


@pytest.fixture
def gpt(sandbox):
    with openai.OpenAI(api_key="secret-1", base_url=f"{sandbox.url}/openai/v1", max_retries=0) as client:
        yield client


@pytest.fixture
def claude(sandbox):
    with anthropic.Anthropic(api_key="secret-2", base_url=f"{sandbox.url}/anthropic", max_retries=0) as client:
        yield client


def chat(gpt, prompt="Hello", model="gpt-4o", system="Be brief.", **options):
    messages = [{"role": "system", "content": system}, {"role": "user", "content": prompt}]
    return gpt.chat.completions.create(model=model, messages=messages, **options)


def message(claude, prompt="Hello", model="claude-haiku-4-5", max_tokens=10_000, **options):
    messages = [{"role": "user", "content": prompt}]
    return claude.messages.create(model=model, max_tokens=max_tokens, messages=messages, **options)


def stream_chat(gpt, **options):
    """The text, the reason of the end, and the usage of a stream."""
    chunks = list(chat(gpt, stream=True, stream_options={"include_usage": True}, **options))
    *said, last = chunks
    text = "".join(chunk.choices[0].delta.content or "" for chunk in said)
    return text, said[-1].choices[0].finish_reason, last.usage


def files_of(text):
    return {file["path"]: file["content"] for file in json.loads(text)["files"]}


def test_gpt_says_the_same_streamed_or_not(gpt):
    whole = chat(gpt, prompt=ASK_FILES)
    text, finish, usage = stream_chat(gpt, prompt=ASK_FILES)
    assert (text, finish, usage) == (whole.choices[0].message.content, "stop", whole.usage)


def test_claude_says_the_same_streamed_or_not(claude):
    whole = message(claude, prompt=ASK_FILES)
    request = {"role": "user", "content": ASK_FILES}
    with claude.messages.stream(model="claude-haiku-4-5", max_tokens=10_000, messages=[request]) as stream:
        streamed = stream.get_final_message()
    assert streamed.content[0].text == whole.content[0].text
    assert (streamed.stop_reason, streamed.usage) == ("end_turn", whole.usage)


def test_tokens_follow_from_the_length_of_the_text(gpt, claude):
    done = chat(gpt, prompt=ASK_FILES)
    assert done.usage.prompt_tokens == tokens("Be brief.") + tokens(ASK_FILES)
    assert done.usage.completion_tokens == tokens(done.choices[0].message.content)
    done = message(claude, prompt=ASK_FILES, system="Be brief.")
    assert done.usage.input_tokens == tokens("Be brief.") + tokens(ASK_FILES)
    assert done.usage.output_tokens == tokens(done.content[0].text)


def test_who_asks_for_files_gets_a_website_made_of_the_brief(gpt):
    files = files_of(chat(gpt, prompt=ASK_FILES).choices[0].message.content)
    assert list(files) == ["index.html", "contact.html", "style.css", "script.js"]
    assert "<title>Bakery</title>" in files["index.html"]
    assert "<li>Tuesday to Friday</li>" in files["index.html"]


def test_a_brief_cannot_put_markup_into_the_website(gpt):
    files = files_of(chat(gpt, prompt=ASK_FILES + "- </ul><script>alert(1)</script>").choices[0].message.content)
    assert "<script>alert" not in files["index.html"]


def test_who_asks_for_a_plan_gets_one(claude):
    text = message(claude, prompt=f"Make a plan for this website.\n\n{BRIEF}").content[0].text
    assert text.startswith("# Bakery\n\n1. ")
    assert "Section “Opening hours” with 2 entries" in text


def test_the_limit_cuts_the_text_short(gpt, claude):
    done = chat(gpt, prompt=ASK_FILES, max_completion_tokens=100)
    assert (done.usage.completion_tokens, done.choices[0].finish_reason) == (100, "length")
    done = message(claude, prompt=ASK_FILES, max_tokens=100)
    assert (done.usage.output_tokens, done.stop_reason) == (100, "max_tokens")


def test_models_are_named_with_their_date(gpt, claude):
    assert chat(gpt).model == "gpt-4o-2024-08-06"
    assert chat(gpt, model="gpt-4o-2024-08-06").model == "gpt-4o-2024-08-06"
    assert message(claude).model == "claude-haiku-4-5-20251001"
    assert message(claude, model=UNPRICED).model == UNPRICED


def test_reasoning_is_a_part_of_the_output(gpt):
    done = chat(gpt, prompt=ASK_FILES, model="gpt-5")
    said = tokens(done.choices[0].message.content)
    assert done.usage.completion_tokens_details.reasoning_tokens == said // 2
    assert done.usage.completion_tokens == said + said // 2


def test_a_reasoning_model_takes_no_max_tokens(gpt):
    with pytest.raises(openai.BadRequestError, match="max_completion_tokens"):
        chat(gpt, model="o3-mini", max_tokens=100)


def test_gpt_caches_a_long_beginning(gpt, request):
    system = f"{request.node.name} {LONG}"
    cached = [chat(gpt, system=system, prompt=p).usage.prompt_tokens_details.cached_tokens for p in ("One", "Two")]
    assert cached == [0, tokens(system) // 128 * 128]


def test_claude_writes_to_the_cache_and_then_reads_from_it(claude, request):
    text = f"{request.node.name} {LONG}"
    system = [{"type": "text", "text": text, "cache_control": {"type": "ephemeral"}}]
    first, second = (message(claude, system=system, prompt=prompt).usage for prompt in ("One", "Two"))
    assert (first.cache_creation_input_tokens, first.cache_read_input_tokens) == (tokens(text), 0)
    assert (second.cache_creation_input_tokens, second.cache_read_input_tokens) == (0, tokens(text))
    assert first.input_tokens == second.input_tokens == tokens("One")


def test_the_log_has_the_tokens_of_each_completion(sandbox, gpt, claude, request):
    system = f"{request.node.name} {LONG}"
    usages = [chat(gpt, system=system, model="gpt-5", prompt=ASK_FILES).usage for _ in range(2)]
    [first, second] = sandbox.requests(service="openai", operation="chat_completions", model="gpt-5-2025-08-07")
    assert [first["cached_tokens"], second["cached_tokens"]] == [0, usages[1].prompt_tokens_details.cached_tokens]
    assert second["input_tokens"] == usages[1].prompt_tokens
    assert second["output_tokens"] == usages[1].completion_tokens
    assert second["reasoning_tokens"] == usages[1].completion_tokens_details.reasoning_tokens
    cached = [{"type": "text", "text": system, "cache_control": {"type": "ephemeral"}}]
    usage = message(claude, system=cached).usage
    [entry] = sandbox.requests(service="anthropic", status=200)
    assert entry["cache_write_tokens"] == usage.cache_creation_input_tokens
    assert entry["input_tokens"] == usage.input_tokens + usage.cache_creation_input_tokens


def test_an_unknown_model_is_refused(gpt, claude):
    with pytest.raises(openai.NotFoundError) as refused:
        chat(gpt, model="gpt-0")
    assert refused.value.code == "model_not_found"
    with pytest.raises(anthropic.NotFoundError) as refused:
        message(claude, model="claude-0")
    assert refused.value.body["error"]["type"] == "not_found_error"


def test_a_request_without_a_key_is_refused(sandbox):
    for path in ("/openai/v1/chat/completions", "/anthropic/v1/messages"):
        answer = sandbox.client.post(path, json={})
        assert answer.status_code == 401
        assert answer.json()["error"]["type"] in {"invalid_request_error", "authentication_error"}


def test_who_asks_too_often_learns_when_to_come_back(sandbox, gpt, claude):
    sandbox.faults("openai", 429, retry_after=2)
    with pytest.raises(openai.RateLimitError) as refused:
        chat(gpt)
    assert refused.value.code == "rate_limit_exceeded"
    assert refused.value.request_id.startswith("req_")
    assert refused.value.response.headers["retry-after"] == "2"
    assert refused.value.response.headers["x-ratelimit-remaining-requests"] == "0"
    sandbox.faults("anthropic", 429, retry_after=2)
    with pytest.raises(anthropic.RateLimitError) as refused:
        message(claude)
    assert refused.value.request_id == refused.value.body["request_id"]
    assert refused.value.response.headers["retry-after"] == "2"


def test_an_overloaded_claude_says_so(sandbox, claude):
    sandbox.faults("anthropic", 529)
    with pytest.raises(anthropic.APIStatusError) as refused:
        message(claude)
    assert refused.value.body["error"]["type"] == "overloaded_error"


def test_a_stream_may_end_with_an_error(sandbox, gpt, claude):
    sandbox.faults("openai", "error_event")
    with pytest.raises(openai.APIError, match="had an error"):
        stream_chat(gpt, prompt=ASK_FILES)
    sandbox.faults("anthropic", "error_event")
    with pytest.raises(anthropic.APIStatusError, match="overloaded_error"):
        list(message(claude, prompt=ASK_FILES, stream=True))


def test_a_stream_may_be_cut_and_what_was_said_until_then_is_in_the_log(sandbox, gpt):
    whole = chat(gpt, prompt=ASK_FILES).usage
    sandbox.faults("openai", "cut")
    said = ""
    with pytest.raises(openai.APIConnectionError):
        for chunk in chat(gpt, prompt=ASK_FILES, stream=True):
            said += chunk.choices[0].delta.content or ""
    [entry] = sandbox.requests(fault="cut")
    assert not entry["complete"]
    assert entry["input_tokens"] == whole.prompt_tokens
    assert 0 < entry["output_tokens"] == tokens(said) < whole.completion_tokens


def test_a_model_may_write_prose_where_files_were_asked_for(sandbox, gpt):
    sandbox.faults("openai", "prose")
    assert chat(gpt, prompt=ASK_FILES).choices[0].message.content == PROSE


def test_the_clients_own_retries_lead_to_an_answer(sandbox, gpt):
    sandbox.faults("openai", 500, times=2)
    assert chat(gpt.with_options(max_retries=2)).choices[0].message.content
    assert [entry["status"] for entry in sandbox.requests(service="openai")] == [500, 500, 200]
