"""Processes that tests start: none outlives the test process, however that ends."""

import ctypes
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

LIBC = ctypes.CDLL(None)
PR_SET_PDEATHSIG = 1


def end_with_parent(death_signal: int) -> None:
    """Between fork and exec: have the kernel end this process when the one that started it is gone."""
    if hasattr(LIBC, "prctl"):
        LIBC.prctl(PR_SET_PDEATHSIG, death_signal)


def start(command: list[str | Path], log: Path, death_signal: int = signal.SIGTERM, **options: Any) -> subprocess.Popen:
    """Start a process that writes to a log file and ends with this one."""
    with log.open("ab") as output:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            preexec_fn=partial(end_with_parent, death_signal),
            **options,
        )


def stop(process: subprocess.Popen, with_signal: int = signal.SIGTERM, timeout: float = 15) -> int:
    """Ask a process to end, end it by force when it does not, and return its exit code."""
    process.send_signal(with_signal)
    try:
        return process.wait(timeout)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait(timeout)


@contextmanager
def running(command: list[str | Path], log: Path, **options: Any) -> Iterator[subprocess.Popen]:
    """A process for the length of a block."""
    process = start(command, log, **options)
    try:
        yield process
    finally:
        stop(process)


def alive(pid: int) -> bool:
    """Whether a process runs; one that ended and was not waited for does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state not in "ZX"


def as_nobody() -> dict[str, Any]:
    """Options for a program that refuses to run as root: a number that owns nothing else."""
    return {"user": 65534, "group": 65534, "extra_groups": []} if os.geteuid() == 0 else {}
