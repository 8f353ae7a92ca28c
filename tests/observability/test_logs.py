"""A record is one line, whatever is in it, and never lost."""

import io
import json
import logging
import re
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from uuid import UUID

import pytest

from observability.correlation import bound
from observability.logs import formatter
from observability.logs.filters import CorrelationFilter

# All that makes a line, moves a cursor, turns the direction of writing, or has no encoding.
UNRULY = "".join(map(chr, [*range(32), *range(127, 160), 0x2028, 0x2029, 0x202E, 0x2066, 0xD800, 0xDFFF]))
FORGED = "\r\n2026-11-25 ERROR root: forged\x1b[2J\x85\u2028"


class Shy:
    def __str__(self):
        raise RuntimeError("not today")

    __repr__ = __str__


class Log(logging.Logger):
    """What it logged, as text."""

    def __init__(self, name="shop", **options):
        super().__init__(name)
        self.stream = io.StringIO()
        handler = logging.StreamHandler(self.stream)
        handler.setFormatter(formatter(**options))
        handler.addFilter(CorrelationFilter())
        self.addHandler(handler)

    @property
    def text(self):
        return self.stream.getvalue()

    @property
    def line(self):
        """The one line, as the object that it is."""
        assert self.text.endswith("\n")
        assert len(self.text.splitlines()) == 1
        assert self.text.isascii()
        return json.loads(self.text)


@pytest.fixture
def log():
    return Log()


@pytest.fixture
def readable():
    return Log(debug=True)


def raised(message, kind=ValueError):
    try:
        raise kind(message)
    except Exception as error:
        return error


def test_a_line_says_when_how_grave_who_and_what(log):
    before = datetime.now(UTC)
    log.warning("%s of %s", 2, "ü")
    line = log.line

    at = datetime.fromisoformat(line.pop("timestamp"))
    assert (at - before).total_seconds() < 1
    assert json.loads(log.text)["timestamp"] == f"{at:%Y-%m-%dT%H:%M:%S}.{at.microsecond // 1000:03}Z"
    ids = dict.fromkeys(["request_id", "trace_id", "job_id", "step"])
    assert line == {"level": "WARNING", "logger": "shop", "message": "2 of ü", **ids}


def test_a_line_has_the_ids_that_hold_also_those_that_the_host_named(log):
    with bound(request_id="b3f1", job_id=UUID(int=1), step="fetch", order=7):
        log.info("Fetched.")
    wanted = {"request_id": "b3f1", "trace_id": None, "job_id": str(UUID(int=1)), "step": "fetch", "order": "7"}
    assert wanted.items() <= log.line.items()


def test_what_the_record_says_itself_goes_before_the_ids_that_hold(log):
    with bound(job_id=1):
        log.info("Another job ended.", extra={"job_id": 2})
    assert log.line["job_id"] == "2"


def test_what_is_told_of_a_request_after_it_has_its_id(log):
    log.error("Server error: /", extra={"request": SimpleNamespace(request_id="b3f1"), "status_code": 500})
    assert (log.line["request_id"], log.line["status_code"]) == ("b3f1", 500)
    assert "request" not in log.line


@pytest.mark.parametrize("place", ["message", "name", "extra", "name of an extra", "exception", "stack"])
def test_no_place_makes_a_second_line_or_reaches_the_terminal(place):
    log, text = Log(UNRULY if place == "name" else "shop"), UNRULY if place != "exception" else FORGED
    if place == "message":
        log.info("%s", text)
    elif place == "exception":
        log.error("Failed.", exc_info=raised(text))
    elif place == "stack":
        log.handle(
            logging.makeLogRecord(
                {"name": "shop", "levelno": 20, "levelname": "INFO", "msg": "Here.", "stack_info": text}
            )
        )
    else:
        log.info("Seen.", extra={text if place == "name of an extra" else "path": text})
    assert log.line["level"]
    assert log.text.rstrip("\n").isprintable()


