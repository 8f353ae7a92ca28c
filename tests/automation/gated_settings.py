"""The site with jobs that a test can hold up, and leases that it can wait for."""

import os

from project.settings import *  # noqa: F403
from project.settings import AUTOMATION, INSTALLED_APPS

INSTALLED_APPS = [*INSTALLED_APPS, "tests.automation.gated"]
AUTOMATION |= {"LEASE_SECONDS": float(os.environ["LEASE_SECONDS"])}
AUTOMATION |= {"MAX_ATTEMPTS": int(os.environ.get("MAX_ATTEMPTS", "50"))}
