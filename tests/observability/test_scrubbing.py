"""What leaves the process holds no secret, wherever that was, and all that is of use."""

import json
import re
import time
from decimal import Decimal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from observability.scrubbing import FILTERED, MAX_DEPTH, MAX_NODES, MAX_TEXT, Scrubber, is_secret, known_secrets

scrub = Scrubber()

SECRET_NAMES = """
    password Password new_password1 userPassword passwd db_pwd PASSPHRASE pass_word token access_token csrfToken
    X-CSRFToken refresh-token secret client_secret SECRET_KEY key api_key apikey X-Api-Key apiKey AWSAccessKeyId
    private_key ssh_keys authorization Authorization HTTP_AUTHORIZATION Proxy-Authorization auth cookie Set-Cookie
    cookies dsn SENTRY_DSN session session_id sessionid user_session card card_number cardNumber credit-card cvc
    credentials jwt otp pass db_pass passcode pin totp creds sid connect.sid PHPSESSID X-Amz-Signature sig cc_number
    ｐａｓｓｗｏｒｄ
""".split()
PLAIN_NAMES = """
    primary_key foreign_key sort_key public_key keyboard keyword monkey turkey author authors authentic discard
    wildcard cardinality tokenizer is_tokenized user_id job_id request_id trace_id step model url KeyError
    message path hotkey idempotency_key cache_key db.redis.key compass bypass spin inside design
""".split()
# By themselves, within a sentence, and after a name that says nothing.
TELLING = {
    "bearer": "Bearer abcDEF123456",
    "bearer in lower case": "bearer 0123456789abcdef",
    "basic": "Basic YWxhZGRpbjpvcGVuc2VzYW1l",
    "BASIC": "BASIC YWxhZGRpbjpvcGVuc2VzYW1l",
    "bearer on a line of its own": "Bearer\nabcDEF123456",
    "JWT": "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.dozjgNryP4J3jVmNHl0w5N",
    "OpenAI": "sk-proj-4lq9XabcDEF012345678",
    "Anthropic": "sk-ant-api03-abcdef-0123456789",
    "Stripe": "sk_live_4eC39HqLyjWDarjtT1zdp7dc",
    "Notion": "ntn_12345678901abcdefghijk",
    "Notion of old": "secret_AbCdEf0123456789AbCdEf",
    "Vercel": "vcp_0123456789abcdefABCDEF",
    "GitHub": "ghp_0123456789abcdefghijABCDEFGHIJ012345",
    "AWS": "AKIAIOSFODNN7EXAMPLE",
    "Google": "AIzaSyA-0123456789abcdefghijklmnopqrstu",
    "Slack": "xoxb-123456789012-abcdefGHIJKL",
    "Slack of an app": "xapp-1-A0123456789-abcdef",
    "Slack's webhook": "https://hooks.slack.com/services/T00000001/B00000002/abcdefgh0123456789",
    "Discord's webhook": "https://discord.com/api/webhooks/123456789012345678/abc-def0123456789",
    "Telegram's bot": "https://api.telegram.org/bot123456789:AAHabcdefghijklmnopqrstuvwxyz01234/getMe",
    "Groq": "gsk_abcdefghij1234567890",
    "xAI": "xai-abcdefghij1234567890",
    "Google OAuth": "GOCSPX-abcdefghij1234567890",
    "Shopify": "shpat_abcdef0123456789",
    "DigitalOcean": "dop_v1_abcdef0123456789",
    "Fernet": "gAAAAABh0123456789abcdefghijklmnopqrstuvwxyz",
    "hash of a password": "pbkdf2_sha256$870000$abcdefgh12345$abcdefghij0123456789=",
    "link for a new password": "cx8b2k-0123456789abcdef0123456789abcdef",
    "signed value": "eyJhIjoxfQ12345:1tabcd:abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG",
    "card": "4111 1111 1111 1111",
    "card with wide spaces": "4111\u00a01111  1111 1111",
    "card without spaces": "5555555555554444",
    "card with hyphens": "3782-822463-10005",
    "private key": "-----BEGIN RSA PRIVATE KEY-----\nMIIEow\nIBAAKC\n-----END RSA PRIVATE KEY-----",
    "PGP": "-----BEGIN PGP PRIVATE KEY BLOCK-----\nMIIEow0\n-----END PGP PRIVATE KEY BLOCK-----",
    "half a private key": "-----BEGIN PRIVATE KEY-----\nMIIEow",
    "session in the cache": "django.contrib.sessions.cacheabcdefghijklmnopqrstuvwxyz012345",
}
# What is assigned, in the forms in which texts hold it; the rest of the text stays.
ASSIGNED = [
    "GET /pages?password=HIDDEN&page=2",
    "password=HIDDEN",
    "api_key: HIDDEN and more",
    "{'token': 'HIDDEN', 'page': 2}",
    '{"client_secret": "HIDDEN with spaces", "page": 2}',
    '"{\\"password\\": \\"HIDDEN with spaces\\", \\"page\\": 2}"',
    "login(user='ada', password='HIDDEN with \\' quotes')",
    "environ['API_KEY'] = 'HIDDEN'",
    "next=http://example.org/?access_token=HIDDEN",
    "manage.py run_job token=HIDDEN page=2",
    "Authorization: Token HIDDEN",
    "Cookie: theme=dark; sessionid=HIDDEN; other=HIDDEN",
    "postgres://ada:HIDDEN@db.example.org/site",
    "redis://:HIDDEN@127.0.0.1:6379/0",
    "amqp://ada:HIDDEN/with@signs@mq.example.org",
    "https://HIDDEN@o1.ingest.sentry.io/2",
    "https://example.org/a?user=1&key=HIDDEN#part",
    "{'password': ['HIDDEN', 'HIDDEN spaces'], 'page': 2}",
    '{"tokens": {"a": {"b": "HIDDEN }"}}, "page": 2}',
    "Login(password=SecretStr('HIDDEN spaces'), page=2)",
    "headers={b'authorization': b'HIDDEN spaces'}, page=2",
    "scope: [(b'host', b'a'), (b'cookie', b'HIDDEN spaces')], page=2",
    "{'name': 'password', 'value': 'HIDDEN spaces'}, page=2",
    '<input name="csrfmiddlewaretoken" value="HIDDEN"> page=2',
    "<password>HIDDEN</password> page=2",
    "if token == 'HIDDEN spaces' and page=2",
    "password := 'HIDDEN spaces', page=2",
    "set_password('HIDDEN spaces'), page=2",
    "no user for token 'HIDDEN spaces', page=2",
    "the password is HIDDEN123 on page=2",
    "createuser --password HIDDEN page=2",
    "a?user%5Bpassword%5D=HIDDEN&page=2",
    "a?next=%2Fb%3Ftoken%3DHIDDEN&page=2",
    "DETAIL:  Key (api_token)=(HIDDEN spaces) already exists. page=2",
    "DETAIL:  Failing row contains (1, ada, HIDDEN spaces, 2026). page=2",
    "[SQL: SELECT 1 WHERE a = ?]\n[parameters: ('HIDDEN spaces', [1])]\n(Background)",
    "password=ab'HIDDEN<HIDDEN\\HIDDEN&page=2",
    "cut off here: password='HIDDEN spaces",
    "cut off here: tokens=['HIDDEN spaces",
    'Authorization: Digest username="ada", response="HIDDEN spaces"',
    '--b\r\nContent-Disposition: form-data; name="password"\r\n\r\nHIDDEN spaces\r\n--b--',
    "password\n  String is too short [type=string_too_short, input_value='HIDDEN spaces', input_type=str]",
]


