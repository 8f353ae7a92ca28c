"""The ASGI application: finds the stand-in for a request, its fault, and writes the log."""

import json
import logging
from typing import Any

from project.sandbox.core import Answer, Request, Service, to_json
from project.sandbox.delivery import ClientLeft, Line, Receive, Send, deliver
from project.sandbox.faults import Faults
from project.sandbox.log import Log

logger = logging.getLogger(__name__)


class Sandbox:
    """The services by the first part of their path, and behind ``/_sandbox`` the door that controls them."""

    def __init__(self, services: dict[str, Service], faults: Faults) -> None:
        self.services, self.faults, self.log = services, faults, Log()

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        line = Line(receive, send)
        try:
            request = await read(scope, receive)
            mount, _, path = request.path.removeprefix("/").partition("/")
            request.path = f"/{path}"
            if mount in self.services:
                await self.serve(self.services[mount], request, line)
            else:
                await reply(self.control(mount, request), line)
        except ClientLeft:
            pass
        except Exception:
            logger.exception("The sandbox itself failed.")
            raise

    async def serve(self, service: Service, request: Request, line: Line) -> None:
        operation, arguments = service.find(request)
        text = f"{request.path}?{request.query_string}\n{request.body.decode(errors='replace')}"
        request.fault = self.faults.take(service.name, operation, text, request.wants_stream)
        entry = self.log.add(service.name, operation, request)
        try:
            await deliver(service.answer(request, operation, arguments), request.fault, line, entry)
        finally:
            if entry.duration is None:
                entry.end(complete=False)

    def control(self, mount: str, request: Request) -> Answer:
        """Answer at the door for tests."""
        what = f"{request.method} /{mount}{request.path}"
        if what == "GET /_sandbox/requests":
            return to_json([entry.as_dict() for entry in self.log.entries])
        if what == "DELETE /_sandbox/requests":
            self.log.entries.clear()
        elif what == "DELETE /_sandbox/faults":
            self.faults.clear()
        elif what == "POST /_sandbox/faults":
            return self.plan(request)
        else:
            return to_json({"error": f"This is a sandbox, and {what} is nothing in it."}, 404)
        return to_json({})

    def plan(self, request: Request) -> Answer:
        try:
            self.faults.add(json.loads(request.body))
        except (TypeError, ValueError) as error:
            return to_json({"error": str(error)}, 400)
        return to_json({})


async def read(scope: dict[str, Any], receive: Receive) -> Request:
    body, more = b"", True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientLeft
        body += message.get("body", b"")
        more = message.get("more_body", False)
    headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
    return Request(scope["method"], scope["path"], scope["query_string"].decode(), headers, body)


async def reply(answer: Answer, line: Line) -> None:
    await line.start(answer.status, answer.headers)
    await line.send(answer.pieces[0].data, more=False)
