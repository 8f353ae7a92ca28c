"""A proxy before PostgreSQL that can lose an answer, and the connection with it."""

import socket
import threading
from contextlib import suppress
from types import TracebackType
from typing import Self


class Proxy:
    """Listens at `port` of this host; `lost` is how many answers it has lost."""

    def __init__(self, host: str, port: int) -> None:
        self.server = (host, port)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.lost = 0
        self._unwanted: bytes | None = None

    def lose(self, tag: bytes) -> None:
        """Lose the next answer that tells of this, as `UPDATE 1`: the server has committed by then."""
        self._unwanted = tag

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *exc: type[BaseException] | BaseException | TracebackType | None) -> None:
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()

    def _accept(self) -> None:
        with suppress(OSError):  # closed
            while True:
                client = self.listener.accept()[0]
                server = socket.create_connection(self.server)
                threading.Thread(target=self._pass_on, args=(client, server, False), daemon=True).start()
                threading.Thread(target=self._pass_on, args=(server, client, True), daemon=True).start()

    def _pass_on(self, source: socket.socket, target: socket.socket, answers: bool) -> None:
        with source, target, suppress(OSError):
            while data := source.recv(1 << 16):
                if answers and self._unwanted and self._unwanted in data:
                    self.lost, self._unwanted = self.lost + 1, None
                    break
                target.sendall(data)
            for end in (source, target):
                with suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)
