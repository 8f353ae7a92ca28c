"""A site that reads from right to left, keeps its mail in memory, has an admin of its own and no automation."""

from django.core import mail

from project.settings import *  # noqa: F403
from project.settings import INSTALLED_APPS

INSTALLED_APPS = [app for app in INSTALLED_APPS if app != "automation"]
ROOT_URLCONF = "tests.observability.backstage_urls"
LANGUAGE_CODE = "he"

mail.outbox = []  # made by the first mail in memory, of a site as of a test
