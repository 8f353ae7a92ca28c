"""What changes a past day after it was summed."""

from typing import Any

from automation import daybook
from automation.models import AIRequest, Job


def forget_day(instance: AIRequest, **kwargs: Any) -> None:
    """`post_save` of a request, which may come long after it was made."""
    daybook.forget([instance.created_at])


def forget_days_of_request(instance: AIRequest, **kwargs: Any) -> None:
    """`pre_delete` of a request: another one may be the first of its job then."""
    daybook.forget([instance.created_at])
    if instance.job:
        forget_days_of_job(instance.job)


def forget_days_of_job(instance: Job, **kwargs: Any) -> None:
    """`pre_delete` of a job: its requests stay, and are nobody's."""
    daybook.forget(instance.ai_requests.order_by().values_list("created_at", flat=True))
