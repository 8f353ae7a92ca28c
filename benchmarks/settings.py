"""A site with one view and no database, so that nothing but the middleware is timed."""

import os
import tempfile

SECRET_KEY = "only for benchmarks"
ALLOWED_HOSTS = ["*"]
ROOT_URLCONF = "benchmarks.middleware"
INSTALLED_APPS = ["observability", "django_prometheus"]
MIDDLEWARE: list[str] = []
USE_TZ = True
DATABASES: dict[str, dict[str, str]] = {}
# A process that a benchmark starts is told its folder; an empty one means memory.
FOLDER = os.environ.get("PROMETHEUS_MULTIPROC_DIR")
OBSERVABILITY = {"PROMETHEUS_MULTIPROC_DIR": tempfile.mkdtemp(prefix="benchmarks-") if FOLDER is None else FOLDER}
LOGGING_CONFIG = None
