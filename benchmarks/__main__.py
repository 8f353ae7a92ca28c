"""``make bench``"""

import os
import platform
import shutil

import django
from django.conf import settings


def main() -> None:
    os.environ["DJANGO_SETTINGS_MODULE"] = "benchmarks.settings"
    django.setup()
    from benchmarks import middleware  # its metrics are made when the store is there

    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, ", end="")
    print(f"Django {django.__version__}\n")
    try:
        print("\n".join(middleware.report()))
    finally:
        shutil.rmtree(settings.OBSERVABILITY["PROMETHEUS_MULTIPROC_DIR"], ignore_errors=True)


main()
