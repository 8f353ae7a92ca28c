"""The ``OBSERVABILITY`` dictionary and its environment variables, as one frozen object."""

from __future__ import annotations

import os
import typing
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from functools import lru_cache
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.signals import setting_changed


class Rate(float):
    """A share of all, from 0 to 1."""


@dataclass(frozen=True)
class Conf:
    """Every setting of the app. A field with ``env`` takes its default from that environment variable."""

    METRICS_ENABLED: bool = field(default=True, metadata={"env": True})
    METRICS_TOKEN: str = field(default="", metadata={"env": True}, repr=False)
    METRICS_TOKEN_FILE: str = field(default="", metadata={"env": True})
    METRICS_PUBLIC: bool = False
    METRICS_NETWORKS: tuple[str, ...] = ()
    TRUSTED_PROXIES: int = 0
    PROMETHEUS_MULTIPROC_DIR: str = field(default="", metadata={"env": True})
    PROMETHEUS_PORT: int = field(default=9090, metadata={"env": True})
    PROMETHEUS_URL: str = field(default="", metadata={"env": True})
    ENVIRONMENT: str = field(default="", metadata={"env": True})
    APP_VERSION: str = field(default="", metadata={"env": True})
    MAX_SERIES: int = 1000
    ACTIVE_USERS_SECONDS: int = 300
    AI_PRICES: tuple[Mapping[str, Any], ...] = ()
    CACHE_ALIAS: str = "default"
    SOURCE_TIMEOUT: float = 0.5
    HEALTH_TIMEOUT: float = 2.0
    SENTRY_DSN: str = field(default="", metadata={"env": True}, repr=False)
    SENTRY_SAMPLE_RATE: Rate = field(default=Rate(1.0))
    SENTRY_TRACES_SAMPLE_RATE: Rate = field(default=Rate(0.1), metadata={"env": True})
    SENTRY_IGNORED_EXCEPTIONS: tuple[str, ...] = ()
    SENTRY_USER_EMAIL: bool = False
    SENTRY_USER_IP: bool = False
    SENTRY_LOCAL_VARIABLES: bool = False
    SENTRY_LOGS: bool = False
    SENTRY_TRACE_TARGETS: tuple[str, ...] = ()
    SENTRY_EVENT_URL: str = field(default="", metadata={"env": True})
    SENTRY_TRACE_URL: str = field(default="", metadata={"env": True})
    HEALTH_CHECKS: tuple[str, ...] = ("observability.health.check_database",)


@dataclass(frozen=True)
class Problem:
    """One thing wrong with the settings; ``checks`` turns it into a message."""

    key: str
    value: object
    wanted: str | None  # None: there is no such key
    origin: str = "OBSERVABILITY"

    @property
    def known(self) -> bool:
        return self.wanted is not None


FIELDS = {item.name: item for item in fields(Conf)}
TYPES: Mapping[str, Any] = typing.get_type_hints(Conf)
WANTED = {
    bool: "True or False",
    int: "a whole number of 0 or more",
    float: "a number of seconds above 0",
    Rate: "a number from 0 to 1",
    str: "a string",
    tuple[str, ...]: "a list of strings",
    tuple[Mapping[str, Any], ...]: "a list of dictionaries",
}
EVENT_ID, TRACE_ID = "{event_id}", "{trace_id}"  # their places in SENTRY_EVENT_URL and SENTRY_TRACE_URL
TRUE, FALSE = {"1", "true", "yes", "on"}, {"0", "false", "no", "off"}


def _convert_str(value: object) -> str:
    if isinstance(value, str | Path) and "\0" not in str(value):
        return str(value)
    raise ValueError


def _convert_bool(value: object) -> bool:
    if isinstance(value, bool):
        return value
    raise ValueError


