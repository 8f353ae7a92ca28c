"""Where the sandbox stands in, as environment variables of the site; knows nothing of the rest of it."""

from collections.abc import Mapping

from project.sandbox.vercel import DOMAIN

ANY_KEY = "sandbox"
# By service: the variable of its key, and those that say where it is.
SERVICES: dict[str, tuple[str, dict[str, str]]] = {
    "Notion": ("NOTION_TOKEN", {"NOTION_URL": "{url}/notion"}),
    "Vercel": (
        "VERCEL_TOKEN",
        {
            "VERCEL_URL": "{url}/vercel",
            "DEPLOYMENT_DOMAIN": DOMAIN,
            "DEPLOYMENT_ADDRESS": "{url}/_deployments/{{host}}/",
        },
    ),
    "OpenAI": ("OPENAI_API_KEY", {"OPENAI_URL": "{url}/openai/v1"}),
    "Anthropic": ("ANTHROPIC_API_KEY", {"ANTHROPIC_URL": "{url}/anthropic"}),
}


def without_key(environ: Mapping[str, str]) -> list[str]:
    """The services whose key is not in an environment, nor the name of a file with it."""
    return [name for name, (key, _) in SERVICES.items() if not (environ.get(key) or environ.get(f"{key}_FILE"))]


def variables(url: str, services: list[str]) -> dict[str, str]:
    """What leads the site to the sandbox at this address instead of to these services."""
    found: dict[str, str] = {}
    for key, addresses in map(SERVICES.__getitem__, services):
        found |= {key: ANY_KEY} | {name: value.format(url=url) for name, value in addresses.items()}
    return found
