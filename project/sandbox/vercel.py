"""Vercel: deployments that pass through their states as time goes by, their projects, and the sites themselves.

Shapes: https://vercel.com/docs/rest-api. The ``url`` of a deployment is a host, as at Vercel, but one that never leaves
this machine; what was deployed answers at ``/_deployments/{host}/``.
"""

import base64
import mimetypes
import re
import time
from dataclasses import dataclass, field
from typing import Any

from project.sandbox.core import Answer, Piece, Refusal, Request, Service, new_id, to_json

KEPT = 1000  # deployments
DOMAIN = "vercel.localhost"
# Up to which part of the time that a build takes, which state.
STATES = ((0.1, "QUEUED"), (0.2, "INITIALIZING"), (1.0, "BUILDING"))
ENDS = {"build_error": "ERROR", "build_canceled": "CANCELED"}
CODES = {400: "bad_request", 403: "forbidden", 404: "not_found", 429: "rate_limited"}
NAME = re.compile(r"[a-z0-9](?:[a-z0-9._-]{0,98}[a-z0-9])?")


@dataclass
class Project:
    """Made with its first deployment."""

    name: str
    team: str
    created: int  # Unix time, ms
    id: str = field(default_factory=lambda: new_id("prj_"))

    @property
    def label(self) -> str:
        """Its name as a part of a host."""
        return re.sub(r"[._]", "-", self.name)

    def as_dict(self) -> dict[str, Any]:
        owner = self.team or "user_sandbox"
        times = {"createdAt": self.created, "updatedAt": self.created}
        return {"id": self.id, "name": self.name, "accountId": owner, "framework": None, **times}


@dataclass
class Deployment:
    """Files on their way to an address."""

    project: Project
    files: dict[str, bytes]
    target: str | None
    end: str  # the last state
    created: int  # Unix time, ms
    build_ms: float
    id: str = field(default_factory=lambda: new_id("dpl_"))

    @property
    def state(self) -> str:
        passed = (time.time() * 1000 - self.created) / self.build_ms if self.build_ms else 1.0
        return next((state for until, state in STATES if passed < until), self.end)

    @property
    def host(self) -> str:
        return f"{self.project.label}-{self.id[-9:]}.{DOMAIN}"

    @property
    def aliases(self) -> list[str]:
        return [f"{self.project.label}.{DOMAIN}"] if self.target == "production" else []

    def as_dict(self) -> dict[str, Any]:
        state = self.state
        ended = int(self.created + self.build_ms)
        values = {
            "id": self.id,
            "name": self.project.name,
            "url": self.host,
            "readyState": state,
            "status": state,
            "target": self.target,
            "projectId": self.project.id,
            "createdAt": self.created,
            "alias": self.aliases if state == "READY" else [],
            "aliasAssigned": state == "READY",
        }
        if state == "READY":
            values["ready"] = ended
        if state == "ERROR":
            values |= {"errorCode": "BUILD_FAILED", "errorMessage": 'Command "npm run build" exited with 1'}
        if state == "CANCELED":
            values["canceledAt"] = ended
        return values