@pytest.mark.parametrize("name", SECRET_NAMES)
def test_a_value_under_a_secret_name_is_filtered(name):
    assert scrub({name: "hunter2", "page": 2}) == {name: FILTERED, "page": 2}
    assert scrub([[name, "hunter2"], ["page", "2"]]) == [[name, FILTERED], ["page", "2"]]
    assert scrub({"name": name, "value": "hunter2"}) == {"name": name, "value": FILTERED}


@pytest.mark.parametrize("name", PLAIN_NAMES)
def test_a_value_under_another_name_stays(name):
    assert scrub({name: "useful"}) == {name: "useful"}
    assert scrub(f"{name}: useful, {name}='useful'") == f"{name}: useful, {name}='useful'"


@pytest.mark.parametrize("secret", TELLING.values(), ids=TELLING.keys())
def test_a_secret_is_known_by_its_looks(secret):
    for text in (secret, f"It failed with {secret} and more.", f"about={secret}"):
        assert not any(part in scrub(text) for part in re.findall(r"[\w-]{5,}", secret) if any(map(str.isdigit, part)))
    assert scrub(f"It failed with {secret}").startswith("It failed with ")
    assert secret not in json.dumps(scrub({"args": [secret], secret: 1}))


@pytest.mark.parametrize("text", ASSIGNED)
def test_what_is_assigned_to_a_secret_name_is_filtered_within_a_text(text):
    clean = scrub(text)
    assert "HIDDEN" in text
    assert "HIDDEN" not in clean
    assert "spaces" not in clean
    assert "page" not in text or re.sub(r".*page", "page", clean) == re.sub(r".*page", "page", text)


