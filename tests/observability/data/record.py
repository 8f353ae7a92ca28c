"""What made the archives beside this file: ``python record.py FOLDER NUMBER``, with 1, 2 and 30 as the number.

It runs in a checkout of the commit that an archive is named after; with ``scrape`` as the number a fourth process reads
and folds what the others left. The files of prometheus_client's own are made outside of any checkout, with
``PROMETHEUS_MULTIPROC_DIR=FOLDER`` in the environment. ``shutil.make_archive(ARCHIVE, "zip", FOLDER)`` keeps them.
"""

import importlib.util
import os
import sys

import django
from django.conf import settings
from prometheus_client import Counter, Gauge, Histogram, Summary

folder, number = sys.argv[1:]
if importlib.util.find_spec("observability"):
    settings.configure(INSTALLED_APPS=["observability"], OBSERVABILITY={"PROMETHEUS_MULTIPROC_DIR": folder})
    django.setup()
if number == "scrape":
    from observability.metrics import MetricsCollector

    MetricsCollector.get_metrics()
    sys.exit()

number = float(number)
pages = Counter("old_pages_total", 'Pages, \\ of "all" kinds.', ["kind"])
seconds = Histogram("old_seconds", "Seconds.", ["kind"], buckets=[0.1, 1, 10])
size = Summary("old_size", "Size.", ["kind"])
for kind in ("plain", 'né\n"w"'):
    pages.labels(kind).inc(number / 4)
    seconds.labels(kind).observe(number, {"trace_id": f"of {number}"})
    size.labels(kind).observe(number / 4)
for mode in ("all", "liveall", "sum", "livesum", "min", "max", "mostrecent", "livemostrecent"):
    Gauge(f"old_level_{mode}", "Level.", multiprocess_mode=mode).set(-number)
os._exit(0)  # killed, as far as the files can tell
