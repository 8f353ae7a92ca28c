"""One module for each job type; importing this package registers them all."""

from automation.pipelines import site_check

__all__ = ["site_check"]
