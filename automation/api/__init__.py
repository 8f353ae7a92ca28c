"""The HTTP API: start jobs, follow them, end them, try them again."""

from automation.api import operations  # noqa: F401  (adds them to the API)
from automation.api.core import api

__all__ = ["api"]
