"""Jobs, steps and AI requests to look at, which are written by the engine only; budgets to set; what was spent."""

from automation.admin import budgets, failures, jobs, rows, spend

__all__ = ["budgets", "failures", "jobs", "rows", "spend"]
