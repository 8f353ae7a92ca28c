"""The AUTOMATION settings dictionary, read when used."""

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from automation.errors import NotConfigured


def _get(key: str, default: Any) -> Any:
    """An empty value, as of a variable that is not set, counts as none."""
    values = getattr(settings, "AUTOMATION", {})
    if not isinstance(values, dict):
        raise ImproperlyConfigured(f"AUTOMATION must be a dictionary, not {type(values).__name__}.")
    value = values.get(key)
    return default if value in (None, "") else value


def pipelines() -> list[str]:
    """Return the modules of the job types that the project has."""
    modules = _get("PIPELINES", [])
    if isinstance(modules, str):
        raise ImproperlyConfigured("AUTOMATION['PIPELINES'] must be a list of modules, not one.")
    return list(modules)


def api_token() -> str:
    """Return the bearer token of the API; empty means that no token is accepted."""
    return str(_get("API_TOKEN", ""))


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
    """Where a service answers, and the key that it lets in."""

    url: str
    key: str = field(repr=False)


def notion() -> Access:
    """Return how to reach Notion; like all of these it raises NotConfigured, which never quotes the key."""
    return _access("NOTION_TOKEN", _get("NOTION_TOKEN", ""), _get("NOTION_URL", "https://api.notion.com"))


def vercel() -> Access:
    """Return how to reach Vercel."""
    return _access("VERCEL_TOKEN", _get("VERCEL_TOKEN", ""), _get("VERCEL_URL", "https://api.vercel.com"))


def openai() -> Access:
    """Return how to reach OpenAI, or what speaks its API."""
    return _access("OPENAI_API_KEY", _get("OPENAI_API_KEY", ""), _get("OPENAI_URL", "https://api.openai.com/v1"))


def anthropic() -> Access:
    """Return how to reach Anthropic."""
    url = _get("ANTHROPIC_URL", "https://api.anthropic.com")
    return _access("ANTHROPIC_API_KEY", _get("ANTHROPIC_API_KEY", ""), url)


def _access(setting: str, key: str, url: str) -> Access:
    if not key:
        raise NotConfigured(f"{setting} is not set.")
    if not (key.isascii() and key.isprintable()) or " " in key:
        raise NotConfigured(f"{setting} has characters that no key has.")
    if not url.startswith(("http://", "https://")):
        raise NotConfigured(f"{url[:100]!r} is no address of a service: write https://HOST.")
    return Access(url.rstrip("/"), key)


def vercel_team() -> str:
    """Return the id of the team that projects and deployments belong to; empty: the user's own."""
    return str(_get("VERCEL_TEAM", ""))


def call_timeout() -> float:
    """Return the seconds that one call to Notion or Vercel may take, its whole answer included."""
    return float(_get("CALL_TIMEOUT", 30))


def completion_timeout() -> float:
    """Return the seconds that one request to a model may take, its whole answer included."""
    return float(_get("COMPLETION_TIMEOUT", 600))


def models() -> list[str]:
    """Return the models that a job may choose, the default first."""
    # of both providers, each with a known price
    return list(_get("MODELS", ["claude-sonnet-5", "claude-haiku-4-5", "gpt-5.5", "gpt-5.4-mini"]))


def deploy_timeout() -> float:
    """Return the seconds that a deployment may take."""
    return float(_get("DEPLOY_TIMEOUT", 600))


def deployment_domain() -> str:
    """Return the domain below which deployments are looked at, and nowhere else."""
    return str(_get("DEPLOYMENT_DOMAIN", "vercel.app"))


def deployment_address() -> str:
    """Return the address of a deployment, with {host} in the place of its host."""
    return str(_get("DEPLOYMENT_ADDRESS", "https://{host}/"))


def vercel_bypass() -> str:
    """Return the secret that opens protected deployments; empty: none is needed."""
    return str(_get("VERCEL_AUTOMATION_BYPASS_SECRET", ""))
