"""The AUTOMATION settings dictionary, read when used."""

from datetime import timedelta
from typing import Any

from django.conf import settings


def _get(key: str, default: Any) -> Any:
    return getattr(settings, "AUTOMATION", {}).get(key, default)


def api_token() -> str:
    """Return the bearer token of the API; empty means that no token is accepted."""
    return str(_get("API_TOKEN", "") or "")


def site_check_hosts() -> list[str]:
    """Return the hosts (host or host:port, exact) that a site check may ask."""
    return list(_get("SITE_CHECK_HOSTS", []))


def lease() -> timedelta:
    """Return how long a running job is its worker's after the worker's last sign of life."""
    return timedelta(seconds=_get("LEASE_SECONDS", 60))


def max_attempts() -> int:
    """Return how many workers may take a job before it fails."""
    return int(_get("MAX_ATTEMPTS", 3))
