"""A page of Notion as Markdown. Its blocks: https://developers.notion.com/reference/block"""

from collections.abc import Iterator
from typing import Any

# What stands before a block, and before the blocks within it.
KINDS = {
    "heading_1": ("# ", ""),
    "heading_2": ("## ", ""),
    "heading_3": ("### ", ""),
    "paragraph": ("", "  "),
    "bulleted_list_item": ("- ", "  "),
    "numbered_list_item": ("{number}. ", "   "),
    "to_do": ("- [{mark}] ", "  "),
    "toggle": ("- ", "  "),
    "quote": ("> ", "> "),
    "callout": ("> ", "> "),
}
ITEMS = {"bulleted_list_item", "numbered_list_item", "to_do", "toggle"}  # they stand close together
LINKS = {"bookmark", "embed", "link_preview", "image", "video", "audio", "file", "pdf"}
MARKS = {"code": "`", "bold": "**", "italic": "*", "strikethrough": "~~"}  # the first one is the innermost

Block = dict[str, Any]


def title(page: dict[str, Any]) -> str:
    """Return the title of a page; every page has one such property, whatever its name."""
    texts = [value["title"] for value in page["properties"].values() if value["type"] == "title"]
    return _plain(texts[0]).strip() or "Untitled"


def markdown(blocks: list[Block]) -> str:
    """Return blocks, each with those within it as `children`; what is no text, link or table is left out."""
    return "\n".join(_lines(blocks))


def _lines(blocks: list[Block]) -> Iterator[str]:
    """One empty line between two blocks, unless both are items of a list."""
    before, number = "", 0
    for block in blocks:
        kind = block["type"]
        number = number + 1 if kind == before == "numbered_list_item" else 1
        lines = list(_block(block, kind, number))
        if lines and before and not {before, kind} <= ITEMS:
            yield ""
        yield from lines
        before = kind if lines else before


def _block(block: Block, kind: str, number: int) -> Iterator[str]:
    content, children = block.get(kind) or {}, block.get("children", [])
    if kind == "table":
        yield from _table(children)
        return
    if kind in KINDS:
        first, further = KINDS[kind]
        head = first.format(number=number, mark="x" if content.get("checked") else " ")
        text, *more = _rich(content["rich_text"]).split("\n")
        yield f"{head}{text}".rstrip()
        yield from _within(further, more)
    else:
        further = ""
        yield from _other(kind, content)
    yield from _within(further, _lines(children))


def _within(before: str, lines: list[str] | Iterator[str]) -> Iterator[str]:
    return (f"{before}{line}".rstrip() for line in lines)


def _other(kind: str, content: Block) -> Iterator[str]:
    if kind == "code":
        yield from (f"```{content['language']}", *_plain(content["rich_text"]).split("\n"), "```")
    elif kind == "divider":
        yield "---"
    elif kind == "equation":
        yield f"$${content['expression']}$$"
    elif kind in {"child_page", "child_database"}:
        yield f"- {content['title']}"
    elif kind in LINKS:
        # the address of a file that Notion itself keeps is a secret, for an hour
        url = content.get("url") or content.get("external", {}).get("url", "")
        caption = _plain(content.get("caption", [])) or kind
        yield f"[{caption}]({url})" if url else caption


def _table(rows: list[Block]) -> Iterator[str]:
    for position, row in enumerate(rows):
        cells = [_rich(cell).replace("|", "\\|").replace("\n", " ") for cell in row["table_row"]["cells"]]
        yield f"| {' | '.join(cells)} |"
        if position == 0:
            yield f"|{' --- |' * len(cells)}"


def _plain(texts: list[Block]) -> str:
    return "".join(text["plain_text"] for text in texts)


def _rich(texts: list[Block]) -> str:
    return "".join(map(_marked, texts))


def _marked(text: Block) -> str:
    """Marks stand close to the words: spaces stay outside."""
    plain = text["plain_text"]
    words = plain.strip()
    if not words:
        return str(plain)
    left, right = plain.split(words, 1)
    for name, mark in MARKS.items():
        if text["annotations"][name]:
            words = f"{mark}{words}{mark}"
    return f"{left}[{words}]({text['href']}){right}" if text.get("href") else f"{left}{words}{right}"
