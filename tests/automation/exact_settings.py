"""The site with clients that do not wait long for an answer."""

from project.settings import *  # noqa: F403
from project.settings import AUTOMATION

AUTOMATION |= {"CALL_TIMEOUT": 4, "COMPLETION_TIMEOUT": 5}
