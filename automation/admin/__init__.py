"""Jobs, steps and AI requests to look at; they are written by the engine only."""

from automation.admin import failures, jobs, rows

__all__ = ["failures", "jobs", "rows"]
