"""Jobs, steps and AI requests to look at; they are written by the engine only."""

from automation.admin import jobs, rows

__all__ = ["jobs", "rows"]
