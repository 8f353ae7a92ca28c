"""`pay` leaves a line in a file each time that it is done; `wait` leaves a file when it arrives at the gate."""

import asyncio
from pathlib import Path

import pydantic

from automation.engine import Run
from automation.models import Job
from automation.registry import Pipeline


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
