"""One module for each job type; importing this package registers them all."""

from automation.pipelines import notion_vercel, site_check

__all__ = ["notion_vercel", "site_check"]
