"""The AUTOMATION settings dictionary, read when used."""

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
