"""The pages of the sandbox's Notion: briefs for small websites, written in Markdown."""

import re
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

WRITTEN = sorted(Path(__file__).with_name("briefs").glob("*.md"))
TRADES = "Bakery Florist Bookshop Dentist Garage Choir Winery Surgery Gallery Brewery Nursery Theatre Hotel".split()
PLACES = "Ashford Bergen Colmar Delft Évora Faro Graz Hobart Ithaca Jena Kyoto".split()
MADE = """\
# {trade} in {place}
A small website for a **{trade}** in {place}, order number {number}.
## What it must say
- Where we are and when we are open
  - Weekdays from {hour} to 18
  - Saturdays until 13
- What we offer
- How to reach us
## What it should look like
Calm, one column, readable on a telephone. Our colour is `#{colour:06x}`.
[ ] Photographs from the owner
[x] Text approved
"""

BLOCK = re.compile(
    r"(?P<to_do>\[(?P<checked>[ x])\] )|(?P<bulleted_list_item>- )|(?P<numbered_list_item>\d+\. )|(?P<quote>> )"
    r"|(?P<heading_3>### )|(?P<heading_2>## )|(?P<heading_1># )|(?P<divider>---$)"
)
INLINE = re.compile(r"\*\*(?P<bold>.+?)\*\*|`(?P<code>.+?)`|\[(?P<link>[^]]+)\]\((?P<href>[^)]+)\)")
PLAIN = {"bold": False, "italic": False, "strikethrough": False, "underline": False, "code": False, "color": "default"}


@dataclass
class Block:
    """A block, with the index of the block that it is within."""

    index: int
    type: str
    content: dict[str, Any]
    parent: int | None
    has_children: bool = False


@dataclass
class Brief:
    """A title and all blocks, in the order in which they are read."""

    title: str
    blocks: list[Block] = field(default_factory=list)
    above: list[int] = field(default_factory=list)  # where deeper lines belong: an index for each depth

    def add(self, depth: int, kind: str, content: dict[str, Any]) -> None:
        del self.above[depth:]
        parent = self.above[-1] if self.above else None
        if parent is not None:
            self.blocks[parent].has_children = True
        self.above.append(len(self.blocks))
        self.blocks.append(Block(len(self.blocks), kind, content, parent))


@lru_cache(maxsize=2000)
def brief(number: int) -> Brief:
    """The page of this number, counted from 1: those that were written first, the rest made from the number."""
    if 0 < number <= len(WRITTEN):
        return parse(WRITTEN[number - 1].read_text())
    values = {"trade": TRADES[number % len(TRADES)], "place": PLACES[number % len(PLACES)]}
    return parse(MADE.format(number=number, hour=7 + number % 4, colour=number * 7919 % 0x1000000, **values))


def parse(text: str) -> Brief:
    """A page from Markdown whose first line is its title; two spaces nest a line."""
    first, *parts = re.split(r"^```(\w+)\n(.*?)^```\n", text, flags=re.MULTILINE | re.DOTALL)
    title, _, first = first.partition("\n")
    page = Brief(title.removeprefix("# "))
    _add_lines(page, first)
    for language, code, lines in zip(parts[::3], parts[1::3], parts[2::3], strict=True):
        page.add(0, "code", {"rich_text": _plain(code.rstrip()), "caption": [], "language": language})
        _add_lines(page, lines)
    return page


def _add_lines(page: Brief, lines: str) -> None:
    for line in filter(str.strip, lines.splitlines()):
        text = line.lstrip()
        kind, content = _parse_line(text)
        page.add((len(line) - len(text)) // 2, kind, content)


def _parse_line(text: str) -> tuple[str, dict[str, Any]]:
    match = BLOCK.match(text)
    if match is None:
        return "paragraph", {"rich_text": rich_text(text), "color": "default"}
    kind = str(match.lastgroup)
    if kind == "divider":
        return kind, {}
    content: dict[str, Any] = {"rich_text": rich_text(text[match.end() :]), "color": "default"}
    if kind == "to_do":
        content["checked"] = match["checked"] == "x"
    elif kind.startswith("heading"):
        content["is_toggleable"] = False
    return kind, content


def rich_text(text: str) -> list[dict[str, Any]]:
    """Text with ``**bold**``, ```code``` and ``[links](…)``, part by part."""
    parts, end = [], 0
    for match in INLINE.finditer(text):
        parts += _plain(text[end : match.start()])
        shown = match["bold"] or match["code"] or match["link"]
        parts += _plain(shown, match["href"], bold=bool(match["bold"]), code=bool(match["code"]))
        end = match.end()
    return parts + _plain(text[end:])


def _plain(text: str, href: str | None = None, **annotations: bool) -> list[dict[str, Any]]:
    if not text:
        return []
    link = {"url": href} if href else None
    content = {"content": text, "link": link}
    return [
        {"type": "text", "text": content, "annotations": PLAIN | annotations, "plain_text": text, "href": href},
    ]
