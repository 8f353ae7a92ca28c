"""The site with the cache as a required health check."""

from tests.observability.site_settings import *  # noqa: F403
from tests.observability.site_settings import OBSERVABILITY

OBSERVABILITY |= {"HEALTH_CHECKS": ["observability.health.check_database", "observability.health.check_cache"]}