@pytest.mark.parametrize(
    "text",
    [
        "KeyError: 'api_version'",
        "SELECT id, status FROM job WHERE id = %s LIMIT 21",
        "http://127.0.0.1:8000/users/ada@example.org",
        "ada@example.org wrote at 12:30:05: it is done",
        "Basic authentication is not in use",
        "task-list of 15 items, sk-folding-cube, desk_lamp_number_5",
        "1731000000000 and 4111111111111112 are no cards",
        "0b5d7a5e-1c6b-4a3e-9c55-6a4111111111 is an id",
        "max_tokens=8192&page=2",
        'SELECT "session_key" FROM "django_session" WHERE "session_key" = %s AND token = ? AND secret = $1',
        "unexpected token '<' in the session of today",
        "token_id=5, password=None, has_token=True",
        "key 'page-of-today' is missing",
    ],
)
def test_a_text_without_secrets_stays(text):
    assert scrub(text) == text


def test_numbers_that_are_counted_or_measured_stay_and_others_do_not():
    kept = {
        "input_tokens": 123,
        "gen_ai.usage.input_tokens.cached": 4,
        "token_count": 5,
        "session_age": 0.5,
        "cost": Decimal(1),
    }
    assert scrub(kept) == kept
    assert scrub({"token": 123456, "card": 7, "pages": 3, "number": 4111111111111111}) == {
        "token": FILTERED,
        "card": FILTERED,
        "pages": 3,
        "number": FILTERED,
    }


def test_what_a_secret_name_holds_is_filtered_to_its_leaves_while_names_and_what_is_empty_stay():
    held = {"cookies": {"theme": "dark", "ids": [1, {"a": "b"}]}, "token": None, "password": "", "has_session": True}
    assert scrub(held) == {
        "cookies": {"theme": FILTERED, "ids": [FILTERED, {"a": FILTERED}]},
        "token": None,
        "password": "",
        "has_session": True,
    }


def test_in_lines_of_source_only_literals_are_filtered():
    frame = {"context_line": "token = read_token(request)", "pre_context": ["PASSWORD = 'hunter2'"]}
    assert scrub(frame) == {"context_line": "token = read_token(request)", "pre_context": [f"PASSWORD = {FILTERED}"]}


def test_names_of_packages_are_no_names_of_secrets():
    assert scrub({"modules": {"django-session-x": "1.0"}}) == {"modules": {"django-session-x": "1.0"}}
    assert scrub({"extra": {"modules": {"session": "1.0"}}}) == {"extra": {"modules": {"session": FILTERED}}}


def test_what_follows_an_option_among_arguments_is_filtered():
    arguments = ["manage.py", "createuser", "--password", "hunter2", "--token=hunter2", "--name", "ada"]
    assert scrub(arguments) == [*arguments[:3], FILTERED, f"--token={FILTERED}", *arguments[5:]]


def test_ids_of_traces_are_no_numbers_of_cards():
    ids = {"trace_id": "41111111111111114111111111111111", "span_id": "4111111111111111", "parent_span_id": None}
    assert scrub(ids) == ids
    assert scrub({"number": "4111111111111111"}) == {"number": FILTERED}


def test_attributes_keep_the_form_that_they_have():
    count = {"gen_ai.usage.input_tokens": {"value": 5, "type": "integer"}}
    secret = {"api_key": {"value": 5, "type": "integer"}, "a": {"value": "token=hunter2", "type": "string"}}
    assert scrub(count) == count
    assert scrub(secret) == {
        "api_key": {"value": FILTERED, "type": "string"},
        "a": {"value": f"token={FILTERED}", "type": "string"},
    }


ADDRESSES = """
    X-Forwarded-For Forwarded X-Real-IP CF-Connecting-IP True-Client-IP X-Client-IP Fastly-Client-IP REMOTE_ADDR
    ip_address client.address network.peer.address
""".split()


