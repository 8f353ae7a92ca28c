"""What the app connects."""

from __future__ import annotations

from typing import Any

from django.apps import AppConfig
from django.core import checks as django_checks


class ObservabilityConfig(AppConfig):
    """``ready()`` touches neither the database nor the cache: the site starts without them."""

    name = "observability"
    verbose_name = "Observability"
    default_auto_field = "django.db.models.BigAutoField"

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        from . import store

        store.install()  # as early as Django lets an app run code: metrics of apps listed later land in the store

    def ready(self) -> None:
        from django.db import DEFAULT_DB_ALIAS, connections
        from django.db.models.signals import post_delete, post_save

        from . import activity, checks, metrics, receivers, sentry, signals, sources
        from .models import ModelPrice
        from .probes import NO_DATABASE

        sentry.init_sentry()
        for check in checks.ALL:
            django_checks.register(check, "observability")

        _connect(signals.job_started, receivers.record_job_started)
        _connect(signals.job_finished, receivers.record_job_finished)
        _connect(signals.step_finished, receivers.record_step_finished)
        _connect(signals.ai_request_finished, receivers.record_ai_request_finished)
        for signal in (post_save, post_delete):
            _connect(signal, receivers.forget_prices, sender=ModelPrice)

        vendor = connections[DEFAULT_DB_ALIAS].vendor
        if activity.uses_redis() or vendor != NO_DATABASE:
            activity.backend()
            sources.register(activity.service(), metrics.active_users, activity.count)
        if vendor in sources.COUNT_CONNECTIONS:
            sources.register(sources.DATABASE, metrics.database_connections, sources.read_database_connections)


def _connect(signal: Any, receiver: Any, **options: Any) -> None:
    signal.connect(receiver, **options, dispatch_uid=f"{receiver.__module__}.{receiver.__qualname__}")
