"""The secrets that this process has been given, which are found in any text."""

from __future__ import annotations

import json
import os
import re
from contextlib import suppress
from functools import cache

from django.conf import settings

from .conf import get_conf
from .scrubbing import FILTERED, known_secrets


@cache
def secrets() -> frozenset[str]:
    """The values of settings and of environment variables that are secrets by their names."""
    named = {name: getattr(settings, name, None) for name in dir(settings) if name.isupper()}
    return frozenset(known_secrets(named) | known_secrets(vars(get_conf())) | known_secrets(os.environ))


def hide(text: str) -> str:
    """The text without them, also as JSON writes them; before the settings are read, as it is."""
    with suppress(Exception):  # whoever logs must not hear of settings that are wrong
        if settings.configured and (pattern := _pattern()):
            return pattern.sub(FILTERED, text)
    return text


@cache
def _pattern() -> re.Pattern[str] | None:
    words = sorted(secrets() | {json.dumps(word)[1:-1] for word in secrets()}, key=len, reverse=True)
    return re.compile("|".join(map(re.escape, words))) if words else None
