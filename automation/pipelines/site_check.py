"""Job type `site_check`: do these paths of a site answer?"""

import re
from typing import Annotated, Any

import pydantic

from automation.clients import web
from automation.conf import site_check_hosts
from automation.engine import Run
from automation.errors import Failure
from automation.registry import Pipeline

BASE_URL = re.compile(r"https?://(?P<host>[^/?#@\\\s]+)/?")


def allowed_base_url(url: str) -> str:
    """Return the URL without a final slash; only http(s) on a host that the settings name exactly."""
    match = BASE_URL.fullmatch(url)
    if match is None or not url.isprintable():
        raise ValueError(f"must be http://host or http://host:port (or https), nothing more; {_allowed()}")
    if match["host"] not in site_check_hosts():
        raise ValueError(f"host {match['host'][:100]!r} is not allowed; {_allowed()}")
    return url.removesuffix("/")


def _allowed() -> str:
    hosts = ", ".join(site_check_hosts())
    return f"allowed hosts: {hosts}" if hosts else "no host is allowed: list them in AUTOMATION['SITE_CHECK_HOSTS']"


def plain_path(path: str) -> str:
    """Return the path; it must not lead to another host, nor hide anything."""
    if not path.startswith("/") or path.startswith("//"):
        raise ValueError('must start with a single "/"')
    if "\\" in path or not path.isprintable():
        raise ValueError("must not contain backslashes or control characters")
    return path


Path = Annotated[str, pydantic.Field(max_length=2000), pydantic.AfterValidator(plain_path)]


class SiteCheckPayload(pydantic.BaseModel):
    """Where to look."""

    model_config = pydantic.ConfigDict(extra="forbid")

    base_url: Annotated[
        str,
        pydantic.Field(
            max_length=300, description="http://host or http://host:port (or https), of a host that is allowed."
        ),
        pydantic.AfterValidator(allowed_base_url),
    ]
    paths: Annotated[list[Path], pydantic.Field(min_length=1, max_length=50)]


pipeline = Pipeline("site_check", payload=SiteCheckPayload)


@pipeline.step(each=lambda payload: payload.paths)
def fetch_path(run: Run, path: str) -> int:
    """Return the status of the answer; one of 400 and more, or none, is a failure."""
    status, _ = web.get(run.payload.base_url + path)
    if status >= 400:
        raise Failure(f"HTTP {status}")
    return status


@pipeline.result
def result(run: Run) -> dict[str, Any]:
    answers = zip(run.payload.paths, run.output("fetch_path"), strict=True)
    return {"paths": [{"path": path, "status": status} for path, status in answers]}
