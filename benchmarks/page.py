"""The measured part of docs/performance.md, with the machine it was measured on."""

import os
import platform
import textwrap
from collections.abc import Iterable
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from benchmarks.tables import WIDTH

PAGE = Path(__file__).resolve().parent.parent / "docs/performance.md"
BEGIN, END = "<!-- make bench: from here -->\n", "<!-- make bench: to here -->\n"
LIBRARIES = (
    "Django",
    "prometheus_client",
    "django-prometheus",
    "opentelemetry-instrumentation-django",
    "opentelemetry-sdk",
    "django-tasks-db",
    "python-json-logger",
    "genai-prices",
    "sentry-sdk",
)


def machine() -> list[str]:
    """What the figures are taken on, and when."""
    load = ", ".join(f"{figure:.1f}" for figure in os.getloadavg())
    return [
        f"{processor()}, {os.cpu_count()} cores, {platform.system()} on {platform.machine()}",
        f"Python {platform.python_version()}; {', '.join(f'{name} {version(name)}' for name in LIBRARIES)}",
        f"{datetime.now(UTC):%d %B %Y, %H:%M} UTC; load at the start (of 1, 5 and 15 minutes): {load}",
    ]


def processor() -> str:
    """The model that Linux names."""
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.processor()


def items(texts: Iterable[str]) -> list[str]:
    """The lines of a list."""
    return [line for text in texts for line in textwrap.wrap(f"- {text}", WIDTH, subsequent_indent="  ")]


def write(lines: Iterable[str], page: Path = PAGE) -> None:
    """Put these lines in place of those of the last run; what people wrote around them stays."""
    before, rest = page.read_text().split(BEGIN)
    _, after = rest.split(END)
    page.write_text("".join([before, BEGIN, "\n", *(f"{line}\n" for line in lines), END, after]))
