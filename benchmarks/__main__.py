"""``make bench`` runs all parts and writes the page; ``make bench ARGS="scrape"`` runs one and prints it."""

import os
import shutil
import subprocess
import sys
from importlib import import_module
from time import monotonic

import django
from django.conf import settings

from benchmarks import page
from benchmarks.tables import summary

PARTS = ("middleware", "recording", "logs", "errors", "prices", "scrape", "jobs", "pages")


def show(parts: list[str]) -> None:
    os.environ["DJANGO_SETTINGS_MODULE"] = "benchmarks.settings"
    os.environ.pop("PROMETHEUS_MULTIPROC_DIR", None)  # of whoever runs this; the folder of settings is removed
    django.setup()
    try:
        for part in parts:
            # Its metrics are made when the store is there.
            print("\n".join(import_module(f"benchmarks.{part}").report()), flush=True)
    finally:
        shutil.rmtree(settings.OBSERVABILITY["PROMETHEUS_MULTIPROC_DIR"], ignore_errors=True)


def tables(part: str) -> list[str]:
    """Of a part, in a process of its own, so that none measures what another left behind."""
    done = subprocess.run([sys.executable, "-m", "benchmarks", part], stdout=subprocess.PIPE, text=True, check=True)
    print(done.stdout, end="", flush=True)
    return done.stdout.splitlines()


def show_all() -> None:
    """Show every part, and write the page."""
    machine, begin = page.machine(), monotonic()
    lines = [line for part in PARTS for line in tables(part)]
    machine.append(f"{summary(lines)}; the run took {(monotonic() - begin) / 60:.1f} minutes")
    print("\n".join(about := page.items(machine)))
    page.write([*about, "", *lines])


chosen = sys.argv[1:]
if unknown := set(chosen) - set(PARTS):
    sys.exit(f"There is no part {', '.join(unknown)}; the parts are {', '.join(PARTS)}.")
show(chosen) if chosen else show_all()
