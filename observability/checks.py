"""System checks: settings that cannot work, endpoints that nobody or everybody can read."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from difflib import get_close_matches
from inspect import unwrap
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import prometheus_client
from django.conf import settings
from django.core import checks
from django.core.checks import CheckMessage, Error, Info
from django.urls import URLPattern, URLResolver, get_resolver
from django.utils.module_loading import import_string

from . import metrics, store
from .conf import EVENT_ID, FIELDS, TRACE_ID, Problem, get_conf, problems, token
from .sentry.sdk import is_on
from .sentry.setup import exception_class
from .spend import overrides

MIDDLEWARE = "observability.middleware.MetricsMiddleware"


def check_is_dictionary(app_configs: Any, **kwargs: Any) -> Iterator[CheckMessage]:
    """OBSERVABILITY is a dictionary."""
    value = getattr(settings, "OBSERVABILITY", {})
    if not isinstance(value, dict):
        yield Error(f"OBSERVABILITY must be a dictionary, not {type(value).__name__}.", id="observability.E001")


def check_keys_and_types(app_configs: Any, **kwargs: Any) -> Iterator[CheckMessage]:
    """Every key exists and has a value of its type."""
    for problem in problems():
        yield _wrong_type(problem) if problem.known else _unknown_key(problem)


def _unknown_key(problem: Problem) -> Error:
    close = get_close_matches(str(problem.key).upper(), FIELDS, n=1, cutoff=0.8)
    hint = f"Did you mean {close[0]!r}?" if close else f"The keys are {', '.join(FIELDS)}."
    return Error(f"OBSERVABILITY has no key {problem.key!r}.", hint=hint, id="observability.E002")


def _wrong_type(problem: Problem) -> Error:
    is_secret = "TOKEN" in problem.key or "DSN" in problem.key
    shown = f"the {type(problem.value).__name__} that it is" if is_secret else repr(problem.value)
    return Error(
        f"{problem.key} must be {problem.wanted}, not {shown}; the default is used instead.",
        hint=f"It is set in {problem.origin}.",
        id="observability.E003",
    )


def check_networks(app_configs: Any, **kwargs: Any) -> Iterator[CheckMessage]:
    """METRICS_NETWORKS holds networks."""
    for network in get_conf().METRICS_NETWORKS:
        try:
            ip_network(network)
        except ValueError as error:
            yield Error(
                f"OBSERVABILITY['METRICS_NETWORKS'] holds {network!r}, which is no network: {error}.",
                hint="Write it as '10.0.0.0/8' or '192.0.2.7'.",
                id="observability.E004",
            )


def check_token_file(app_configs: Any, **kwargs: Any) -> Iterator[CheckMessage]:
    """METRICS_TOKEN_FILE can be read and is not empty."""
    name = get_conf().METRICS_TOKEN_FILE
    if name and not token():
        yield Error(
            f"OBSERVABILITY['METRICS_TOKEN_FILE'] names {name!r}, which is missing, unreadable or empty.",
            id="observability.E005",
        )


def check_health_checks(app_configs: Any, **kwargs: Any) -> Iterator[CheckMessage]:
    """HEALTH_CHECKS can be imported."""
    for path in get_conf().HEALTH_CHECKS:
        try:
            import_string(path)
        except (ImportError, ValueError) as error:
            yield Error(
                f"OBSERVABILITY['HEALTH_CHECKS'] names {path!r}, which cannot be imported: {error}.",
                hint="Use 'observability.health.check_database' or the dotted path of a function of yours.",
                id="observability.E006",
            )


def check_cache_alias(app_configs: Any, **kwargs: Any) -> Iterator[CheckMessage]:
    """CACHE_ALIAS is one of CACHES."""
    alias = get_conf().CACHE_ALIAS
    if alias not in settings.CACHES:
        yield Error(
            f"OBSERVABILITY['CACHE_ALIAS'] is {alias!r}, but CACHES has only {', '.join(settings.CACHES)}.",
            id="observability.E007",
        )


def check_sentry_addresses(app_configs: Any, **kwargs: Any) -> Iterator[CheckMessage]:
    """SENTRY_EVENT_URL leads to an event, and SENTRY_TRACE_URL to a trace."""
    for key, place, example in (
        ("SENTRY_EVENT_URL", EVENT_ID, f"issues/?query={EVENT_ID}"),
        ("SENTRY_TRACE_URL", TRACE_ID, f"performance/trace/{TRACE_ID}/"),
    ):
        url = getattr(get_conf(), key)
        if url and not (url.startswith(("https://", "http://")) and place in url):
            yield Error(
                f"{key} is {url!r}, which is no address with {place} in it.",
                hint=f"Write it as 'https://sentry.example.com/organizations/acme/{example}'.",
                id="observability.E009",
            )


def check_sentry(app_configs: Any, **kwargs: Any) -> Iterator[CheckMessage]:
    """Errors are sent to Sentry where that is wanted."""
    if get_conf().SENTRY_DSN and not is_on():
        yield checks.Warning(
            "SENTRY_DSN is set, but nothing is sent to Sentry: sentry-sdk is missing, or this is no DSN.",
            hint="Install django-automation-observability[sentry], and write it as 'https://KEY@HOST/PROJECT'.",
            id="observability.W010",
        )


def check_ignored_exceptions(app_configs: Any, **kwargs: Any) -> Iterator[CheckMessage]:
    """SENTRY_IGNORED_EXCEPTIONS holds classes of exceptions."""
    for path in get_conf().SENTRY_IGNORED_EXCEPTIONS:
        if exception_class(path) is None:
            yield Error(
                f"OBSERVABILITY['SENTRY_IGNORED_EXCEPTIONS'] names {path!r}, which is no exception.",
                hint="Write the dotted path of a class, as 'django.core.exceptions.DisallowedHost'.",
                id="observability.E010",
            )


def check_ai_prices(app_configs: Any, **kwargs: Any) -> Iterator[CheckMessage]:
    """AI_PRICES holds prices."""
    for number, entry in enumerate(get_conf().AI_PRICES):
        try:
            overrides.parse(entry)
        except overrides.NotAPrice as error:
            yield Error(
                f"OBSERVABILITY['AI_PRICES'][{number}] is no price: {error}. It is ignored.",
                hint="Write it as {'model': 'llama-3.3-*', 'since': '2026-11-30', 'input': '0.20', 'output': '0.60'}.",
                id="observability.E011",
            )


def check_middleware_is_there_once(app_configs: Any, **kwargs: Any) -> Iterator[CheckMessage]:
    """No request is counted twice."""
    if (times := settings.MIDDLEWARE.count(MIDDLEWARE)) > 1:
        yield Error(
            f"MIDDLEWARE contains MetricsMiddleware {times} times: each request is counted {times} times.",
            hint="Keep the first one.",
            id="observability.E008",
        )


def check_middleware(app_configs: Any, **kwargs: Any) -> Iterator[CheckMessage]:
    """Requests are counted."""
    if get_conf().METRICS_ENABLED and MIDDLEWARE not in settings.MIDDLEWARE:
        yield checks.Warning(
            "MIDDLEWARE does not contain MetricsMiddleware: no request is counted.",
            hint=f"Put {MIDDLEWARE!r} first.",
            id="observability.W001",
        )


def check_middleware_order(app_configs: Any, **kwargs: Any) -> Iterator[CheckMessage]:
    """All requests are counted, with all of their time."""
    if get_conf().METRICS_ENABLED and MIDDLEWARE in settings.MIDDLEWARE and settings.MIDDLEWARE[0] != MIDDLEWARE:
        yield Info(
            f"MetricsMiddleware comes after {settings.MIDDLEWARE[0]}: what that answers by itself is not counted, nor "
            "the time that it takes.",
            hint=f"Put {MIDDLEWARE!r} first.",
            id="observability.I002",
        )


def check_urls(app_configs: Any, **kwargs: Any) -> Iterator[CheckMessage]:
    """The endpoints have addresses."""
    from . import views

    if not get_conf().METRICS_ENABLED or not getattr(settings, "ROOT_URLCONF", None):
        return
    if unwrap(views.metrics) not in map(unwrap, _views(get_resolver().url_patterns)):
        yield checks.Warning(
            "No address leads to the metrics: Prometheus cannot read them.",
            hint='Add path("api/", include("observability.urls")) to the URLconf.',
            id="observability.W007",
        )


def _views(patterns: Iterable[Any]) -> Iterator[Callable[..., Any]]:
    for pattern in patterns:
        if isinstance(pattern, URLResolver):
            yield from _views(pattern.url_patterns)
        elif isinstance(pattern, URLPattern):  # what is neither, Django's own check tells
            yield pattern.callback


def check_folder_is_absolute(app_configs: Any, **kwargs: Any) -> Iterator[CheckMessage]:
    """The store folder is the same for every process."""
    path = get_conf().PROMETHEUS_MULTIPROC_DIR
    if path and not Path(path).is_absolute():
        yield checks.Warning(
            f"The store folder {path!r} is relative: processes that start elsewhere have another one.",
            hint="Write the whole path, as BASE_DIR / 'metrics'.",
            id="observability.W008",
        )


def check_store(app_configs: Any, **kwargs: Any) -> Iterator[CheckMessage]:
    """All processes share one store."""
    conf = get_conf()
    folder = store.folder()
    if not conf.METRICS_ENABLED or (folder and store.writable(folder)):
        return
    if not conf.PROMETHEUS_MULTIPROC_DIR:
        yield Info(
            "Metrics live in the memory of one process: with several workers each scrape sees one of them.",
            hint="Set OBSERVABILITY['PROMETHEUS_MULTIPROC_DIR'] to a folder that all its processes can write to.",
            id="observability.I001",
        )
        return
    yield checks.Warning(
        f"The store folder {conf.PROMETHEUS_MULTIPROC_DIR!r} cannot be used: its metrics are not shared.",
        hint="It must be a folder that the user who runs the site, and this command, may write to.",
        id="observability.W002",
    )


def check_early_metrics(app_configs: Any, **kwargs: Any) -> Iterator[CheckMessage]:
    """No metric of the project records past the store."""
    for name in store.left_out():
        yield checks.Warning(
            f"The metric {name!r} was made before the shared store was there: each process counts it for itself.",
            hint="Put 'observability' first in INSTALLED_APPS, and make metrics in modules that are loaded after it.",
            id="observability.W009",
        )


def check_names(app_configs: Any, **kwargs: Any) -> Iterator[CheckMessage]:
    """The host project defines no metric of a name of ours."""
    theirs = prometheus_client.REGISTRY._names_to_collectors
    for metric in metrics.declared():
        if metric._name in theirs:
            yield checks.Warning(
                f"The project defines a metric named {metric._name!r}, as this app does; their samples are mixed.",
                hint="Rename the project's metric, or stop recording it.",
                id="observability.W003",
            )


def check_access(app_configs: Any, **kwargs: Any) -> Iterator[CheckMessage]:
    """Somebody can read the endpoints, and not everybody."""
    conf = get_conf()
    if not conf.METRICS_ENABLED or settings.DEBUG:
        return
    if conf.METRICS_PUBLIC or any(_is_everybody(network) for network in conf.METRICS_NETWORKS):
        yield checks.Warning(
            "/metrics is open to everybody.",
            hint="Remove OBSERVABILITY['METRICS_PUBLIC'] or the network of all addresses, and set METRICS_TOKEN.",
            id="observability.W004",
        )
    elif not (token() or conf.METRICS_NETWORKS):
        yield checks.Warning(
            "/metrics is closed: no token and no network is configured, so only permitted staff can read it.",
            hint="Set METRICS_TOKEN (or METRICS_TOKEN_FILE), or OBSERVABILITY['METRICS_NETWORKS'].",
            id="observability.W005",
        )


def _is_everybody(network: str) -> bool:
    try:
        return ip_network(network, strict=False).prefixlen == 0
    except ValueError:
        return False


def check_token_strength(app_configs: Any, **kwargs: Any) -> Iterator[CheckMessage]:
    """The token cannot be guessed."""
    if 0 < len(token()) < 16:
        yield checks.Warning(
            "METRICS_TOKEN is shorter than 16 characters.",
            hint='Make one with: python -c "import secrets; print(secrets.token_urlsafe(32))"',
            id="observability.W006",
        )


ALL = (
    check_is_dictionary,
    check_keys_and_types,
    check_networks,
    check_token_file,
    check_health_checks,
    check_cache_alias,
    check_sentry_addresses,
    check_sentry,
    check_ignored_exceptions,
    check_ai_prices,
    check_middleware_is_there_once,
    check_middleware,
    check_middleware_order,
    check_urls,
    check_folder_is_absolute,
    check_store,
    check_early_metrics,
    check_names,
    check_access,
    check_token_strength,
)
