"""Job type `site_check`: do these paths of a site answer?"""

import re
import time
from typing import Annotated, Any

import httpx2
import pydantic

from automation.conf import site_check_hosts
from automation.engine import Run
from automation.errors import Failure, describe
from automation.registry import Pipeline

TIMEOUT = 10.0  # seconds for one path, the body included
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

    base_url: Annotated[str, pydantic.Field(max_length=300), pydantic.AfterValidator(allowed_base_url)]
    paths: Annotated[list[Path], pydantic.Field(min_length=1, max_length=50)]


pipeline = Pipeline("site_check", payload=SiteCheckPayload)


@pipeline.step(each=lambda payload: payload.paths)
def fetch_path(run: Run, path: str) -> int:
    """Return the status of the answer; one of 400 and more, or none, is a failure."""
    try:
        with _client() as client:
            return _fetch(client, run.payload.base_url + path)
    except (httpx2.HTTPError, httpx2.InvalidURL) as exc:
        raise Failure(describe(exc)) from exc


@pipeline.result
def result(run: Run) -> dict[str, Any]:
    answers = zip(run.payload.paths, run.output("fetch_path"), strict=True)
    return {"paths": [{"path": path, "status": status} for path, status in answers]}


def _client() -> httpx2.Client:
    """Return a client that goes where it is told, by itself, on a fresh connection for every path.

    No proxy or credentials from the environment, no redirects, no kept-alive connection whose end would look
    like a failure of the site.
    """
    fresh = httpx2.Limits(max_keepalive_connections=0)
    headers = {"User-Agent": "automation-site-check"}
    return httpx2.Client(trust_env=False, follow_redirects=False, timeout=TIMEOUT, limits=fresh, headers=headers)


def _fetch(client: httpx2.Client, url: str) -> int:
    deadline = time.monotonic() + TIMEOUT
    with client.stream("GET", url) as response:
        # read to the end, so that the site sees a complete request, but keep nothing
        for _ in response.iter_raw():
            if time.monotonic() > deadline:
                raise Failure(f"not complete within {TIMEOUT:g} seconds")
    if response.status_code >= 400:
        raise Failure(f"HTTP {response.status_code}")
    return response.status_code
