"""The AUTOMATION settings dictionary, read when used."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from django.conf import settings

from automation.errors import NotConfigured

# All keys with their defaults, which tell also what kind of value a key takes: a float is a number of seconds.
DEFAULTS: Mapping[str, Any] = {
    "PIPELINES": [],
    "API_TOKEN": "",
    "SITE_CHECK_HOSTS": [],
    "LEASE_SECONDS": 60.0,
    "MAX_ATTEMPTS": 3,
    "NOTION_TOKEN": "",
    "NOTION_URL": "https://api.notion.com",
    "VERCEL_TOKEN": "",
    "VERCEL_URL": "https://api.vercel.com",
    "VERCEL_TEAM": "",
    "OPENAI_API_KEY": "",
    "OPENAI_URL": "https://api.openai.com/v1",
    "ANTHROPIC_API_KEY": "",
    "ANTHROPIC_URL": "https://api.anthropic.com",
    "CALL_TIMEOUT": 30.0,
    "COMPLETION_TIMEOUT": 600.0,
    # of both providers, each with a known price
    "MODELS": ["claude-sonnet-5", "claude-haiku-4-5", "gpt-5.5", "gpt-5.4-mini"],
    "DEPLOY_TIMEOUT": 600.0,
    "DEPLOYMENT_DOMAIN": "vercel.app",
    "DEPLOYMENT_ADDRESS": "https://{host}/",
    "VERCEL_AUTOMATION_BYPASS_SECRET": "",
}


def is_set(value: object) -> bool:
    """Whether this counts as a value; an empty one, as of a variable that is not set, does not."""
    return value not in (None, "")


def _get(key: str) -> Any:
    values = getattr(settings, "AUTOMATION", {})
    value = values.get(key) if isinstance(values, dict) else None  # of what else it may be a check tells
    return value if is_set(value) else DEFAULTS[key]


def pipelines() -> list[str]:
    """Return the modules of the job types that the project has; what is no list is for a check to tell."""
    modules = _get("PIPELINES")
    return list(modules) if isinstance(modules, list | tuple) else []


def api_token() -> str:
    """Return the bearer token of the API; empty means that no token is accepted."""
    return str(_get("API_TOKEN"))


def site_check_hosts() -> list[str]:
    """Return the hosts (host or host:port, exact) that a site check may ask."""
    return list(_get("SITE_CHECK_HOSTS"))


def lease() -> timedelta:
    """Return how long a running job is its worker's after the worker's last sign of life."""
    return timedelta(seconds=_get("LEASE_SECONDS"))


def max_attempts() -> int:
    """Return how many workers may take a job before it fails."""
    return int(_get("MAX_ATTEMPTS"))


@dataclass(frozen=True)
class Access:
    """Where a service answers, and the key that it lets in."""

    url: str
    key: str = field(repr=False)


def notion() -> Access:
    """Return how to reach Notion; like all of these it raises NotConfigured, which never quotes the key."""
    return _access("NOTION_TOKEN", "NOTION_URL")


def vercel() -> Access:
    """Return how to reach Vercel."""
    return _access("VERCEL_TOKEN", "VERCEL_URL")


def openai() -> Access:
    """Return how to reach OpenAI, or what speaks its API."""
    return _access("OPENAI_API_KEY", "OPENAI_URL")


def anthropic() -> Access:
    """Return how to reach Anthropic."""
    return _access("ANTHROPIC_API_KEY", "ANTHROPIC_URL")


def _access(name: str, address: str) -> Access:
    key, url = _get(name), _get(address)
    if not key:
        raise NotConfigured(f"{name} is not set.")
    _require_key(name, key)
    if not url.startswith(("http://", "https://")):
        raise NotConfigured(f"{url[:100]!r} is no address of a service: write https://HOST.")
    return Access(url.rstrip("/"), key)


def _require_key(name: str, key: str) -> None:
    """What a header cannot hold would be quoted by the error about that."""
    if not (key.isascii() and key.isprintable()) or " " in key:
        raise NotConfigured(f"{name} has characters that no key has.")


def vercel_team() -> str:
    """Return the id of the team that projects and deployments belong to; empty: the user's own."""
    return str(_get("VERCEL_TEAM"))


def call_timeout() -> float:
    """Return the seconds that one call to Notion or Vercel may take, its whole answer included."""
    return float(_get("CALL_TIMEOUT"))


def completion_timeout() -> float:
    """Return the seconds that one request to a model may take, its whole answer included."""
    return float(_get("COMPLETION_TIMEOUT"))


def models() -> list[str]:
    """Return the models that a job may choose, the default first."""
    return list(_get("MODELS"))


def deploy_timeout() -> float:
    """Return the seconds that a deployment may take."""
    return float(_get("DEPLOY_TIMEOUT"))


def deployment_domain() -> str:
    """Return the domain below which deployments are looked at, and nowhere else."""
    return str(_get("DEPLOYMENT_DOMAIN"))


def deployment_address() -> str:
    """Return the address of a deployment, with {host} in the place of its host."""
    return str(_get("DEPLOYMENT_ADDRESS"))


def vercel_bypass() -> str:
    """Return the secret that opens protected deployments; empty: none is needed."""
    secret = str(_get("VERCEL_AUTOMATION_BYPASS_SECRET"))
    _require_key("VERCEL_AUTOMATION_BYPASS_SECRET", secret)
    return secret
