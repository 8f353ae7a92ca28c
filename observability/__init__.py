"""Metrics, health and dashboards for Django sites that run automation jobs and AI agents."""

__version__ = "0.1.0"
