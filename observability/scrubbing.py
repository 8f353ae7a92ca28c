"""Takes secrets out of data that leaves the process: by the names of keys, and by what values look like.

Works on what JSON can hold, and is bounded in depth and size; all else is seen as its text.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import date
from decimal import Decimal
from functools import lru_cache, partial
from itertools import chain
from typing import Any
from uuid import UUID

FILTERED = "[Filtered]"
MAX_DEPTH = 16  # containers within one another; what is deeper is filtered
MAX_NODES = 20_000  # values, and containers of them; what comes after is filtered
MAX_TEXT = 16_384  # characters of a text; what comes after is left out
SHORT = 120  # characters of a text that is remembered
MIN_CARD = 10**12  # the shortest number of a card has 13 digits
MIN_KNOWN = 12  # characters of a secret that is looked for by itself; a shorter one may be a word of any text

# In the name of a key they make it that of a secret, wherever they are.
SECRET_PARTS = re.compile(
    r"pass[-_]?w|pwd|passphrase|secret|token(?!i[sz])|authori[sz]ation|credential|cookie|dsn|session|csrf|xsrf|jwt"
)
# Only as words, or at the end of one: "keyboard", "monkey", "discard" and "author" name no secrets.
SECRET_WORD = re.compile(r"\w*(?<!mon)(?<!don)(?<!tur)(?<!hot)keys?|auth|otp|cv[cv]|(?:credit|debit)?cards?(?:number)?")
# Before "key" they tell of a database or a dictionary, or of what is public on purpose.
PLAIN_KEYS = {"primary", "foreign", "sort", "partition", "unique", "natural", "public", "idempotency"}
# In a name they tell of a number that is no secret, as in input_tokens and session_age.
QUANTITIES = {"tokens", "count", "total", "usage", "limit", "length", "size", "age", "time", "seconds", "ms"}
WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
SECRET_SETTING = re.compile(r"(KEY|TOKEN|SECRET|PASSWORD|DSN)$")

# Parts of an event whose keys are no names of what they hold: versions of packages, and notes about other parts.
UNNAMED = {"modules", "_meta"}
NAMED_BESIDE = {"key", "name", "value"}  # where all but the last say what the last is
CODE = {"context_line", "pre_context", "post_context"}  # lines of source, where only a literal can be a secret

PATTERNS = (
    re.compile(r"-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----.*?(?:-----END [A-Z0-9 ]*PRIVATE KEY-----|\Z)", re.DOTALL),
    re.compile(r"\beyJ[\w-]{4,}\.[\w-]{4,}(?:\.[\w-]*)*"),  # JWT
    re.compile(r"(?<=bearer )[^\s\"',;]{6,}", re.IGNORECASE),
    re.compile(r"(?<=[Bb]asic )(?=[A-Za-z+/]*[\dA-Z=])[A-Za-z\d+/]{8,}={0,2}"),
    re.compile(r"\b[rsp]k[-_](?=[\w-]*\d)[\w-]{10,}"),  # OpenAI, Anthropic, Stripe
    re.compile(r"\b(?:ntn|secret|vc[a-z]|vercel|gh[a-z]|github_pat|hf|npm|whsec|sntrys|sntryu)_[\w+/=.-]{10,}"),
    re.compile(r"\b(?:(?:glpat|pypi|xox[a-z])-[\w-]{10,}|SG\.[\w-]{16,}\.[\w-]{16,}|ya29\.[\w-]{10,})"),
    re.compile(r"\b(?:A[KS]IA[A-Z\d]{16}|AIza[\w-]{30,})"),
    re.compile(r"(?<=://)(?:[^\s/?#\"'<>]+|[^\s/?#@:\"'<>]*:(?!\d{1,5}/)[^\s@\"'<>]*)(?=@)"),  # URL
    re.compile(
        r"(?<=django\.contrib\.sessions\.cache)[a-z\d]{32}|(?<=django\.contrib\.sessions\.cached_db)[a-z\d]{32}"
    ),
    # The whole line: there are several cookies, and the credentials come after their scheme.
    re.compile(r"(?:(?<=authorization:)|(?<=authorization=)|(?<=cookie:)|(?<=cookie=))[^\r\n\"']+", re.IGNORECASE),
)
CARD = re.compile(r"(?<![\w.])[2-6](?:[ -]?\d){12,18}(?![\w-])")
NAME = re.compile(r"(?<![\w.-])([\w.-]+)\\?[\"']?\]?\s*(?:=>?|:)\s*")
LITERAL = re.compile(r"\"(?:[^\"\\]|\\.)*\"|'(?:[^'\\]|\\.)*'|\\\"[^\"\\]*\\\"")
VALUE = re.compile(rf"{LITERAL.pattern}|[^\s&\"'<>\\]+")
NUMBER = re.compile(r"\d+(?:\.\d+)?\W*")


@lru_cache(maxsize=4096)
def is_secret(name: str) -> bool:
    """Whether what has this name is a secret."""
    if name.endswith(("Error", "Exception")):
        return False
    words = [word.lower() for word in WORD.findall(name)]
    return bool(SECRET_PARTS.search(name.lower())) or any(
        SECRET_WORD.fullmatch(word) and before not in PLAIN_KEYS
        for before, word in zip(["", *words], words, strict=False)
    )


@lru_cache(maxsize=4096)
def _is_quantity(name: str) -> bool:
    return not QUANTITIES.isdisjoint(map(str.lower, WORD.findall(name)))


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
    """Returns a copy of what it is given, without secrets; those that are ``known`` are found in any text."""

    def __init__(self, known: Iterable[str] = ()) -> None:
        words = sorted(known, key=len, reverse=True)
        patterns = (re.compile("|".join(map(re.escape, words))), *PATTERNS) if words else PATTERNS
        self.clean = partial(_clean, patterns)
        self.clean_short = lru_cache(maxsize=8192)(self.clean)  # names of functions, files, fields come again and again

    def __call__(self, value: Any) -> Any:
        return _Pass(self).walk(value)


class _Pass:
    """One way through one value."""

    def __init__(self, scrubber: Scrubber) -> None:
        self.scrubber = scrubber
        self.left = MAX_NODES

    def walk(self, value: Any, name: str = "", secret: bool = False, depth: int = 0) -> Any:
        """``name`` is that of the nearest key around the value, which is a secret where that is one."""
        self.left -= 1
        if self.left < 0 or depth > MAX_DEPTH:
            return FILTERED
        if isinstance(value, str | int | float | bytes | None):
            return self.leaf(value, name, secret)
        if isinstance(value, dict | Mapping):
            return self.mapping(value, name, secret, depth + 1)
        if isinstance(value, list | tuple | set | frozenset):
            return self.sequence(list(value), name, secret, depth + 1)
        return self.leaf(value, name, secret)

    def mapping(self, value: Mapping[Any, Any], name: str, secret: bool, depth: int) -> dict[Any, Any]:
        unnamed = name in UNNAMED and depth == 2  # in the event itself
        beside = value.get("key", value.get("name")) if "value" in value else None
        clean = {}
        for key, inner in value.items():
            named = beside if isinstance(beside, str) and key in NAMED_BESIDE else str(key)
            hidden = secret or (not (unnamed or (named is beside and key != "value")) and is_secret(named))
            clean[self.text(key) if isinstance(key, str) else key] = self.walk(inner, named, hidden, depth)
        return clean

    def sequence(self, value: list[Any], name: str, secret: bool, depth: int) -> list[Any]:
        """Two of which the first is a text may be a name and its value, as pairs of headers are."""
        if len(value) == 2 and isinstance(value[0], str) and is_secret(value[0]):
            return [self.text(value[0]), self.walk(value[1], value[0], True, depth)]
        return [self.walk(inner, name, secret, depth) for inner in value]

    def leaf(self, value: Any, name: str, secret: bool) -> Any:
        if value is None or value == "" or isinstance(value, bool):
            return value
        if isinstance(value, int | float | Decimal):
            is_card = isinstance(value, int) and value >= MIN_CARD and _is_card(str(value))
            return FILTERED if is_card or (secret and not _is_quantity(name)) else value
        if secret:
            return FILTERED
        if isinstance(value, date | UUID):
            return value
        text = value.decode(errors="replace") if isinstance(value, bytes) else str(value)
        return self.text(text, LITERAL if name in CODE else VALUE)

    def text(self, text: str, value: re.Pattern[str] = VALUE) -> str:
        """``value`` is what may be assigned to a name."""
        if len(text) <= SHORT:
            return self.scrubber.clean_short(text, value)
        if len(text) > MAX_TEXT:  # at the end of a word, so that no part of a secret is left that would not be known
            text = text[:MAX_TEXT].rpartition(" ")[0] + "…"
        return self.scrubber.clean(text, value)


def _clean(patterns: Iterable[re.Pattern[str]], text: str, value: re.Pattern[str]) -> str:
    for pattern in patterns:
        text = pattern.sub(FILTERED, text)
    text = CARD.sub(lambda found: FILTERED if _is_card(found[0]) else found[0], text)
    return _without_values(text, value) if "=" in text or ":" in text else text


def _without_values(text: str, value: re.Pattern[str]) -> str:
    """In query strings, JSON, headers, calls and arguments of commands: filter what is assigned to a secret name."""
    parts, end = [], 0
    for found in NAME.finditer(text):
        if found.start() < end or not is_secret(found[1]) or not (assigned := value.match(text, found.end())):
            continue
        if not (_is_quantity(found[1]) and NUMBER.fullmatch(assigned[0])):
            parts += [text[end : found.end()], FILTERED]
            end = assigned.end()
    return "".join([*parts, text[end:]])


def _is_card(text: str) -> bool:
    """Whether a number may be that of a card: by its first digit and length, and the sum of ISO/IEC 7812-1 (Luhn)."""
    if not CARD.fullmatch(text):
        return False
    digits = [int(digit) for digit in text if digit.isdecimal()][::-1]
    doubled = (sum(divmod(2 * digit, 10)) for digit in digits[1::2])
    return (sum(digits[::2]) + sum(doubled)) % 10 == 0