def _convert_int(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise ValueError
    return value


def _convert_float(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 3600:
        raise ValueError
    return float(value)


def _convert_rate(value: object) -> Rate:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise ValueError
    return Rate(value)


def _convert_strings(value: object) -> tuple[str, ...]:
    if isinstance(value, list | tuple | set) and all(isinstance(item, str) for item in value):
        return tuple(value)
    raise ValueError


def _convert_mappings(value: object) -> tuple[Mapping[str, Any], ...]:
    if isinstance(value, list | tuple) and all(isinstance(item, Mapping) for item in value):
        return tuple(value)
    raise ValueError


def _parse_bool(word: str) -> bool:
    if word.strip().lower() in TRUE | FALSE:
        return word.strip().lower() in TRUE
    raise ValueError


# What a variable of the environment says.
PARSE: Mapping[Any, Callable[[str], object]] = {bool: _parse_bool, int: int, Rate: float}
CONVERT = {
    bool: _convert_bool,
    int: _convert_int,
    float: _convert_float,
    Rate: _convert_rate,
    str: _convert_str,
    tuple[str, ...]: _convert_strings,
    tuple[Mapping[str, Any], ...]: _convert_mappings,
}


def _in_environment() -> dict[str, str]:
    named = [name for name, item in FIELDS.items() if item.metadata.get("env")]
    return {name: os.environ[name] for name in named if os.environ.get(name, "").strip()}


def _in_dictionary() -> dict[str, object]:
    """None is what ``os.environ.get()`` says of a variable that is not set."""
    user = getattr(settings, "OBSERVABILITY", {})
    return {key: value for key, value in user.items() if value is not None} if isinstance(user, Mapping) else {}


def _walk() -> Iterator[tuple[str, object] | Problem]:
    """What was set by hand: environment variables, then the dictionary, which wins."""
    dictionary = _in_dictionary()
    for key, value in (_in_environment() | dictionary).items():
        if key not in FIELDS:
            yield Problem(key, value, None)
            continue
        kind = TYPES[key]
        try:
            meant = value if key in dictionary else PARSE.get(kind, str)(str(value))
            yield key, CONVERT[kind](meant)
        except ValueError:
            yield Problem(key, value, WANTED[kind], "OBSERVABILITY" if key in dictionary else "the environment")


def problems() -> list[Problem]:
    """What is wrong with the settings as they are now."""
    return [item for item in _walk() if isinstance(item, Problem)]


@lru_cache(maxsize=1)
def get_conf() -> Conf:
    """The settings as they are now; a value of a wrong type is left at its default, and ``checks`` reports it."""
    values = dict(item for item in _walk() if not isinstance(item, Problem))
    return Conf(**typing.cast(dict[str, Any], values))


def token() -> bytes:
    """The bearer token that opens the endpoints, ``b""`` when none is configured; read anew, so that it can rotate."""
    conf = get_conf()
    if conf.METRICS_TOKEN_FILE and not conf.METRICS_TOKEN:
        try:
            return Path(conf.METRICS_TOKEN_FILE).read_bytes().strip()
        except OSError:
            return b""
    return conf.METRICS_TOKEN.strip().encode("utf-8", "surrogateescape")


def prometheus_url() -> str:
    """Where the Prometheus server answers."""
    conf = get_conf()
    return conf.PROMETHEUS_URL.rstrip("/") or f"http://localhost:{conf.PROMETHEUS_PORT}"


def sentry_event_url(event_id: str) -> str:
    """Where a person finds the event in Sentry, ``""`` when SENTRY_EVENT_URL is not set."""
    return get_conf().SENTRY_EVENT_URL.replace(EVENT_ID, event_id) if event_id else ""


def sentry_trace_url(trace_id: str) -> str:
    """Where a person finds the trace in Sentry, ``""`` when SENTRY_TRACE_URL is not set."""
    return get_conf().SENTRY_TRACE_URL.replace(TRACE_ID, trace_id) if trace_id else ""


def _forget(*, setting: str, **kwargs: object) -> None:
    if setting == "OBSERVABILITY":
        get_conf.cache_clear()


setting_changed.connect(_forget, dispatch_uid="observability.conf._forget")