class Vercel(Service):
    """Keeps projects and deployments by team; without ``teamId``, those of the user."""

    name = "vercel"
    routes = (
        ("POST", "/v13/deployments", "create_deployment"),
        ("GET", "/v13/deployments/(?P<id_or_host>[^/]+)", "get_deployment"),
        ("GET", "/v9/projects/(?P<id_or_name>[^/]+)", "get_project"),
        ("GET", "/v9/projects", "list_projects"),
    )

    def __init__(self, build_seconds: float) -> None:
        self.build_ms = build_seconds * 1000
        self.projects: dict[tuple[str, str], Project] = {}
        self.deployments: dict[str, Deployment] = {}
        self.last_ms = 0

    def refused(self, refusal: Refusal) -> Answer:
        code = refusal.code or CODES.get(refusal.status, "internal_server_error")
        error: dict[str, Any] = {"code": code, "message": refusal.message}
        headers = refusal.headers
        if refusal.status == 429:
            reset = int(time.time()) + 60
            error["limit"] = {"total": 100, "remaining": 0, "reset": reset}
            limits = {"x-ratelimit-limit": "100", "x-ratelimit-remaining": "0", "x-ratelimit-reset": str(reset)}
            headers = headers | limits
        return to_json({"error": error}, refusal.status, headers)

    def authorize(self, request: Request) -> None:
        if not request.bearer:
            raise Refusal(403, "Not authorized")

    def create_deployment(self, request: Request) -> Answer:
        name = request.json.get("name")
        if not isinstance(name, str) or not NAME.fullmatch(name):
            raise Refusal(
                400, "Invalid request: `name` should be up to 100 lowercase letters, digits and '.', '_', '-'."
            )
        files = _files(request.json.get("files"))
        project = self.project(name, request.query.get("teamId", ""))
        end = ENDS.get(request.fault.fault if request.fault else "", "READY")
        target = request.json.get("target")
        made = Deployment(project, files, target, end, self.now(), self.build_ms)
        self.deployments[made.id] = made
        if len(self.deployments) > KEPT:
            del self.deployments[next(iter(self.deployments))]
        return to_json(made.as_dict())

    def get_deployment(self, request: Request, id_or_host: str) -> Answer:
        team = request.query.get("teamId", "")
        for each in reversed(self.deployments.values()):
            if id_or_host in {each.id, each.host} and each.project.team == team:
                return to_json(each.as_dict())
        raise Refusal(404, "The deployment could not be found.")

    def get_project(self, request: Request, id_or_name: str) -> Answer:
        for project in self.of_team(request):
            if id_or_name in {project.id, project.name}:
                return to_json(project.as_dict())
        raise Refusal(404, "Project not found.")

    def list_projects(self, request: Request) -> Answer:
        """Newest first; ``from`` is the time up to which they were made."""
        limit = _whole(request.query.get("limit", "20"), "limit")
        until = _whole(request.query.get("from", str(2**53)), "from")
        found = [each for each in reversed(self.of_team(request)) if each.created <= until]
        following = found[limit].created if len(found) > limit else None
        shown = [each.as_dict() for each in found[:limit]]
        pages = {"count": len(shown), "next": following, "prev": shown[0]["createdAt"] if shown else None}
        return to_json({"projects": shown, "pagination": pages})

    def project(self, name: str, team: str) -> Project:
        if (team, name) not in self.projects:
            self.projects[team, name] = Project(name, team, self.now())
        return self.projects[team, name]

    def of_team(self, request: Request) -> list[Project]:
        team = request.query.get("teamId", "")
        return [each for each in self.projects.values() if each.team == team]

    def now(self) -> int:
        """Unix time in ms, never the same twice."""
        self.last_ms = max(self.last_ms + 1, int(time.time() * 1000))
        return self.last_ms

    def at(self, host: str) -> Deployment | None:
        """The deployment that answers at a host: the newest, where an alias leads to several."""
        for each in reversed(self.deployments.values()):
            if host in {each.id, each.host, *each.aliases} and each.state == "READY":
                return each
        return None


class Sites(Service):
    """What was deployed, for everybody, once it is ready."""

    name = "sites"
    routes = (("GET", "/(?P<host>[^/]+)(?P<path>/.*)?", "visit"),)

    def __init__(self, vercel: Vercel) -> None:
        self.vercel = vercel

    def refused(self, refusal: Refusal) -> Answer:
        headers = {"content-type": "text/plain; charset=utf-8"} | refusal.headers
        return Answer([Piece(refusal.message.encode())], refusal.status, headers)

    def visit(self, request: Request, host: str, path: str | None) -> Answer:
        deployment = self.vercel.at(host)
        if deployment is None:
            raise _missing("DEPLOYMENT_NOT_FOUND")
        name = (path or "/").removeprefix("/")
        if name == "" or name.endswith("/"):
            name += "index.html"
        if name not in deployment.files:
            raise _missing("NOT_FOUND")
        kind = mimetypes.guess_type(name)[0] or "application/octet-stream"
        return Answer([Piece(deployment.files[name])], headers={"content-type": kind})


def _missing(what: str) -> Refusal:
    return Refusal(404, what, headers={"x-vercel-error": what})


def _files(given: Any) -> dict[str, bytes]:
    if not isinstance(given, list) or not given:
        raise Refusal(400, "Invalid request: `files` should be a list with at least one file.")
    return dict(map(_file, given))


def _file(given: Any) -> tuple[str, bytes]:
    match given:
        case {"file": str(name), "data": str(data)} if given.get("encoding", "utf-8") in {"utf-8", "base64"}:
            pass
        case _:
            raise Refusal(400, "Invalid request: each of `files` should have `file`, `data` and a known `encoding`.")
    if given.get("encoding") != "base64":
        return name, data.encode()
    try:
        return name, base64.b64decode(data, validate=True)
    except ValueError as error:
        raise Refusal(400, f"Invalid request: `{name}` is not base64.") from error


def _whole(given: str, name: str) -> int:
    if not given.isdecimal() or int(given) == 0:
        raise Refusal(400, f"Invalid request: `{name}` should be a whole number above 0.")
    return int(given)
