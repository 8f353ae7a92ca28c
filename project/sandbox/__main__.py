"""``python -m project.sandbox``: the sandbox on this machine, until SIGTERM or Ctrl-C."""

import argparse
import logging
import signal
import socket
import sys

import uvicorn

from project.sandbox.anthropic import Anthropic
from project.sandbox.app import Sandbox
from project.sandbox.core import Service
from project.sandbox.faults import Faults, Weather
from project.sandbox.notion import Notion
from project.sandbox.openai import OpenAI
from project.sandbox.vercel import Sites, Vercel

# A pool that keeps connections should not meet one that ends just when it is used.
KEEP_ALIVE_SECONDS = 75


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser("python -m project.sandbox", description=__doc__)
    parser.add_argument("--port", type=int, default=8100, help="0: any that is free")
    parser.add_argument("--fd", type=int, help="a socket that listens already, in place of a port")
    parser.add_argument("--faults", choices=["none", "realistic"], default="none", help="what comes by chance")
    parser.add_argument("--seed", type=int, default=0, help="of that chance")
    parser.add_argument("--build-seconds", type=float, default=0.3, help="from the start of a deployment to its end")
    return parser.parse_args(arguments)


def listen(port: int) -> socket.socket:
    # Only where the protocol is given does asyncio send small packets at once, and not 40 ms later.
    listener = socket.socket(proto=socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(("127.0.0.1", port))
    except OSError:
        sys.exit(f"Port {port} is taken: give another one with --port.")
    listener.listen(512)
    return listener


def services(build_seconds: float) -> dict[str, Service]:
    """The stand-ins by where they are mounted."""
    vercel = Vercel(build_seconds)
    clients = {service.name: service for service in (Notion(), vercel, OpenAI(), Anthropic())}
    return {**clients, "_deployments": Sites(vercel)}


def main() -> None:
    options = parse()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: sys.exit(0))  # uvicorn raises them again when it has ended
    logging.getLogger("uvicorn").setLevel(logging.CRITICAL)  # an answer that is cut is no error here
    listener = listen(options.port) if options.fd is None else socket.socket(fileno=options.fd)
    app = Sandbox(
        services(options.build_seconds), Faults(Weather(options.seed) if options.faults == "realistic" else None)
    )
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        lifespan="off",
        server_header=False,
        headers=[("server", "SANDBOX")],
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=1,
    )
    print(f"SANDBOX of Notion, Vercel, OpenAI and Anthropic: http://127.0.0.1:{listener.getsockname()[1]}", flush=True)
    uvicorn.Server(config).run(sockets=[listener])


if __name__ == "__main__":
    main()