@pytest.mark.parametrize("debug", [False, True])
def test_halves_of_surrogate_pairs_are_written_out(debug):
    log = Log(debug=debug)
    log.info("a\ud800b")
    assert "a\\ud800b" in (log.text if debug else log.line["message"])
    log.text.encode()


def test_values_are_json_where_json_has_them_and_text_elsewhere(log):
    at = datetime(2026, 11, 25, tzinfo=UTC)
    plain = {"a": [1, 2.5, True, None, "x"], "b": {"c": {}}}
    told = {"at": at, "cost": Decimal("0.10"), "path": Path("/a"), "raw": b"\xff", "nan": float("nan"), "big": 2**70}
    log.info("Told.", extra={**plain, **told, "pair": (1, 2), "keys": {UUID(int=1): Shy()}})
    assert plain.items() <= log.line.items()
    texts = {name: log.line[name] for name in told}
    assert texts == {
        "at": "2026-11-25T00:00:00+00:00",
        "cost": "0.10",
        "path": "/a",
        "raw": "b'\\xff'",
        "nan": "nan",
        "big": str(2**70),
    }
    assert log.line["pair"] == [1, 2]
    assert log.line["keys"] == {str(UUID(int=1)): "<Shy that cannot be shown>"}


class Liar(dict):
    def items(self):
        raise RuntimeError("not today")


def test_a_value_that_does_not_do_what_its_class_promises_is_named(log):
    log.info("Seen.", extra={"value": Liar(), "after": "here"})
    assert (log.line["value"], log.line["after"]) == ("<Liar that cannot be shown>", "here")


def deep():
    inner = outer = []
    for _ in range(5000):
        inner.append([])
        inner = inner[0]
    return outer


def circle():
    itself = {}
    itself["itself"] = itself
    return itself


HUGE = {
    "text": "x" * 10**7,
    "list": list(range(10**6)),
    "wide": [[[list(range(100))] * 100] * 100] * 100,
    "dict": {str(n): "x" * 100 for n in range(10**5)},
    "keys": {"x" * 10**6: 1},
    "number": 10**5000,
    "deep": deep(),
    "circle": circle(),
}


@pytest.mark.parametrize("name", HUGE)
def test_a_value_of_any_depth_or_size_takes_no_more_than_its_room(log, name):
    log.info("Seen.", extra={"value": HUGE[name], "after": "here"})
    assert log.line["message"] == "Seen."
    assert log.line["after"] == "here"
    assert len(log.text) < 40_000


def test_a_dictionary_of_any_size_for_a_message_takes_no_more_than_its_room(log):
    log.info(HUGE["dict"])
    assert (log.line["message"], log.line["99"]) == ("", "x" * 100)
    assert len(log.text) < 40_000


def test_of_a_long_list_the_first_hundred_are_told_and_how_many_there_are(log):
    log.info("Seen.", extra={"list": list(range(1000)), "dict": dict.fromkeys(range(1000))})
    assert log.line["list"] == [*range(100), "… 900 left out"]
    assert log.line["dict"].keys() == {*map(str, range(100)), "… 900 left out"}


@pytest.mark.parametrize("debug", [False, True])
def test_a_long_message_and_a_long_exception_keep_their_beginning_and_their_end(debug):
    log = Log(debug=debug)
    log.error("first %s last", "x" * 10**6, exc_info=raised("y" * 10**6 + " the reason"))
    for kept in ("first xxx", "xxx last", "Traceback (most recent call last)", "the reason", "characters left out"):
        assert kept in log.text
    assert len(log.text) < 40_000


@pytest.mark.parametrize("debug", [False, True])
@pytest.mark.parametrize("told", [("%d apples", "x"), ("%s", Shy()), ("%s %s", 1), (Shy(),)])
def test_a_record_whose_arguments_do_not_fit_is_told_all_the_same(debug, told, capsys):
    log = Log(debug=debug)
    log.info(*told)
    assert len(log.text.splitlines()) == 1
    assert str(told[0]) in log.text if isinstance(told[0], str) else "Shy that cannot be shown" in log.text
    assert capsys.readouterr().err == ""  # where logging tells of what it could not format


