"""`pay` leaves a line in a file each time that it is done; `wait` leaves a file when it arrives at the gate."""

from pathlib import Path

import pydantic

from automation.engine import Run
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
