"""Vercel: deployments and projects. https://vercel.com/docs/rest-api"""

import base64
import re
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import httpx2

from automation import conf
from automation.clients.http import Service, ServiceError, Sleep, timeouts, tls
from observability.http import Deployment, instrument
from observability.http.vercel import see

DEPLOYMENT_ID = re.compile(r"dpl_[A-Za-z0-9]{1,64}")
PROJECT_ID = re.compile(r"prj_[A-Za-z0-9]{1,64}")
PROJECT_NAME = re.compile(r"[a-z0-9](?:[a-z0-9._-]{0,98}[a-z0-9])?")
MAX_PARTS = 100  # of a list


def deployment_id(text: str) -> str:
    """Return the id of a deployment; what is none is a ValueError."""
    if not DEPLOYMENT_ID.fullmatch(text):
        raise ValueError("must be the id of a deployment: dpl_ and letters or digits")
    return text


def project_name(text: str) -> str:
    """Return the name of a project; what is none is a ValueError."""
    if not PROJECT_NAME.fullmatch(text) or "---" in text:
        raise ValueError("must be the name of a project: up to 100 lowercase letters, digits and '.', '_', '-'")
    return text


class Vercel(Service):
    """The projects of one team, or of the user."""

    name = "Vercel"

    def __init__(self, sleep: Sleep = time.sleep, on_deployment: Callable[[Deployment], None] = see) -> None:
        """`on_deployment`: what to do with each deployment that an answer shows, in place of counting its end."""
        access, timeout = conf.vercel(), conf.call_timeout()
        team = conf.vercel_team()
        client = httpx2.Client(
            base_url=access.url,
            headers={"Authorization": f"Bearer {access.key}"},
            params={"teamId": team} if team else {},
            verify=tls(),
            timeout=timeouts(timeout),
        )
        super().__init__(instrument(client, vercel_url=access.url, on_deployment=on_deployment), timeout, sleep)

    def create_deployment(self, project: str, files: Mapping[str, bytes], target: str | None = None) -> dict[str, Any]:
        """Deploy these files, by their paths, as they are, and return the deployment as it is then, mostly unfinished.

        A deployment cannot be asked for twice with one effect: after an error of which it is not certain that nothing
        was made, nothing is repeated, and the error is not retriable.
        """
        body = {
            "name": project_name(project),
            "files": [
                {"file": path, "data": base64.b64encode(content).decode(), "encoding": "base64"}
                for path, content in files.items()
            ],
            "projectSettings": {"framework": None},
        }
        if target:
            body["target"] = target
        made = self._call("create_deployment", "POST", "/v13/deployments", repeatable=False, json=body)
        return _deployment("create_deployment", made, retriable=False)

    def deployment(self, identity: str) -> dict[str, Any]:
        """Return a deployment as it is now; its `readyState` is READY, ERROR or CANCELED in the end."""
        found = self._call("get_deployment", "GET", f"/v13/deployments/{deployment_id(identity)}")
        return _deployment("get_deployment", found, retriable=True)

    def project(self, name: str) -> dict[str, Any]:
        """Return a project by its name or id."""
        project = name if PROJECT_ID.fullmatch(name) else project_name(name)
        return self._call("get_project", "GET", f"/v9/projects/{project}")

    def projects(self) -> Iterator[dict[str, Any]]:
        """Yield all projects, the newest first."""
        position: dict[str, Any] = {}
        for _ in range(MAX_PARTS):
            part = self._call("list_projects", "GET", "/v9/projects", params={"limit": 100, **position})
            match part:
                case {"projects": [*projects], "pagination": {"next": following}}:
                    yield from projects
                case _:
                    raise ServiceError("Vercel list_projects", "the answer has no list of projects", retriable=True)
            if following is None:
                return
            position = {"from": following}
        raise ServiceError("Vercel list_projects", "the list is too long")


def _deployment(operation: str, answer: dict[str, Any], *, retriable: bool) -> dict[str, Any]:
    match answer:
        case {"id": str(identity), "readyState": str(), "url": str()} if DEPLOYMENT_ID.fullmatch(identity):
            return answer
        case _:
            raise ServiceError(f"Vercel {operation}", "the answer is no deployment", retriable=retriable)
