"""Jobs that wait or fail: `pay` leaves a line each time that it is done, `wait` a file when it is at the gate."""

import asyncio
from pathlib import Path

import pydantic

from automation.engine import Run
from automation.errors import Failure
from automation.models import Job
from automation.registry import Pipeline
from automation.tasks import task


class Folder(pydantic.BaseModel):
    folder: Path


gated = Pipeline("gated", payload=Folder)


@gated.step()
def pay(run: Run) -> str:
    with (run.payload.folder / "paid").open("a") as book:
        book.write(f"{run.job.pk}\n")
    return str(run.job.pk)


@gated.step()
def wait(run: Run) -> str:
    (run.payload.folder / f"{run.job.pk}.{run.job.attempts}.arrived").touch()
    while not (run.payload.folder / "open").exists():
        run.sleep(0.05)
    return run.output("pay")


slow = Pipeline("slow", payload=Folder)


@slow.step()
async def sleep(run: Run) -> None:
    """Leave a file on arrival, and one with what the database says of the job when it is called off."""
    (run.payload.folder / f"{run.job.pk}.{run.job.attempts}.arrived").touch()
    try:
        await asyncio.sleep(60)
    except asyncio.CancelledError:
        status = await Job.objects.values_list("status", flat=True).aget(pk=run.job.pk)
        (run.payload.folder / "called off").write_text(status)
        raise


broken = Pipeline("broken", payload=Folder)


@broken.step()
def stand(run: Run) -> None:
    pass


@broken.step()
def fall(run: Run) -> None:
    raise RuntimeError("the step's own fault")


closed = Pipeline("closed", payload=Folder)


@closed.step()
def knock(run: Run) -> None:
    raise Failure("It is closed.")


leaky = Pipeline("leaky", payload=Folder)


@leaky.step()
def leak(run: Run) -> None:
    import sentry_sdk

    sentry_sdk.set_user({"id": "7", "username": "left behind"})
    sentry_sdk.set_tag("left", "behind")
    sentry_sdk.add_breadcrumb(message="left behind")
    raise RuntimeError("with much of its own")


@task()
def leave_behind(number: int) -> None:
    """A task that is no job."""
    import sentry_sdk

    sentry_sdk.set_tag(f"left_by_{number}", "behind")
    raise RuntimeError(f"the fault of task {number}")
