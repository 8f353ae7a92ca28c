"""Any web page: a GET without a key of ours, that goes where it is told and nowhere else."""

from collections.abc import Mapping

import httpx2

from automation.clients.http import Deadline, tls
from automation.errors import Failure, describe

TIMEOUT = 10.0  # seconds for one page, the body included


def get(url: str, *, keep: int = 0, headers: Mapping[str, str] | None = None) -> tuple[int, bytes]:
    """Return status and the first `keep` bytes of the body; raises Failure where no complete answer comes in time."""
    try:
        with _client() as client, client.stream("GET", url, headers=headers) as response:
            return response.status_code, _read(response, keep)
    except TimeoutError:
        raise Failure(f"not complete within {TIMEOUT:g} seconds", retriable=True) from None
    except (httpx2.HTTPError, httpx2.InvalidURL) as exc:
        raise Failure(describe(exc), retriable=True) from exc


def _client() -> httpx2.Client:
    """Return a client that goes where it is told, by itself, on a fresh connection.

    No proxy or credentials from the environment, no redirects, no kept-alive connection whose end would look
    like a failure of the site.
    """
    fresh = httpx2.Limits(max_keepalive_connections=0)
    headers = {"User-Agent": "automation", "Accept-Encoding": "identity"}
    return httpx2.Client(
        trust_env=False, follow_redirects=False, verify=tls(), timeout=TIMEOUT, limits=fresh, headers=headers
    )


def _read(response: httpx2.Response, keep: int) -> bytes:
    """Read to the end, so that the site sees a complete request."""
    deadline, kept = Deadline(TIMEOUT), bytearray()
    for part in response.iter_raw():
        kept += part[: keep - len(kept)]
        deadline.check()
    return bytes(kept)
