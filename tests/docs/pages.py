"""The documentation as the tests see it: code blocks, table rows, links, headings."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

from tests.site import ROOT

PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
NAMED = re.compile(r"# (\S+\.py)\n")
LINK = re.compile(r"\]\(([^)\s]+)\)")
SECTION = re.compile(r"^## (.+)$", re.MULTILINE)
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)


@dataclass(frozen=True)
class Block:
    """A code block; ``file`` is what its first line names, as ``# reports/models.py``."""

    page: Path
    line: int
    language: str
    code: str
    section: str

    @property
    def file(self) -> str | None:
        named = NAMED.match(self.code)
        return named[1] if named else None

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def blocks(*languages: str, pages: list[Path] = PAGES, below: str = "") -> list[Block]:
    """The code blocks in these languages; ``below``: only those of the section with this heading."""
    return [
        block
        for page in pages
        for block in _blocks(page)
        if block.language in languages and below in ("", block.section)
    ]


def _blocks(page: Path) -> Iterator[Block]:
    text = page.read_text()
    for found in FENCE.finditer(text):
        section = SECTION.findall(text, 0, found.start())[-1:]
        yield Block(page, text.count("\n", 0, found.start()) + 1, found[1], found[2], *section or [""])


def prose(page: Path) -> str:
    """The text without its code blocks."""
    return FENCE.sub("", page.read_text())


def rows(page: str, *header: str) -> list[list[str]]:
    """The rows of all tables with this header, cell by cell; a page that lost its table is an error."""
    found, inside = [], False
    for line in (ROOT / page).read_text().splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")] if line.startswith("|") else []
        if cells == list(header):
            inside = True
        elif not cells:
            inside = False
        elif inside and not set(line) <= set("|-: "):
            found.append(cells)
    assert found, f"{page} has no table with the header {header}."
    return found


def code_in(cell: str) -> list[str]:
    """What is between backticks."""
    return re.findall(r"`([^`]+)`", cell)


def links(page: Path) -> list[str]:
    """The targets of links to other places of the repository."""
    return [unquote(target) for target in LINK.findall(prose(page)) if "://" not in target]


def anchors(page: Path) -> set[str]:
    """The anchors of headings, as GitHub makes them."""
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in HEADING.findall(prose(page))}


def ids(block: Block) -> str:
    return str(block)
