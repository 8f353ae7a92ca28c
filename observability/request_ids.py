"""Gives every request an id, which all that it leads to carries: log lines, jobs, errors, and the response."""

from __future__ import annotations

import os
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from random import Random
from sys import modules
from typing import Any, cast

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.http import HttpRequest
from django.http.response import HttpResponseBase

from .correlation import SENTRY, bound, ids
from .sentry.hooks import enter

HEADER = "X-Request-ID"
STORED = HEADER.lower()  # by response.headers, whose own way of storing takes 0.8 µs to find that plain text is plain
is_well_formed = re.compile(r"[\w.:/+=@~-]{1,128}", re.ASCII).fullmatch
END = object()

_chance = Random()  # noqa: S311  # nothing secret, and a third of the time of os.urandom; not what a host may seed
os.register_at_fork(after_in_child=_chance.seed)

GetResponse = Callable[[HttpRequest], Any]


class RequestIDMiddleware:
    """Takes a well-formed ``X-Request-ID`` or makes one: bound for the request, in ``request.request_id``, sent back.

    Put it after ``MetricsMiddleware`` and before all others, whose log lines carry the id then.
    """

    sync_capable = async_capable = True

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response
        self.is_async = iscoroutinefunction(get_response)
        if self.is_async:
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> HttpResponseBase | Awaitable[HttpResponseBase]:
        if self.is_async:
            return self.answer_async(request)
        request_id = identify(request)
        token = ids.set({**ids.get(), "request_id": request_id})
        try:
            response: HttpResponseBase = self.get_response(request)
        finally:
            ids.reset(token)
        response.headers._store[STORED] = HEADER, request_id
        return bind_stream(response, request_id) if response.streaming else response

    async def answer_async(self, request: HttpRequest) -> HttpResponseBase:
        """The same with an ``await``."""
        request_id = identify(request)
        token = ids.set({**ids.get(), "request_id": request_id})
        try:
            response: HttpResponseBase = await self.get_response(request)
        finally:
            ids.reset(token)
        response.headers._store[STORED] = HEADER, request_id
        return bind_stream(response, request_id) if response.streaming else response


def identify(request: HttpRequest) -> str:
    """The id that the request has now: what a log line holds is never the client's unless it is well-formed."""
    given = request.META.get("HTTP_X_REQUEST_ID")
    request_id = given if given and is_well_formed(given) else _chance.getrandbits(128).to_bytes(16).hex()
    request.request_id = request_id  # type: ignore[attr-defined]
    if SENTRY in modules:
        enter(request, request_id)
    return request_id


def bind_stream(response: Any, request_id: str) -> HttpResponseBase:
    """Its parts are made later; those of a file the server may send by itself."""
    if getattr(response, "file_to_stream", None) is None:
        within: Any = _within_async if response.is_async else _within
        response.streaming_content = within(response.streaming_content, request_id)
    return cast(HttpResponseBase, response)


def _within(content: Iterator[bytes], request_id: str) -> Iterator[bytes]:
    """Bound while a part is made, and not while the server, which lends its thread, sends it."""
    while True:
        with bound(request_id=request_id):
            part = next(content, END)
        if part is END:
            return
        yield cast(bytes, part)


async def _within_async(content: AsyncIterator[bytes], request_id: str) -> AsyncIterator[bytes]:
    """The same, awaited."""
    while True:
        with bound(request_id=request_id):
            part = await anext(content, END)
        if part is END:
            return
        yield cast(bytes, part)
