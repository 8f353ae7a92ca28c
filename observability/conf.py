"""The ``OBSERVABILITY`` dictionary and its environment variables, as one frozen object."""

from __future__ import annotations

import os
import typing
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from functools import lru_cache
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.signals import setting_changed


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
    CACHE_ALIAS: str = "default"
    SOURCE_TIMEOUT: float = 0.5
    HEALTH_TIMEOUT: float = 2.0
    HEALTH_CHECKS: tuple[str, ...] = ("observability.health.check_database",)


@dataclass(frozen=True)
class Problem:
    """One thing wrong with the settings; ``checks`` turns it into a message."""

    key: str
    value: object
    wanted: str | None  # None: there is no such key

    @property
    def known(self) -> bool:
        return self.wanted is not None


FIELDS = {item.name: item for item in fields(Conf)}
TYPES: Mapping[str, Any] = typing.get_type_hints(Conf)
WANTED = {
    bool: "True or False",
    int: "a whole number of 0 or more",
    float: "a number of seconds above 0",
    str: "a string",
    tuple[str, ...]: "a list of strings",
}
TRUE, FALSE = {"1", "true", "yes", "on"}, {"0", "false", "no", "off"}


def _convert_str(value: object) -> str:
    if isinstance(value, str | Path) and "\0" not in str(value):
        return str(value)
    raise ValueError


def _convert_bool(value: object) -> bool:
    word = str(value).strip().lower()
    if isinstance(value, bool | str) and word in TRUE | FALSE:
        return word in TRUE
    raise ValueError


def _convert_int(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int | str) or int(value) < 0:
        raise ValueError
    return int(value)


def _convert_float(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float | str) or not 0 < float(value) < 3600:
        raise ValueError
    return float(value)


def _convert_strings(value: object) -> tuple[str, ...]:
    if isinstance(value, list | tuple | set) and all(isinstance(item, str) for item in value):
        return tuple(value)
    raise ValueError


CONVERT = {
    bool: _convert_bool,
    int: _convert_int,
    float: _convert_float,
    str: _convert_str,
    tuple[str, ...]: _convert_strings,
}


def _given() -> dict[str, object]:
    """What was set by hand: environment variables, then the dictionary, which wins."""
    given: dict[str, object] = {
        name: os.environ[name]
        for name, item in FIELDS.items()
        if item.metadata.get("env") and os.environ.get(name, "").strip()
    }
    user = getattr(settings, "OBSERVABILITY", {})
    return given | (dict(user) if isinstance(user, Mapping) else {})


def _walk() -> Iterator[tuple[str, object] | Problem]:
    for key, value in _given().items():
        if key not in FIELDS:
            yield Problem(key, value, None)
            continue
        try:
            yield key, CONVERT[TYPES[key]](value)
        except ValueError:
            yield Problem(key, value, WANTED[TYPES[key]])


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


def _forget(*, setting: str, **kwargs: object) -> None:
    if setting == "OBSERVABILITY":
        get_conf.cache_clear()


setting_changed.connect(_forget, dispatch_uid="observability.conf._forget")
