"""A task that does nothing, a job type without steps, and one with a step that does nothing."""

import django
import pydantic

from automation.engine import Run
from automation.registry import Pipeline

if django.VERSION >= (6, 0):
    from django.tasks import task
else:
    from django_tasks import task


class Payload(pydantic.BaseModel):
    """Nothing."""


@task()
def nothing() -> None:
    """Return at once."""


Pipeline("empty", payload=Payload)
one_step = Pipeline("one_step", payload=Payload)


@one_step.step()
def rest(run: Run) -> None:
    """Return at once."""
