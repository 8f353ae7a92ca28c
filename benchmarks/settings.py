"""A site with one view and no database, so that nothing but the middleware is timed."""

import tempfile

SECRET_KEY = "only for benchmarks"
ALLOWED_HOSTS = ["*"]
ROOT_URLCONF = "benchmarks.middleware"
INSTALLED_APPS = ["observability", "django_prometheus"]
MIDDLEWARE: list[str] = []
USE_TZ = True
DATABASES: dict[str, dict[str, str]] = {}
OBSERVABILITY = {"PROMETHEUS_MULTIPROC_DIR": tempfile.mkdtemp(prefix="benchmarks-")}
LOGGING_CONFIG = None
