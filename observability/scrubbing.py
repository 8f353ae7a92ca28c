"""Takes secrets out of data that leaves the process: by the names of keys, and by what values look like.

Works on what JSON can hold, and is bounded in depth and size; all else is seen as its text.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping
from datetime import date
from decimal import Decimal
from functools import lru_cache
from itertools import chain
from typing import Any
from uuid import UUID

FILTERED = "[Filtered]"
MAX_DEPTH = 16  # containers within one another; what is deeper is filtered
MAX_NODES = 100_000  # values, and containers of them; what comes after is filtered
MAX_TEXT = 16_384  # characters of a text; what comes after is left out
SHORT = 120  # characters of a text that is remembered
MIN_CARD = 10**12  # the shortest number of a card has 13 digits
MAX_CARD = 10**16 - 1  # as a number: longer ones are ids far more often
MIN_KNOWN = 12  # characters of a secret that is looked for by itself; a shorter one may be a word of any text

# In the name of a key they make it that of a secret, wherever they are.
SECRET_PARTS = re.compile(
    r"pass[-_]?w|pwd|passphrase|passcode|secret|token(?!i[sz])|authori[sz]ation|credential|cookie|dsn|session|csrf|xsrf"
    r"|jwt|signature|security[-_]?code|cc[-_]?num|input_value"  # pydantic's
)
# Only as words, or at the end of one: "keyboard", "monkey", "discard" and "author" name no secrets.
SECRET_WORD = re.compile(
    r"\w*(?<!mon)(?<!don)(?<!tur)(?<!hot)keys?|auth|t?otp|mfa|cv[cv]|(?:credit|debit)?cards?(?:number)?"
    r"|pass|pw|pin|creds?|sig|ssn|iban|\w*s(?:ess)?id"
)
# Before "key" they tell of a database or a dictionary, or of what is public on purpose.
PLAIN_KEYS = {"primary", "foreign", "sort", "partition", "unique", "natural", "public", "idempotency", "cache", "redis"}
# In a name they tell of a number that is no secret, as in input_tokens, session_age and card_id.
QUANTITIES = {"tokens", "count", "total", "usage", "limit", "length", "size", "age", "time", "seconds", "ms"}
WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
SECRET_SETTING = re.compile(r"(KEY|TOKEN|SECRET|PASSWORD|DSN)$")
# In headers of proxies, in CGI's variables, in the conventions of OpenTelemetry and of Sentry.
ADDRESS = re.compile(r"(?:.*_)?(?:ip|ips|ip_?address|forwarded(?:_for)?|remote_addr|(?:client|peer)_address)")

# Parts of an event whose keys are no names of what they hold: versions of packages, and notes about other parts.
UNNAMED = {"modules", "_meta"}
NAMED_BESIDE = {"key", "name", "value"}  # where all but the last say what the last is
ATTRIBUTE = {"value", "type"}  # of a span or log of its own, under its name
TRACE_IDS = {"trace_id", "span_id", "parent_span_id", "event_id"}  # 16 digits may look like the number of a card
CODE = {"context_line", "pre_context", "post_context"}  # lines of source, where only a literal can be a secret

PATTERNS = (
    re.compile(
        r"-----BEGIN [A-Z0-9 ]*PRIVATE KEY[A-Z ]*-----.*?(?:-----END [A-Z0-9 ]*PRIVATE KEY[A-Z ]*-----|\Z)", re.DOTALL
    ),
    re.compile(r"\beyJ[\w-]{4,}\.[\w-]{4,}(?:\.[\w-]*)*"),  # JWT
    re.compile(r"(?<=bearer)\s+[^\s\"',;]{6,}", re.IGNORECASE),
    re.compile(r"(?<=(?i:basic) )(?=[A-Za-z+/]*[\dA-Z=])[A-Za-z\d+/]{6,}={0,2}"),
    re.compile(r"\b[grsp]s?k[-_](?=[\w-]*\d)[\w-]{10,}"),  # OpenAI, Anthropic, Stripe, Groq
    re.compile(
        r"\b(?:ntn|secret|vc[a-z]|vercel|gh[a-z]|github_pat|hf|npm|whsec|sntrys|sntryu|shp[a-z]{2}|do[a-z]_v1)_[\w+/=.-]{10,}"
    ),
    re.compile(
        r"\b(?:(?:glpat|pypi|xox[a-z]|xapp|xai|GOCSPX|AGE-SECRET-KEY)-[\w-]{10,}|SG\.[\w-]{16,}\.[\w-]{16,}|ya29\.[\w-]{10,})"
    ),
    re.compile(r"\b(?:A[KS]IA[A-Z\d]{16}|AIza[\w-]{30,}|gAAAA[\w-]{30,}|key-[\da-f]{32})"),  # …, Fernet, Mailgun
    re.compile(r"(?<=hooks\.slack\.com/services/)[\w/]+|(?<=/api/webhooks/)\d+/[\w-]+|(?<=/bot)\d+:[\w-]{30,}"),
    re.compile(r"(?<=://)(?:[^\s/?#\"'<>]+|[^\s/?#@:\"'<>]*:(?!\d{1,5}/)[^\s@\"'<>]*)(?=@)"),  # URL
    # Django's: sessions in a cache, links for a new password, signed values, hashes of passwords.
    re.compile(r"(?<=sessions\.cache)[a-z\d]{32}|(?<=sessions\.cached_db)[a-z\d]{32}"),
    re.compile(r"\b[a-z\d]{6}-[\da-f]{32}\b|(?<![\w.-])[\w.-]{4,}:[A-Za-z\d]{6}:[\w-]{43}(?![\w-])"),
    re.compile(r"\b(?:pbkdf2_sha|argon2|bcrypt|scrypt|md5)[\w]*\$[^\s\"']+"),
    # What PostgreSQL and SQLAlchemy tell of a statement that failed.
    re.compile(r"(?<=Failing row contains \().*(?=\))|(?<=\[parameters: ).*?(?=\](?:\n|\Z))", re.DOTALL),
    # The whole line: there are several cookies, and the credentials come after their scheme.
    re.compile(
        r"(?:(?<=authorization:)|(?<=authorization=)|(?<=cookie:)|(?<=cookie=))(?:=\"[^\r\n\"]*\"|[^\r\n\"'])+",
        re.IGNORECASE,
    ),
)
CARD = re.compile(r"(?<![\w.])[2-6](?:[ \xa0-]{0,2}\d){12,18}(?![\w-])")

# What stands in quotation marks, which may be escaped; the last of them is missing where a text was cut.
QUOTED = r"\"[^\"\\]*(?:\\.[^\"\\]*)*(?:\"|\\?\Z)|'[^'\\]*(?:\\.[^'\\]*)*(?:'|\\?\Z)"
ESCAPED = r"(?P<mark>\\+[\"'])(?:(?!(?P=mark)).)*(?:(?P=mark)|\Z)"
LITERAL = re.compile(rf"[bBrRuUfF]{{0,2}}(?:{QUOTED}|{ESCAPED})", re.DOTALL)
OPENING = re.compile(r"[\w.]*[\[({]")
NESTED = re.compile(rf"{QUOTED}|[\[({{}})\]]", re.DOTALL)
WORDS = re.compile(r"(?:[^\s&\"'<\\]|[\"'](?=[^\s,;:)\]}>])|<(?!/)|\\(?![\"']))+")
# A name and what tells that its value follows, in query strings, JSON, headers, calls, SQL, XML and arguments.
NAME = re.compile(
    r"""
    (?<![\w.-]) (?P<option>(?=--\w))? (?P<name>[\w.-]+) (?:\\*["'])? (?:[\])]|%5D)*
    (?:
        (?P<assigned> \s* (?:[=!:<]*[=:]>?|->|%3D) \s* | >(?=[^\s<]))
    |   (?(option) \s+ | (?P<told> \((?=b?["']) | \s+ (?:(?:is|was)\s+)? (?=["']|(?=\S*\d)\S*[A-Za-z])))
    )
    """,
    re.VERBOSE,
)
# A name and a value beside each other: pairs of headers, fields of a form, a key "name" and a key "value".
BESIDE = (
    re.compile(rf"[(\[]\s*b?[\"'](?P<name>[\w.-]+)[\"'],\s*(?P<value>b?(?:{QUOTED}))\s*[)\]]", re.DOTALL),
    re.compile(r"\bname=\"(?P<name>[^\"]*)\"[^\n]*\n(?:[^\n]+\n)*?\r?\n(?P<value>.*?)(?=\r?\n--|\Z)", re.DOTALL),
    re.compile(r"\b(?:name|key)\W{2,6}(?P<name>[\w.-]+)\W[^<>{}]{0,40}?\bvalue\W{2,6}(?P<value>[^\"'\\]+)"),
)
MIN_TOLD = 8  # characters of a value that only stands after a name
NUMBER = re.compile(r"\d+(?:\.\d+)?\W*")
# Placeholders of SQL, and what is no value.
PLAIN = re.compile(r"(?:%s|%\(\w+\)s|\?|\$\d+|None|null|True|False|true|false)[,;)\]}]*")
OPTION = re.compile(r"--[\w-]+")


@lru_cache(maxsize=4096)
def is_secret(name: str) -> bool:
    """Whether what has this name is a secret."""
    if name.endswith(("Error", "Exception")):
        return False
    name = unicodedata.normalize("NFKC", name)  # full-width letters are letters
    words = [word.lower() for word in WORD.findall(name)]
    return bool(SECRET_PARTS.search(name.lower())) or any(
        SECRET_WORD.fullmatch(word) and before not in PLAIN_KEYS
        for before, word in zip(["", *words], words, strict=False)
    )


@lru_cache(maxsize=4096)
def is_address(name: str) -> bool:
    """Whether what has this name is the address of a client."""
    return bool(ADDRESS.fullmatch(re.sub(r"\W", "_", name.lower())))


@lru_cache(maxsize=4096)
def _is_quantity(name: str) -> bool:
    *before, last = [word.lower() for word in WORD.findall(name)] or [""]
    return not QUANTITIES.isdisjoint({*before, last}) or (last == "id" and bool(before))


def known_secrets(settings: Mapping[str, Any]) -> set[str]:
    """The values of settings that are secrets by the ends of their names, also within dictionaries and lists."""
    found: set[str] = set()
    for name, value in settings.items():
        if isinstance(value, Mapping):
            found |= known_secrets({str(key): inner for key, inner in value.items()})
        elif isinstance(value, list | tuple):
            found |= set(chain.from_iterable(known_secrets(item) for item in value if isinstance(item, Mapping)))
        elif isinstance(value, str) and len(value) >= MIN_KNOWN and SECRET_SETTING.search(name):
            found.add(value)
    return found


class Scrubber:
    """Returns a copy of what it is given, without secrets; those that are ``known`` are found in any text.

    Addresses of clients are left in it with ``addresses``.
    """

    def __init__(self, known: Iterable[str] = (), *, addresses: bool = True) -> None:
        words = sorted(known, key=len, reverse=True)
        self.patterns = (re.compile("|".join(map(re.escape, words))), *PATTERNS) if words else PATTERNS
        self.addresses = addresses
        self.clean_short = lru_cache(maxsize=8192)(self.clean)  # names of functions, files, fields come again and again

    def __call__(self, value: Any) -> Any:
        return _Pass(self).walk(value)

    def is_hidden(self, name: str) -> bool:
        """Whether what has this name is not shown."""
        return is_secret(name) or (not self.addresses and is_address(name))

    def clean(self, text: str, code: bool = False) -> str:
        """A text of any length; in lines of ``code`` only a literal can be a secret."""
        for pattern in self.patterns:
            text = pattern.sub(FILTERED, text)
        text = CARD.sub(lambda found: FILTERED if _is_card(found[0]) else found[0], text)
        for pattern in BESIDE:
            text = pattern.sub(self._without_value, text)
        return self._without_values(text, code)

    def _without_value(self, found: re.Match[str]) -> str:
        return found[0].replace(found["value"], FILTERED) if self.is_hidden(found["name"]) else found[0]

    def _without_values(self, text: str, code: bool) -> str:
        """Filter what is assigned to a secret name."""
        parts, end = [], 0
        for found in NAME.finditer(text):
            if found.start() < end or not self.is_hidden(found["name"]):
                continue
            until = _end_of_value(text, found, code)
            if _is_value(found, text[found.end() : until]):
                parts += [text[end : found.end()], FILTERED]
                end = until
        return "".join([*parts, text[end:]])


def _is_value(name: re.Match[str], value: str) -> bool:
    """Not where that is a number of things, or where only a sentence may go on, as in ``unexpected token '<'``."""
    if name["told"] and len(value) < MIN_TOLD:
        return False
    return bool(value) and not PLAIN.fullmatch(value) and not (_is_quantity(name["name"]) and NUMBER.fullmatch(value))


def _end_of_value(text: str, name: re.Match[str], code: bool) -> int:
    """Where the value of a name ends that begins where the name does; there too, if it has none."""
    start = name.end()
    if name["told"] and (code or not SECRET_PARTS.search(name["name"].lower())):
        return start
    if literal := LITERAL.match(text, start):
        return literal.end()
    if code:
        return start
    if opening := OPENING.match(text, start):
        return _end_of_container(text, opening.end() - 1)
    words = WORDS.match(text, start)
    return start + len(words[0].rstrip(",;)]}")) if words else start


def _end_of_container(text: str, start: int) -> int:
    """Where the bracket is closed that is opened here, or the end of a text that was cut."""
    depth = 0
    for found in NESTED.finditer(text, start):
        depth += (found[0] in "[({") - (found[0] in "])}")
        if not depth:
            return found.end()
    return len(text)


class _Pass:
    """One way through one value."""

    def __init__(self, scrubber: Scrubber) -> None:
        self.scrubber = scrubber
        self.is_hidden = scrubber.is_hidden
        self.clean_short = scrubber.clean_short
        self.left = MAX_NODES

    def walk(self, value: Any, name: str = "", secret: bool = False, depth: int = 0) -> Any:
        """``name`` is that of the nearest key around the value, which is a secret where that is one."""
        self.left -= 1
        if self.left < 0 or depth > MAX_DEPTH:
            return FILTERED
        if type(value) is str and not secret and len(value) <= SHORT and name not in TRACE_IDS:  # as most are
            return self.clean_short(value, name in CODE)
        if isinstance(value, str | int | float | bytes | None):
            return self.leaf(value, name, secret)
        if isinstance(value, dict | Mapping):
            return self.mapping(value, name, secret, depth + 1)
        if isinstance(value, list | tuple | set | frozenset):
            return self.sequence(list(value), name, secret, depth + 1)
        return self.leaf(value, name, secret)

    def mapping(self, value: Mapping[Any, Any], name: str, secret: bool, depth: int) -> dict[Any, Any]:
        if value.keys() == ATTRIBUTE:
            return self.attribute(value, name, secret, depth)
        unnamed = name in UNNAMED and depth == 2  # in the event itself
        beside = value.get("key", value.get("name")) if "value" in value else None
        clean = {}
        for key, inner in value.items():
            named = beside if isinstance(beside, str) and key in NAMED_BESIDE else str(key)
            hidden = secret or (not (unnamed or (named is beside and key != "value")) and self.is_hidden(named))
            clean[self.text(key) if isinstance(key, str) else key] = self.walk(inner, named, hidden, depth)
        return clean

    def attribute(self, value: Mapping[Any, Any], name: str, secret: bool, depth: int) -> dict[Any, Any]:
        inner = self.walk(value["value"], name, secret, depth)
        kind = "string" if inner == FILTERED else value["type"]
        return {"value": inner, "type": self.walk(kind, depth=depth)}

    def sequence(self, value: list[Any], name: str, secret: bool, depth: int) -> list[Any]:
        """Two of which the first is a text may be a name and its value, as pairs of headers are; so are arguments."""
        if len(value) == 2 and isinstance(value[0], str) and self.is_hidden(value[0]):
            return [self.text(value[0]), self.walk(value[1], value[0], True, depth)]
        options = [isinstance(item, str) and bool(OPTION.fullmatch(item)) and self.is_hidden(item) for item in value]
        return [
            self.walk(inner, name, secret or after, depth)
            for inner, after in zip(value, [False, *options], strict=False)
        ]

    def leaf(self, value: Any, name: str, secret: bool) -> Any:
        if value is None or value == "" or isinstance(value, bool):
            return value
        if isinstance(value, int | float | Decimal):
            is_card = isinstance(value, int) and MIN_CARD <= value <= MAX_CARD and _is_card(str(value))
            return FILTERED if is_card or (secret and not _is_quantity(name)) else value
        if secret:
            return FILTERED
        if isinstance(value, date | UUID):
            return value
        text = value.decode(errors="replace") if isinstance(value, bytes) else str(value)
        if name in TRACE_IDS and text.isalnum():
            return text
        return self.text(text, name in CODE)

    def text(self, text: str, code: bool = False) -> str:
        if len(text) <= SHORT:
            return self.clean_short(text, code)
        if len(text) > MAX_TEXT:  # at the end of a word, so that no part of a secret is left that would not be known
            text = text[:MAX_TEXT].rpartition(" ")[0] + "…"
        return self.scrubber.clean(text, code)


def _is_card(text: str) -> bool:
    """Whether a number may be that of a card: by its first digit and length, and the sum of ISO/IEC 7812-1 (Luhn)."""
    if not CARD.fullmatch(text):
        return False
    digits = [int(digit) for digit in text if digit.isdecimal()][::-1]
    doubled = (sum(divmod(2 * digit, 10)) for digit in digits[1::2])
    return (sum(digits[::2]) + sum(doubled)) % 10 == 0
