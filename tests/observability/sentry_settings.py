"""The site with the tests' views; Sentry gets logs, no errors of arithmetic, and more of users with SENTRY_USERS=1."""

import os

from tests.observability.site_settings import *  # noqa: F403
from tests.observability.site_settings import OBSERVABILITY

MORE = os.environ.get("SENTRY_USERS") == "1"
OBSERVABILITY |= {"SENTRY_LOGS": True, "SENTRY_USER_EMAIL": MORE, "SENTRY_USER_IP": MORE}
OBSERVABILITY |= {"SENTRY_IGNORED_EXCEPTIONS": ["ArithmeticError", "no.such.Exception"]}
