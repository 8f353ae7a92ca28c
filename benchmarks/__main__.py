"""``make bench``; ``make bench ARGS="scrape"`` runs one part."""

import os
import platform
import shutil
import sys
from importlib import import_module

import django
from django.conf import settings

PARTS = ("middleware", "recording", "logs", "prices", "scrape", "jobs", "pages")


def main(chosen: list[str]) -> None:
    os.environ["DJANGO_SETTINGS_MODULE"] = "benchmarks.settings"
    django.setup()
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, ", end="")
    print(f"Django {django.__version__}\n")
    try:
        for part in chosen or PARTS:
            # Its metrics are made when the store is there.
            print("\n".join(import_module(f"benchmarks.{part}").report()), flush=True)
    finally:
        shutil.rmtree(settings.OBSERVABILITY["PROMETHEUS_MULTIPROC_DIR"], ignore_errors=True)


if unknown := set(sys.argv[1:]) - set(PARTS):
    sys.exit(f"There is no part {', '.join(unknown)}; the parts are {', '.join(PARTS)}.")
main(sys.argv[1:])
