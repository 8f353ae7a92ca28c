"""Fixtures for tests of the project as a whole."""

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from tests.processes import alive
from tests.servers import new_folder
from tests.site import ROOT

SHIPPED = ["automation", "observability", "project", "prometheus", "Makefile", "manage.py", "pyproject.toml"]
SHIPPED += ["README.md", "CHANGELOG.md", "SECURITY.md", "LICENSE", "requirements.txt", "requirements-dev.txt"]


def copy_to(folder: Path) -> Path:
    """What a clone has, without what was made here since."""
    for name in SHIPPED:
        source, target = ROOT / name, folder / name
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, target)
    return folder


def pretend_installed(checkout: Path) -> None:
    """A virtual environment as ``make`` leaves it, whose Python is this one: installing again would take a minute."""
    python = checkout / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    python.chmod(0o755)
    for stamp in ("run.stamp", "dev.stamp"):
        (checkout / ".venv" / stamp).touch()


@pytest.fixture
def new_checkout():
    """The folder of a checkout in which nothing was started yet."""
    checkout = copy_to(new_folder("checkout"))
    pretend_installed(checkout)
    yield checkout
    end_all_in(checkout)


@pytest.fixture(scope="module")
def used_checkout():
    """The folder of a checkout that several tests start, one after the other: its database exists after the first."""
    checkout = copy_to(new_folder("checkout"))
    pretend_installed(checkout)
    yield checkout
    end_all_in(checkout)


def processes_in(folder: Path) -> list[psutil.Process]:
    """Every process that was started in a folder, whoever its parent is by now."""
    everyone = psutil.process_iter(["cwd", "cmdline"])
    return [one for one in everyone if (one.info["cwd"] or "").startswith(str(folder)) and alive(one.pid)]


def end_all_in(folder: Path) -> None:
    for process in processes_in(folder):
        process.kill()


def bare_environment(**values: str) -> dict[str, str]:
    """What a person's shell has: nothing that was set for the tests."""
    return {"PATH": os.environ["PATH"], "HOME": str(new_folder("home")), **values}


@pytest.fixture(scope="session")
def program_output():
    """``program_output("promtool", ...)``: what a program prints when it succeeds."""

    def run(*command, folder=None):
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=100)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return run


@dataclass(frozen=True)
class Distributions:
    """What is uploaded, and the checkout that it was built from."""

    checkout: Path
    sdist: Path
    wheel: Path


@pytest.fixture(scope="session")
def distributions(program_output):
    """The sdist, and the wheel that was built from it."""
    checkout, made = copy_to(new_folder("checkout")), new_folder("dist")
    program_output(sys.executable, "-m", "build", "--no-isolation", "--outdir", made, checkout)
    return Distributions(checkout, *made.glob("*.tar.gz"), *made.glob("*.whl"))


def new_environment(*requirements: str | Path, without_dependencies: bool = False) -> Path:
    """Python of a new virtual environment in which these are installed."""
    folder = new_folder("environment")
    python = folder / "bin" / "python"
    options = ["--quiet", "--no-input", *(["--no-deps"] if without_dependencies else [])]
    for command in (
        [sys.executable, "-m", "venv", "--without-pip", folder],
        [sys.executable, "-m", "pip", "--python", python, "install", *options, *requirements],
    ):
        subprocess.run(command, check=True, capture_output=True, timeout=100)
    return python
