"""Deployments on Vercel: each is counted once, when it is seen to have ended by the process that saw it unfinished."""

from __future__ import annotations

import re
import time
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


def begin(request: Request, library: ModuleType) -> Exchange | None:
    tells = TELLS_OF_ONE.fullmatch(f"{request.method} {request.url.path}")
    return DeploymentExchange(request, library) if tells else None


class DeploymentExchange(Exchange):
    """The state of one deployment."""

    deployment: Any = None

    def choose_reader(self, encoding: str) -> readers.Reader | None:
        return readers.choose(self.headers, encoding, self.library, self._take) if self.is_answered else None

    def _take(self, value: Any) -> None:
        self.deployment = value

    def report(self) -> None:
        if isinstance(self.deployment, dict) and isinstance(self.deployment.get("id"), str):
            see(self.deployment, created=self.request.method == "POST")


def expect_deployment(identity: str) -> None:
    """Have this process count the end of a deployment, even if that has come already.

    For one that another process made, and did not live to see the end of.
    """
    _unfinished[identity] = None
    if len(_unfinished) > MAX_UNFINISHED:
        _unfinished.pop(next(iter(_unfinished)), None)


def see(deployment: dict[str, Any], *, created: bool) -> None:
    """Remember a deployment that is not finished, and count one that was not and now is.

    One that had ended before this process first saw it is not its to count, unless it was told to expect it.
    """
    identity, outcome = deployment["id"], OUTCOMES.get(str(deployment.get("readyState") or deployment.get("status")))
    if created or outcome is None:
        expect_deployment(identity)
    if outcome and _unfinished.pop(identity, outcome) is None:  # of several threads one gets it
        MetricsCollector.record_vercel_deployment(outcome, _seconds(deployment))


def _seconds(deployment: dict[str, Any]) -> Any:
    """From its creation to its end, or to now where it does not tell; Vercel's times are in milliseconds."""
    began, *ends = (labels.number(deployment.get(name)) for name in ("createdAt", "ready", "canceledAt"))
    ended = next((end for end in ends if end is not None), time.time() * 1000)
    return UNSET if began is None else max(0.0, (ended - began) / 1000)
