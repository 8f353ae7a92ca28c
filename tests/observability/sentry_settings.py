"""The site with the tests' views; Sentry gets logs, and with SENTRY_USERS=1 more of users than their ids."""

import os

from tests.observability.site_settings import *  # noqa: F403
from tests.observability.site_settings import OBSERVABILITY

MORE = os.environ.get("SENTRY_USERS") == "1"
OBSERVABILITY |= {"SENTRY_LOGS": True, "SENTRY_USER_EMAIL": MORE, "SENTRY_USER_IP": MORE}
