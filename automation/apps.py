"""What is connected when Django starts; nothing here touches the database."""

from importlib import import_module
from operator import attrgetter

from django.apps import AppConfig
from django.core import checks as django_checks
from django.db.models.signals import post_save, pre_delete


class AutomationConfig(AppConfig):
    name = "automation"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from automation import budgets, checks, conf, receivers
        from automation.clients import Notion
        from automation.models import AIRequest, Job, Step
        from observability import sources
        from observability.metrics import expect_labels
        from observability.tracking import track_ai_requests, track_jobs, track_steps

        track_jobs(
            Job, created="waiting_since", duration="duration", heartbeat="heartbeat_at", cost=attrgetter("final_cost")
        )
        track_steps(Step)
        track_ai_requests(
            AIRequest,
            cached_input_tokens="cached_input_tokens",
            cache_write_tokens="cache_write_tokens",
            reasoning_tokens="reasoning_tokens",
            time_to_first_token="time_to_first_token",  # noqa: S106  # a field
        )
        expect_labels(operation=Notion.operations)
        for gauge, read in budgets.GAUGES.items():
            sources.register(sources.DATABASE, gauge, read, combine=max)
        for check in checks.ALL:
            django_checks.register(check, "automation")
        for signal, sender, receiver in (
            (post_save, AIRequest, receivers.forget_day),
            (pre_delete, AIRequest, receivers.forget_days_of_request),
            (pre_delete, AIRequest, receivers.settle_deleted),
            (pre_delete, Job, receivers.forget_days_of_job),
        ):
            signal.connect(receiver, sender=sender, dispatch_uid=f"{receiver.__module__}.{receiver.__name__}")
        for module in conf.pipelines():
            import_module(module)  # which registers the job types
