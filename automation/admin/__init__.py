"""Jobs, steps and AI requests to look at, which are written by the engine only, and budgets to set."""

from automation.admin import budgets, failures, jobs, rows

__all__ = ["budgets", "failures", "jobs", "rows"]
