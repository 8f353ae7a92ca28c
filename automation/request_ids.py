"""The id of a request, by which a job leads back to what started it."""

import re
import uuid

from django.http import HttpRequest

HEADER = "X-Request-ID"
WELL_FORMED = re.compile(r"[\w.:/+=@~-]{1,128}", re.ASCII)


def request_id(request: HttpRequest) -> str:
    """Return the client's X-Request-ID when it is well-formed, else a new one; the same at each call."""
    kept: dict[str, str] = request.__dict__
    if HEADER not in kept:
        given = request.headers.get(HEADER, "")
        kept[HEADER] = given if WELL_FORMED.fullmatch(given) else uuid.uuid4().hex
    return kept[HEADER]
