"""A site that reads from right to left, has an admin of its own and no automation."""

from project.settings import *  # noqa: F403
from project.settings import INSTALLED_APPS

INSTALLED_APPS = [app for app in INSTALLED_APPS if app != "automation"]
ROOT_URLCONF = "tests.observability.backstage_urls"
LANGUAGE_CODE = "he"
