"""A server that sends bytes as they are written down, one answer for each request in turn."""

import re
import socket
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

from tests.site import listening


@dataclass
class Canned:
    """``requests`` are the bytes that came in, as far as they came before the answer."""

    url: str
    requests: list[bytes] = field(default_factory=list)


def answer(body: bytes | str, status: str = "200 OK", **headers: str) -> bytes:
    """A whole answer; ``content_type="..."`` is a header."""
    body = body if isinstance(body, bytes) else body.encode()
    fields = {"Content-Length": str(len(body)), "Connection": "close"} | headers
    head = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in fields.items())
    return f"HTTP/1.1 {status}\r\n{head}\r\n".encode() + body


@contextmanager
def canned(*answers: bytes | Iterable[bytes]) -> Iterator[Canned]:
    """Serve these; one that is made of pieces goes out piece by piece."""
    with listening() as listener:
        server = Canned(f"http://127.0.0.1:{listener.getsockname()[1]}")
        thread = threading.Thread(target=_serve, args=(listener, server, answers), daemon=True)
        thread.start()
        yield server
        listener.shutdown(socket.SHUT_RDWR)
        thread.join(5)


def _serve(listener: socket.socket, server: Canned, answers: tuple[bytes | Iterable[bytes], ...]) -> None:
    for pieces in answers:
        with suppress(OSError):  # nobody asks for it, or reads it to its end
            connection, _ = listener.accept()
            with connection:
                server.requests.append(_read(connection))
                for piece in [pieces] if isinstance(pieces, bytes) else pieces:
                    connection.sendall(piece)


def _read(connection: socket.socket) -> bytes:
    """A request with the body that its headers announce."""
    data = b""
    while b"\r\n\r\n" not in data:
        data += connection.recv(65536) or b"\r\n\r\n"
    head, _, body = data.partition(b"\r\n\r\n")
    length = re.search(rb"(?i)content-length: *(\d+)", head)
    while len(body) < int(length[1] if length else 0):
        body += connection.recv(65536)
    return head + body
