"""What a job `notion_vercel` is asked for."""

import re
from typing import Annotated, Any, Literal
from urllib.parse import parse_qs, urlsplit

import pydantic

from automation.clients import notion_id
from automation.clients.vercel import project_name
from automation.conf import models

HOST = re.compile(r"(www\.)?notion\.(so|com)|[a-z0-9-]+\.notion\.site")
LAST_ID = re.compile(r"(?:.*-)?([0-9a-f]{32})", re.IGNORECASE)


def page(text: str) -> str:
    """Return the id of a page, which may be given as its address at Notion."""
    if "://" not in text:
        return notion_id(text)
    try:
        parts = urlsplit(text)
        known = parts.scheme == "https" and HOST.fullmatch(parts.netloc)
    except ValueError:
        known = None
    if not known:
        raise ValueError("must be an id of Notion, or an address that begins with https://www.notion.so/")
    # a page that is open beside its database is named by p
    name = parse_qs(parts.query).get("p", [parts.path.rpartition("/")[2]])[0]
    match = LAST_ID.fullmatch(name)
    if match is None:
        raise ValueError("must be the address of a page: it ends in the page's id")
    return notion_id(match[1])


def allowed_model(name: str) -> str:
    """Return the model's name; only one that the settings list."""
    if name not in models():
        raise ValueError(f"must be one of the allowed models: {', '.join(models()) or 'none'}")
    return name


def choices(schema: dict[str, Any]) -> None:
    """Put the models that are allowed now into a JSON schema, and the one that is taken when none is named."""
    schema["enum"] = models()
    schema["default"] = next(iter(models()), "")


class Payload(pydantic.BaseModel):
    """Which page becomes which project, and who writes it."""

    model_config = pydantic.ConfigDict(extra="forbid", validate_default=True)

    page: Annotated[
        str,
        pydantic.Field(max_length=1000, description="The id of the page, or its address at Notion."),
        pydantic.AfterValidator(page),
    ]
    project: Annotated[
        str,
        pydantic.Field(max_length=100, description="The name of the project at Vercel."),
        pydantic.AfterValidator(project_name),
    ]
    model: Annotated[str, pydantic.Field(max_length=100), pydantic.AfterValidator(allowed_model)] = pydantic.Field(
        default_factory=lambda: next(iter(models()), ""), json_schema_extra=choices
    )
    target: Literal["preview", "production"] = "preview"
