"""``manage.py dump_metrics``: what the running deployment on this host has recorded."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError, CommandParser

from observability import exposition, store
from observability.conf import get_conf
from observability.exposition import Snapshot
from observability.management.output import PrintingCommand


def to_json(families: Snapshot) -> bytes:
    """The JSON endpoint's content, indented."""
    return json.dumps(exposition.to_dict(families), indent=2, allow_nan=False).encode() + b"\n"


def to_table(families: Snapshot) -> bytes:
    """Names, labels and values in columns."""
    rows = [(row.name, row.labels, row.value) for row in exposition.to_rows(families)]
    widths = [max((len(row[column]) for row in rows), default=0) for column in range(3)]
    lines = (f"{name:<{widths[0]}}  {labels:<{widths[1]}}  {value:>{widths[2]}}\n" for name, labels, value in rows)
    return "".join(lines).encode()


FORMATS: dict[str, Callable[[Snapshot], bytes]] = {
    "prometheus": exposition.to_text,
    "openmetrics": exposition.to_openmetrics,
    "json": to_json,
    "table": to_table,
}


class Command(PrintingCommand):
    help = "Show what the running deployment on this host has recorded: all its processes share one store."
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--format", choices=FORMATS, default="prometheus", help="default: %(default)s")
        parser.add_argument(
            "--name", nargs="+", action="extend", default=[], metavar="PREFIX", help="only metrics whose name begins so"
        )
        parser.add_argument("--output", metavar="FILE", help="write a file, atomically, mode 0600, instead of printing")

    def handle(self, *args: Any, **options: Any) -> None:
        _require_store()
        families = _select(exposition.snapshot(), options["name"])
        if not families:
            self.stderr.write(f"No metric begins with {' or '.join(map(repr, options['name']))}.")
        content = FORMATS[options["format"]](families)
        if options["output"] is not None:
            _write(Path(options["output"]), content)
        else:
            self.stdout.write(content.decode(), ending="")


def _require_store() -> None:
    if not get_conf().METRICS_ENABLED:
        raise CommandError("Metrics are off (METRICS_ENABLED): nothing is recorded.")
    if store.folder() is None and (path := get_conf().PROMETHEUS_MULTIPROC_DIR):
        raise CommandError(
            f"The store folder {path} cannot be used by this user: run the command as the user who runs the site."
        )
    if store.folder() is None:
        raise CommandError(
            "There is no shared store to read: set OBSERVABILITY['PROMETHEUS_MULTIPROC_DIR'] (or the environment "
            "variable PROMETHEUS_MULTIPROC_DIR) to the folder that the running site records into."
        )


def _select(families: Snapshot, prefixes: Sequence[str]) -> Snapshot:
    if not prefixes:
        return families
    return [family for family in families if exposition.type_line_name(family).startswith(tuple(prefixes))]


def _write(target: Path, content: bytes) -> None:
    """Beside the target first, so that a reader never sees half a file."""
    try:
        if target.is_symlink() or (target.exists() and not target.is_file()):
            raise CommandError(f"{target} is no regular file: it would be replaced by one. Name a file, or use a pipe.")
        handle, name = tempfile.mkstemp(dir=target.absolute().parent, prefix=f".{target.name}.")  # mode 0600
    except (OSError, ValueError) as error:  # ValueError: NUL in a name
        raise CommandError(f"{target} cannot be written: {getattr(error, 'strerror', error)}.") from error
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        Path(name).replace(target)
    except OSError as error:
        Path(name).unlink(missing_ok=True)
        raise CommandError(f"{target} cannot be written: {error.strerror}.") from error
