"""`manage.py export_history --since 2026-10-01 --output history.om`: what was before Prometheus, for it to keep."""

import re
import sys
from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Iterable
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError
from django.utils import timezone

from automation import history
from automation.management.moments import moment
from observability.management.output import PrintingCommand

LABEL_NAME = re.compile("(?!__)[a-zA-Z_][a-zA-Z0-9_]*")
STEP = 240  # seconds: Prometheus takes a series that was silent for five minutes for gone


def label(text: str) -> tuple[str, str]:
    """Return name and value of NAME=VALUE."""
    name, equals, value = text.partition("=")
    if not equals or not LABEL_NAME.fullmatch(name):
        raise ArgumentTypeError(f"{text!r} is not NAME=VALUE.")
    if name in history.LABELS:
        raise ArgumentTypeError(f"{name} is a label that the metrics have already.")
    return name, value


class Command(PrintingCommand):
    help = "Write what rows tell of the past as OpenMetrics with time stamps, for promtool to make blocks of."

    def add_arguments(self, parser: ArgumentParser) -> None:
        add = parser.add_argument
        add("--since", type=moment, required=True, metavar="DATE", help="as 2026-10-01")
        add("--until", type=moment, metavar="DATE", help="when Prometheus began to scrape; by default now")
        add(
            "--label", type=label, action="append", default=[], metavar="NAME=VALUE", help="of every series; repeatable"
        )
        add("--step", type=int, default=STEP, metavar="SECONDS", help="between samples, default: %(default)s")
        add("--output", type=Path, metavar="FILE", help="instead of printing")

    def handle(
        self, *, since: datetime, until: datetime | None, step: int, output: Path | None, **options: Any
    ) -> None:
        until = min(until or timezone.now(), timezone.now())
        if since >= until:
            raise CommandError("--since has to be before --until, and before now.")
        if step < 1:
            raise CommandError("--step is a number of seconds from 1 on.")
        with closing(history.lines(since, until, step, dict(options["label"]))) as lines:  # and its cursors
            if output is None:
                sys.stdout.writelines(lines)
            else:
                _write(output, lines)


def _write(output: Path, lines: Iterable[str]) -> None:
    try:
        with output.open("w", encoding="utf-8") as file:
            file.writelines(lines)
    except OSError as error:
        raise CommandError(f"{output} cannot be written: {error.strerror}.") from error
