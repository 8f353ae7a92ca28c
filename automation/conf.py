"""The AUTOMATION settings dictionary, read when used."""

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from django.conf import settings

from automation.errors import NotConfigured

DEFAULT_URLS = {
    "NOTION_URL": "https://api.notion.com",
    "VERCEL_URL": "https://api.vercel.com",
    "OPENAI_URL": "https://api.openai.com/v1",
    "ANTHROPIC_URL": "https://api.anthropic.com",
}

# Of both providers, each with a known price; the first is the default of a job.
DEFAULT_MODELS = ["claude-sonnet-5", "claude-haiku-4-5", "gpt-5.5", "gpt-5.4-mini"]


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


@dataclass(frozen=True)
class Access:
    """Where a service answers, and what it lets in."""

    url: str
    key: str = field(repr=False)


def access(url: str, key: str) -> Access:
    """Return what the settings of these names say; raises NotConfigured, which never quotes the key."""
    value = str(_get(key, "") or "")
    if not value:
        raise NotConfigured(f"{key} is not set.")
    if not (value.isascii() and value.isprintable()) or " " in value:
        raise NotConfigured(f"{key} has characters that no key has.")
    address = str(_get(url, "") or DEFAULT_URLS[url]).rstrip("/")
    if not address.startswith(("http://", "https://")):
        raise NotConfigured(f"{url} is no address: write https://HOST.")
    return Access(address, value)


def vercel_team() -> str:
    """Return the id of the team that projects and deployments belong to; empty: the user's own."""
    return str(_get("VERCEL_TEAM", "") or "")


def call_timeout() -> float:
    """Return the seconds that one call to Notion or Vercel may take, its whole answer included."""
    return float(_get("CALL_TIMEOUT", 30))


def completion_timeout() -> float:
    """Return the seconds that one request to a model may take, its whole answer included."""
    return float(_get("COMPLETION_TIMEOUT", 600))


def models() -> list[str]:
    """Return the models that a job may choose, the default first."""
    return list(_get("MODELS", []) or DEFAULT_MODELS)


def deploy_timeout() -> float:
    """Return the seconds that a deployment may take."""
    return float(_get("DEPLOY_TIMEOUT", 600))


def deployment_domain() -> str:
    """Return the domain below which deployments are looked at, and nowhere else."""
    return str(_get("DEPLOYMENT_DOMAIN", "") or "vercel.app")


def deployment_address() -> str:
    """Return the address of a deployment, with {host} in the place of its host."""
    return str(_get("DEPLOYMENT_ADDRESS", "") or "https://{host}/")


def vercel_bypass() -> str:
    """Return the secret that opens protected deployments; empty: none is needed."""
    return str(_get("VERCEL_AUTOMATION_BYPASS_SECRET", "") or "")
