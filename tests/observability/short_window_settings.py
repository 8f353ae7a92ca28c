"""The site with a window of active users that a test can wait for."""

from tests.observability.site_settings import *  # noqa: F403
from tests.observability.site_settings import OBSERVABILITY

OBSERVABILITY |= {"ACTIVE_USERS_SECONDS": 2}
