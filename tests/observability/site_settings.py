"""The site with the tests' views, for servers that tests start."""

from project.settings import *  # noqa: F403

ROOT_URLCONF = "tests.observability.urls"
