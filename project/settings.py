"""Settings of the site. Whatever differs between deployments comes from the environment.

A secret may come from a file instead: ``SECRET_KEY_FILE`` names it, and so on for every variable.
"""

from contextlib import suppress
from pathlib import Path
from typing import Any

import django
from django.core.exceptions import ImproperlyConfigured
from environ import FileAwareEnv

from observability.logs import logging_config

env = FileAwareEnv()

BASE_DIR = Path(__file__).resolve().parent.parent
# Everything that the site writes by itself.
VAR_DIR = BASE_DIR / "var"


def secret(name: str) -> str:
    """The variable as it is: ``env`` would take a leading ``$`` for the name of another variable."""
    return str(env.ENVIRON.get(name, "")).strip()


def words(text: str) -> list[str]:
    """A list, separated by commas; spaces around them do not matter."""
    return [word.strip() for word in text.split(",") if word.strip()]


DEBUG = env.bool("DEBUG", default=False)
SECRET_KEY = secret("SECRET_KEY") or ("insecure, for DEBUG only" if DEBUG else "")
if not SECRET_KEY:
    raise ImproperlyConfigured(
        "SECRET_KEY is not set: give it a long random value in the environment, or set DEBUG=1 on your own machine."
    )
ALLOWED_HOSTS = words(env.str("ALLOWED_HOSTS", default=""))
CSRF_TRUSTED_ORIGINS = words(env.str("CSRF_TRUSTED_ORIGINS", default=""))

INSTALLED_APPS = [
    "observability",
    "automation",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "ninja",
    *(["django_tasks"] if django.VERSION < (6,) else []),  # part of Django since 6.0
    "django_tasks_db",
]

MIDDLEWARE = [
    "observability.middleware.MetricsMiddleware",
    "observability.request_ids.RequestIDMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]

ROOT_URLCONF = "project.urls"
WSGI_APPLICATION = "project.wsgi.application"
ASGI_APPLICATION = "project.asgi.application"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "project" / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]


# Readers and a writer can work at a time; a writer waits for its turn at BEGIN, where waiting is safe.
SQLITE = {
    "transaction_mode": "IMMEDIATE",
    "timeout": 20,
    "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
}
# A server that does not answer costs a request seconds, not minutes; what a connection asks for often is planned once.
POSTGRESQL = {"connect_timeout": 5, "server_side_binding": True, "prepare_threshold": 5}


def database() -> dict[str, Any]:
    """The database of DATABASE_URL, else a file of SQLite."""
    if env.str("DATABASE_URL", default=""):
        config: dict[str, Any] = dict(env.db("DATABASE_URL"))
        if "ENGINE" not in config:
            raise ImproperlyConfigured("DATABASE_URL is no address of a database: write postgres://USER@HOST/NAME.")
    else:
        with suppress(OSError):  # a read-only disk: SQLite says so itself when it is used
            VAR_DIR.mkdir(exist_ok=True)
        config = {"ENGINE": "django.db.backends.sqlite3", "NAME": str(VAR_DIR / "db.sqlite3")}
    # Whoever closes the last connection to a SQLite file has to empty its log first, which takes longer than a request.
    config |= {"CONN_MAX_AGE": env.int("CONN_MAX_AGE", default=60), "CONN_HEALTH_CHECKS": True}
    if config["ENGINE"].endswith("sqlite3"):
        return config | {"OPTIONS": SQLITE | config.get("OPTIONS", {})}
    if config["ENGINE"].endswith("postgresql"):
        return config | {"OPTIONS": POSTGRESQL | config.get("OPTIONS", {})}
    return config


def cache() -> dict[str, Any]:
    """Redis at REDIS_URL, else a table of the database, which ``manage.py createcachetable`` makes."""
    if not (url := env.str("REDIS_URL", default="")):
        return {"BACKEND": "django.core.cache.backends.db.DatabaseCache", "LOCATION": "cache"}
    if not url.startswith(("redis://", "rediss://", "unix://")):
        raise ImproperlyConfigured("REDIS_URL is no address of a Redis: write redis://HOST:6379/0.")
    options = {"SOCKET_CONNECT_TIMEOUT": 0.5, "SOCKET_TIMEOUT": 0.5}
    return {"BACKEND": "django_redis.cache.RedisCache", "LOCATION": url, "OPTIONS": options}


