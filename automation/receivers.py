"""What changes sums when rows change: those of past days, and what budgets hold."""

from typing import Any

from automation import budgets, daybook
from automation.models import AIRequest, AIRequestStatus, Job


def forget_day(instance: AIRequest, **kwargs: Any) -> None:
    """`post_save` of a request, which may come long after it was made."""
    daybook.forget([instance.created_at])


def forget_days_of_request(instance: AIRequest, **kwargs: Any) -> None:
    """`pre_delete` of a request: another one may be the first of its job then."""
    daybook.forget([instance.created_at])
    if instance.job:
        forget_days_of_job(instance.job)


def settle_deleted(instance: AIRequest, **kwargs: Any) -> None:
    """`pre_delete` of a request: nobody will settle one that runs any more, and what it costs stays unknown."""
    running = AIRequest.objects.select_for_update().filter(pk=instance.pk, status=AIRequestStatus.RUNNING).first()
    if running:
        budgets.settle(running)


def forget_days_of_job(instance: Job, **kwargs: Any) -> None:
    """`pre_delete` of a job: its requests stay, and are nobody's."""
    daybook.forget(instance.ai_requests.order_by().values_list("created_at", flat=True))
