"""Deployments on Vercel: each is counted once, when it is seen to have ended by the process that saw it unfinished."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType
from typing import TYPE_CHECKING, Any

from observability import labels
from observability.metrics import UNSET, MetricsCollector

from . import readers
from .exchange import Exchange

if TYPE_CHECKING:
    from httpx2 import Request

URL = "https://api.vercel.com"
TELLS_OF_ONE = re.compile(  # create, read, cancel
    r"POST .*/v\d+/deployments|GET .*/v\d+/deployments/[^/]+|PATCH .*/v\d+/deployments/[^/]+/cancel"
)
OUTCOMES = {"READY": "success", "ERROR": "failed", "CANCELED": "cancelled"}
MAX_UNFINISHED = 1000

_unfinished: dict[str, None] = {}  # ids of deployments, the oldest first


@dataclass(frozen=True)
class Deployment:
    """A deployment as an answer shows it; `outcome` is success, failed or cancelled, None while it is unfinished."""

    id: str
    outcome: str | None
    duration: Any  # seconds, UNSET where it does not tell
    is_new: bool  # made by this request

    def count(self) -> None:
        """Record its end."""
        if self.outcome:
            MetricsCollector.record_vercel_deployment(self.outcome, self.duration)


def begin(request: Request, library: ModuleType, tell: Callable[[Deployment], None]) -> Exchange | None:
    tells = TELLS_OF_ONE.fullmatch(f"{request.method} {request.url.path}")
    return DeploymentExchange(request, library, tell) if tells else None


class DeploymentExchange(Exchange):
    """The state of one deployment."""

    deployment: Any = None

    def __init__(self, request: Request, library: ModuleType, tell: Callable[[Deployment], None]) -> None:
        super().__init__(request, library)
        self.tell = tell

    def choose_reader(self, encoding: str) -> readers.Reader | None:
        return readers.choose(self.headers, encoding, self.library, self._take) if self.is_answered else None

    def _take(self, value: Any) -> None:
        self.deployment = value

    def report(self) -> None:
        said = self.deployment
        if isinstance(said, dict) and isinstance(said.get("id"), str):
            outcome = OUTCOMES.get(str(said.get("readyState") or said.get("status")))
            self.tell(Deployment(said["id"], outcome, _seconds(said), self.request.method == "POST"))


def see(deployment: Deployment) -> None:
    """Remember a deployment that is not finished, and count one that was not and now is.

    One that had ended before this process first saw it is not its to count.
    """
    if deployment.is_new or deployment.outcome is None:
        _unfinished[deployment.id] = None
        if len(_unfinished) > MAX_UNFINISHED:
            _unfinished.pop(next(iter(_unfinished)), None)
    if deployment.outcome and _unfinished.pop(deployment.id, deployment) is None:  # of several threads one gets it
        deployment.count()


def _seconds(deployment: dict[str, Any]) -> Any:
    """From its creation to its end, or to now where it does not tell; Vercel's times are in milliseconds."""
    began, *ends = (labels.number(deployment.get(name)) for name in ("createdAt", "ready", "canceledAt"))
    ended = next((end for end in ends if end is not None), time.time() * 1000)
    return UNSET if began is None else max(0.0, (ended - began) / 1000)