DATABASES = {"default": database()}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
CACHES = {"default": cache()}
TASKS = {"default": {"BACKEND": "django_tasks_db.DatabaseBackend"}}

AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in ("UserAttributeSimilarityValidator", "MinimumLengthValidator", "CommonPasswordValidator")
]
LOGIN_URL = "admin:login"

LANGUAGE_CODE = "en-us"
TIME_ZONE = "UTC"
USE_TZ = True

# whitenoise reads the files where the apps keep them: no collectstatic, in production either.
STATIC_URL = "static/"
STATICFILES_DIRS = [BASE_DIR / "project" / "static"]
WHITENOISE_USE_FINDERS = True

# Safe with DEBUG off. Where https ends at a proxy, only the deployment knows: see docs/operations.md.
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = not DEBUG
X_FRAME_OPTIONS = "DENY"
SECURE_SSL_REDIRECT = env.bool("SECURE_SSL_REDIRECT", default=False)
SECURE_HSTS_SECONDS = env.int("SECURE_HSTS_SECONDS", default=0)
if header := env.str("SECURE_PROXY_SSL_HEADER", default=""):
    SECURE_PROXY_SSL_HEADER = (header, "https")

TO_ROOT: dict[str, Any] = {"handlers": [], "propagate": True}
LOGGING = logging_config(
    debug=DEBUG,
    level=env.str("LOG_LEVEL", default="INFO"),
    loggers={
        # A line per 404 says nothing that http_requests_total does not.
        "django.request": {"level": "ERROR"},
        # To the queue a job that failed is a task that succeeded; the job says by itself how it ended.
        # A handler's level, since the worker sets that of the logger.
        "django_tasks": {"handlers": ["warnings"], "propagate": False},
        "django.tasks": {"handlers": ["warnings"], "propagate": False},  # the same since Django 6.0
        # The client's line per request of a job.
        "httpx2": {"level": "WARNING"},
        # In the form of all others; gunicorn's are in project/gunicorn.conf.py.
        "uvicorn": TO_ROOT,
        "uvicorn.access": TO_ROOT,
    },
)

OBSERVABILITY = {
    "PROMETHEUS_MULTIPROC_DIR": env.str("PROMETHEUS_MULTIPROC_DIR", default=str(VAR_DIR / "metrics")),
}

HERE = ",".join(f"{name}:{env.str('PORT', default='8000')}" for name in ("localhost", "127.0.0.1"))
AUTOMATION = {
    "PIPELINES": ["automation.pipelines.notion_vercel", "automation.pipelines.site_check"],
    "API_TOKEN": secret("AUTOMATION_TOKEN"),
    "SITE_CHECK_HOSTS": words(env.str("SITE_CHECK_HOSTS", default=HERE)),
    "NOTION_TOKEN": secret("NOTION_TOKEN"),
    "NOTION_URL": env.str("NOTION_URL", default=""),
    "VERCEL_TOKEN": secret("VERCEL_TOKEN"),
    "VERCEL_TEAM": env.str("VERCEL_TEAM", default=""),
    "VERCEL_URL": env.str("VERCEL_URL", default=""),
    "VERCEL_AUTOMATION_BYPASS_SECRET": secret("VERCEL_AUTOMATION_BYPASS_SECRET"),
    "DEPLOYMENT_DOMAIN": env.str("DEPLOYMENT_DOMAIN", default=""),
    "DEPLOYMENT_ADDRESS": env.str("DEPLOYMENT_ADDRESS", default=""),
    "OPENAI_API_KEY": secret("OPENAI_API_KEY"),
    "OPENAI_URL": env.str("OPENAI_URL", default=""),
    "ANTHROPIC_API_KEY": secret("ANTHROPIC_API_KEY"),
    "ANTHROPIC_URL": env.str("ANTHROPIC_URL", default=""),
    "MODELS": words(env.str("AI_MODELS", default="")) or None,
}
