"""The site with its sessions in a cache that waits for its server for a long time."""

from tests.observability.site_settings import *  # noqa: F403
from tests.observability.site_settings import CACHES

SESSION_ENGINE = "django.contrib.sessions.backends.cache"
CACHES["default"]["OPTIONS"] = {"SOCKET_CONNECT_TIMEOUT": 30, "SOCKET_TIMEOUT": 30}
