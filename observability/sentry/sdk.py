"""Whether the SDK is in use: asked of what is imported already, since it takes long to import."""

from __future__ import annotations

from contextlib import suppress
from sys import modules
from typing import Any

from observability.correlation import SENTRY
from observability.logs import warn


def active() -> Any:
    """The module ``sentry_sdk`` where it has a client that sends, whoever made that; else None."""
    if (sdk := modules.get(SENTRY)) is None:
        return None
    with suppress(Exception):  # being imported in this moment, or very old
        if sdk.get_client().is_active():
            return sdk
    return None


def is_on() -> bool:
    """Whether errors are sent to Sentry."""
    return active() is not None


class Harmless:
    """What fails within the block is logged once a minute, and never reaches the host."""

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> bool:
        if not isinstance(error, Exception):
            return False
        with suppress(Exception):  # by its class: its text may quote what is not for the log
            warn(f"sentry {type(error).__name__}", "Something for Sentry is lost: %s", type(error).__name__)
        return True


harmless = Harmless()
