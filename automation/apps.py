"""What is connected when Django starts; nothing here touches the database."""

from operator import attrgetter

from django.apps import AppConfig
from django.core import checks as django_checks


class AutomationConfig(AppConfig):
    name = "automation"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from automation import checks, pipelines, registry  # noqa: F401  (importing pipelines registers the job types)
        from automation.clients import Notion
        from automation.models import AIRequest, Job, Step
        from observability.metrics import expect_labels
        from observability.tracking import track_ai_requests, track_jobs, track_steps

        django_checks.register(checks.check_settings, "automation")

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
        expect_labels(job_type=registry.names(), step=registry.step_names(), operation=Notion.operations)
