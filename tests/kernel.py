"""Faults that only the kernel can make: a disk that is full or read-only, a process in a container of its own."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.servers import do_without, require

CONTAINER = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc"]


def own_container() -> list[str]:
    """What to put before a command so that it runs as process 1 of a container."""
    require("unshare")
    if subprocess.run([*CONTAINER, "true"], capture_output=True).returncode:
        do_without("This user may not start containers")
    return CONTAINER


@contextmanager
def disk(folder: Path, size: str, mode: str = "rw") -> Iterator[Path]:
    """A folder that is a disk of its own for the length of a block."""
    folder.mkdir(parents=True, exist_ok=True)
    command = ["mount", "-t", "tmpfs", "-o", f"{mode},size={size}", "tmpfs", str(folder)]
    if subprocess.run(command, capture_output=True).returncode:
        do_without("This user may not mount disks")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


@contextmanager
def overlay(folder: Path) -> Iterator[Path]:
    """A folder in layers, as the root of a container, for the length of a block: no map holds a lock there."""
    with disk(folder, "16m"):
        for part in ("lower", "upper", "work"):
            (folder / part).mkdir()
        layers = ",".join(f"{part}dir={folder / part}" for part in ("lower", "upper", "work"))
        command = ["mount", "-t", "overlay", "-o", layers, "overlay", str(folder)]
        if subprocess.run(command, capture_output=True).returncode:
            do_without("This user may not mount layers")
        try:
            yield folder
        finally:
            subprocess.run(["umount", "--lazy", str(folder)], check=True)


def make_writable(folder: Path) -> None:
    """Open a read-only disk for writing."""
    subprocess.run(["mount", "-o", "remount,rw", str(folder)], check=True)


@contextmanager
def filled_up(folder: Path, spare: int = 0) -> Iterator[None]:
    """No room on a disk, or no more than so many bytes, for the length of a block."""
    ballast = folder / "ballast"
    with ballast.open("wb", buffering=0) as file:
        while (room := os.statvfs(folder).f_bavail * os.statvfs(folder).f_frsize - spare) > 0:
            with suppress(OSError):  # others take of it at the same time
                file.write(b"x" * room)
    try:
        yield
    finally:
        ballast.unlink()
