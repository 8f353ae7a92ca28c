"""What commands that print much have in common."""

from __future__ import annotations

import os
import signal
import sys

from django.core.management.base import BaseCommand


class PrintingCommand(BaseCommand):
    """Ends quietly when whoever reads what it prints has seen enough, as ``head`` has."""

    def run_from_argv(self, argv: list[str]) -> None:
        try:
            super().run_from_argv(argv)
            sys.stdout.flush()
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # Python flushes once more at its exit
            sys.exit(128 + signal.SIGPIPE)  # as a shell says of a program that this signal has ended
