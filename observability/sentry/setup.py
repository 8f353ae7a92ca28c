"""Starts the SDK with the settings of the app."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from django.conf import settings
from django.utils.module_loading import import_string

from observability.conf import Conf, get_conf
from observability.logs import warn

from . import hooks, shutdown
from .sdk import active

# By the package that each is for. Those that the SDK enables by itself would import all that is installed, among them
# the clients of AI models, which takes seconds.
INTEGRATIONS = {
    "django": "django.DjangoIntegration",
    "redis": "redis.RedisIntegration",
    "sqlalchemy": "sqlalchemy.SqlalchemyIntegration",
    "httpx": "httpx.HttpxIntegration",
    "httpx2": "httpx2.Httpx2Integration",
    "celery": "celery.CeleryIntegration",
    "rq": "rq.RqIntegration",
}


def init_sentry() -> bool:
    """Start the SDK if there is a DSN, and return whether errors are sent; ``AppConfig.ready()`` calls this.

    A client that the host has made before stays as it is, and its events get the ids that hold as tags. A DSN that
    cannot be used is one warning. Within settings.py this does nothing yet.
    """
    if not settings.configured:
        return False
    if active() is None:
        _start(get_conf())
    if active() is None:
        return False
    _add_tags()
    return True


def _start(conf: Conf) -> None:
    if not conf.SENTRY_DSN.strip():
        return
    try:
        import sentry_sdk

        sentry_sdk.init(**options(conf))
        hurry()
    except ImportError:
        warn("sentry", "SENTRY_DSN is set, but the extra is not installed: django-automation-observability[sentry].")
    except Exception as error:
        warn("sentry", "SENTRY_DSN is set, but Sentry is off: %s: %r", type(error).__name__, hooks.clean(str(error)))
    else:
        shutdown.flush_at_sigterm()


def options(conf: Conf) -> dict[str, Any]:
    """What ``sentry_sdk.init`` is called with."""
    from sentry_sdk.scrubber import EventScrubber

    from .transport import CleanTransport

    return {
        "dsn": conf.SENTRY_DSN.strip(),
        "release": conf.APP_VERSION or None,
        "environment": conf.ENVIRONMENT or None,
        "sample_rate": conf.SENTRY_SAMPLE_RATE,
        "traces_sample_rate": conf.SENTRY_TRACES_SAMPLE_RATE,
        "ignore_errors": [KeyboardInterrupt, *ignored(conf)],  # the former is no error of a command
        "integrations": list(_integrations()),
        "auto_enabling_integrations": False,
        "max_breadcrumbs": 50,  # half of what the SDK keeps, and of the time that an error takes
        "include_local_variables": conf.SENTRY_LOCAL_VARIABLES,
        "trace_propagation_targets": list(conf.SENTRY_TRACE_TARGETS),
        "enable_logs": conf.SENTRY_LOGS,
        "transport": CleanTransport,
        "spotlight": False,  # it would not go through the transport
        "event_scrubber": EventScrubber(denylist=[], send_default_pii=True),  # finds nothing; ours looks everywhere
        "before_send": hooks.before_transport,
        "before_send_transaction": hooks.before_transport,
        "before_breadcrumb": hooks.before_breadcrumb,
        "before_send_log": hooks.before_send_log,
        "before_send_metric": hooks.before_send_log,
        "shutdown_timeout": shutdown.FLUSH_SECONDS,
    }


def ignored(conf: Conf) -> Iterator[type[BaseException]]:
    """The classes of SENTRY_IGNORED_EXCEPTIONS; a check reports a path that is none."""
    for path in conf.SENTRY_IGNORED_EXCEPTIONS:
        if kind := exception_class(path):
            yield kind


def exception_class(path: str) -> type[BaseException] | None:
    """The exception of a dotted path, or of a name of Python's own; None where there is none."""
    try:
        found = import_string(path if "." in path else f"builtins.{path}")
    except (ImportError, ValueError):
        return None
    return found if isinstance(found, type) and issubclass(found, BaseException) else None


def _integrations() -> Iterator[Any]:
    from sentry_sdk.integrations import DidNotEnable

    for package, path in INTEGRATIONS.items():
        if find_spec(package):
            module, _, name = path.partition(".")
            try:
                yield getattr(import_module(f"sentry_sdk.integrations.{module}"), name)()
            except DidNotEnable:  # it is too old, or another package of that name
                continue


@cache
def hurry() -> None:
    """Spare the caller the SDK's work on what needs none, and the log what urllib3 says of each attempt to send."""
    from sentry_sdk.scope import add_global_event_processor

    from . import plain, transport

    add_global_event_processor(plain.hasten)
    logging.getLogger("urllib3.connectionpool").addFilter(transport.is_of_others)


@cache
def _add_tags() -> None:
    from sentry_sdk.scope import add_global_event_processor

    add_global_event_processor(hooks.add_ids)