def test_an_exception_that_cannot_be_shown_does_not_take_the_record_with_it(log):
    class Odd(Exception):
        @property
        def __notes__(self):
            raise SystemError("odd")

    log.error("Failed.", exc_info=raised("x", Odd))
    assert log.line["message"] == "Failed."
    assert "Odd" in log.line["exception"]


def test_a_dictionary_for_a_message_becomes_fields_that_take_no_place_of_our_own(log):
    log.info({"event": "paid", "level": "CRITICAL", "logger": "root", "timestamp": 0})
    assert {"event": "paid", "level": "INFO", "logger": "shop"}.items() <= log.line.items()
    assert log.line["timestamp"] != 0


def test_while_debugging_a_line_is_for_people(readable):
    with bound(job_id=7, step="fetch"):
        readable.warning("%s failed", "It", exc_info=raised("for a reason"))
    first, *below = readable.text.splitlines()
    assert re.fullmatch(r"\d\d:\d\d:\d\d\.\d{3} WARNING shop: It failed job_id=7 step=fetch", first)
    assert below[0] == "    Traceback (most recent call last):"
    assert below[-1] == "    ValueError: for a reason"


def test_while_debugging_a_line_shows_what_a_record_carries_after_the_ids(readable):
    with bound(job_id=7, supplier="acme"):
        readable.info("Paid.", extra={"order": 0, "by": None, "lines": ["a\nb"], "odd": Shy()})
    told = readable.text.partition("Paid.")[2]
    assert told == " job_id=7 order=0 lines=['a\\nb'] odd=<Shy that cannot be shown> supplier=acme\n"


def test_while_debugging_django_says_once_what_its_messages_say():
    log = Log("django.db.backends", debug=True)
    log.info("(0.1) SELECT 1", extra={"sql": "SELECT 1", "duration": 0.1, "request_id": "r1"})
    assert log.text.endswith(": (0.1) SELECT 1 request_id=r1\n")


def test_the_message_that_uvicorn_has_for_a_terminal_is_left_out(log):
    log.info("Started.", extra={"color_message": "\x1b[36mStarted.\x1b[0m"})
    assert "color_message" not in log.line


def test_while_debugging_nothing_looks_like_a_line_of_its_own_or_reaches_the_terminal():
    log = Log(UNRULY, debug=True)
    log.info("%s", UNRULY, exc_info=raised(FORGED))
    first, *below = log.text.split("\n")[:-1]
    assert all(line.startswith("    ") for line in below)
    assert all(line.isprintable() for line in (first, *below))


def test_the_ready_configuration_takes_the_loggers_of_the_host(own_process):
    code = """
import logging, logging.config
from observability.logs import logging_config
logging.config.dictConfig(logging_config(level="warning", loggers={"shop": {"level": "DEBUG"}}))
chosen = [logging.getLogger(name).getEffectiveLevel() for name in ("", "shop", "other")]
print(json.dumps(chosen))
"""
    assert own_process(code) == [30, 10, 30]


@pytest.mark.parametrize("debug", [False, True])
def test_a_secret_of_the_settings_or_of_the_environment_is_in_no_line(own_process, debug):
    code = f"""
import io, logging
from observability.logs import formatter
stream = io.StringIO()
handler = logging.StreamHandler(stream)
handler.setFormatter(formatter(debug={debug}))
log = logging.getLogger("shop")
log.addHandler(handler)
secret = os.environ["SHOP_API_KEY"]
log.error("Sent %s to %s.", secret, "useful", exc_info=ValueError(secret), extra={{"given": [secret, "useful"]}})
print(json.dumps(stream.getvalue()))
"""
    told = own_process("import os\n" + code, SHOP_API_KEY='no "looks" at all')
    assert "looks" not in told
    assert "Sent [Filtered] to useful." in told
    assert debug or json.loads(told)["given"] == ["[Filtered]", "useful"]
