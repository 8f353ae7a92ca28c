"""The site as it is, with jobs and tasks that do nothing, and a log of what goes wrong."""

from project.settings import *  # noqa: F403
from project.settings import INSTALLED_APPS, LOGGING

INSTALLED_APPS = [*INSTALLED_APPS, "benchmarks.empty"]
LOGGING["root"]["level"] = "WARNING"