@pytest.mark.parametrize("name", ADDRESSES)
def test_addresses_of_clients_are_filtered_where_they_are_not_allowed(name):
    held = {name: "192.0.2.1", "zip": "12345", "server.address": "db", "description": "a", "email_address": "a@b"}
    assert scrub(held) == held
    assert Scrubber(addresses=False)(held) == held | {name: FILTERED}


def test_what_is_no_json_is_seen_as_its_text():
    class Login:
        def __str__(self):
            return "Login(password='hunter2', user='ada')"

    assert scrub({"login": Login(), "raw": b"token=abc&page=2"}) == {
        "login": f"Login(password={FILTERED}, user='ada')",
        "raw": f"token={FILTERED}&page=2",
    }


def test_a_known_secret_is_filtered_wherever_it_is():
    values = {
        "NOTION_TOKEN": "no-looks-at-all-1",
        "DATABASES": {"default": {"PASSWORD": "correct horse battery", "HOST": "db.example.org"}},
        "TEMPLATES": [{"OPTIONS": {"API_KEY": "no-looks-at-all-2"}}],
        "SESSION_ENGINE": "django.contrib.sessions.backends.db",
        "SHORT_KEY": "postgres",
    }
    known = known_secrets(values)
    assert known == {"no-looks-at-all-1", "correct horse battery", "no-looks-at-all-2"}
    assert Scrubber(known)("GET /no-looks-at-all-1 from postgres") == f"GET /{FILTERED} from postgres"


def test_what_is_too_deep_or_too_much_is_filtered():
    deep = "secret"
    for _ in range(3 * MAX_DEPTH):
        deep = [deep]
    assert "secret" not in json.dumps(scrub(deep))
    assert scrub(list(range(2 * MAX_NODES)))[-1] == FILTERED
    circle = {}
    circle["self"] = circle
    assert FILTERED in json.dumps(scrub(circle))
    assert len(scrub("word " * MAX_TEXT)) <= MAX_TEXT
    assert "hunter2" not in scrub("x" * (MAX_TEXT - 10) + " password=hunter2")


def test_a_text_made_to_take_long_does_not():
    hostile = [
        "a" * 100_000,
        "key=" * 30_000,
        "://" * 30_000,
        "1 " * 50_000,
        "sk-" * 30_000,
        "\\" * 100_000,
        "A:" * 50_000,
        "token=[" * 20_000,
        "token='\\" * 20_000,
        'name="token"\n' * 10_000,
        "('token', '" * 10_000,
        "name: token, " * 10_000,
        "Failing row contains (" * 5_000,
        "token is " * 10_000,
        "a.b:c" * 20_000,
    ]
    begin = time.process_time()
    for text in hostile:
        scrub(text)
    assert time.process_time() - begin < 2


PLAIN = st.sampled_from(["useful", 7, None, True, "SELECT 1", "https://example.org/a"])
planted = st.one_of(
    st.sampled_from(SECRET_NAMES).map(lambda name: {name: "HIDDEN"}),
    st.sampled_from(SECRET_NAMES).map(lambda name: [name, "HIDDEN"]),
    st.sampled_from(ASSIGNED),
    st.sampled_from(SECRET_NAMES).map(lambda name: {name: {"inner": ["HIDDEN", {"more": "HIDDEN"}]}}),
)
names = st.sampled_from(["extra", "contexts", "tags", "data", "values", "message", "0"])
trees = st.recursive(
    planted,
    lambda inner: st.lists(inner, min_size=1, max_size=3) | st.dictionaries(names, inner, min_size=1),
    max_leaves=12,
)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(tree=trees, plain=PLAIN)
def test_no_planted_secret_is_left_in_any_tree_and_what_is_beside_it_stays(tree, plain):
    clean = scrub({"planted": tree, "beside": [plain, {"more": plain}]})
    assert "HIDDEN" in json.dumps(tree)
    assert "HIDDEN" not in json.dumps(clean)
    assert clean["beside"] == [plain, {"more": plain}]


anything = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text() | st.binary(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@settings(deadline=None)
@given(anything)
def test_nothing_makes_it_raise_and_twice_is_as_once(value):
    once = scrub(value)
    assert json.dumps(scrub(once), default=str) == json.dumps(once, default=str)


def test_names_are_told_apart():
    assert [name for name in SECRET_NAMES if not is_secret(name)] == []
    assert [name for name in PLAIN_NAMES if is_secret(name)] == []
