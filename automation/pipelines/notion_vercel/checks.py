"""What is checked of the files that a model wrote, before they go anywhere."""

import html
import json
import re
import time
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tree_sitter import Language, Node

INDEX = "index.html"
MAX_FILES = 100
MAX_PATH = 200  # characters
MAX_FILE = 300_000  # bytes
MAX_ALL = 2_000_000  # bytes
PARSE_SECONDS = 2.0  # for a script; what is made for that takes the parser minutes
PIECE = 4096  # bytes
# No empty part, so neither absolute nor "//"; none that begins with a dot, so neither ".." nor ".git".
PATH = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]*(/[A-Za-z0-9_-][A-Za-z0-9._-]*)*")
# Within bounds, since the parser of the standard library takes minutes for what is made for that.
TITLE = re.compile(r"<title(?:\s[^<>]{0,200})?>([^<]{0,1000})</title\s*>", re.IGNORECASE)
# With these, a page of Notion could run commands where the website is built, or programs where it is served: Vercel
# makes a function of each file in ``api``, and of a middleware. https://vercel.com/docs/functions/runtimes
PROGRAMS = re.compile(
    r"(.*/)?((package|vercel|now)\.json|requirements\.txt)|api/.*|(src/)?middleware\..*", re.IGNORECASE
)


def complaints(files: Mapping[str, str]) -> list[str]:
    """Return what is wrong with a website, in sentences; nothing is good."""
    return [*_about_all(files), *(each for path, content in files.items() for each in _about_one(path, content))]


def _about_all(files: Mapping[str, str]) -> Iterator[str]:
    if INDEX not in files:
        yield f"There is no {INDEX}."
    if len(files) > MAX_FILES:
        yield f"There are {len(files)} files; {MAX_FILES} are allowed."
    if (size := sum(map(_size, files.values()))) > MAX_ALL:
        yield f"The files have {size:,} bytes together; {MAX_ALL:,} are allowed."
    if len({path.casefold() for path in files}) < len(files):
        yield "Two paths differ in capital letters only."
    folders = {str(folder).casefold() for path in files for folder in PurePosixPath(path).parents}
    for path in files:
        if path.casefold() in folders:
            yield f"{path!r} is a file and a folder."


def _about_one(path: str, content: str) -> Iterator[str]:
    if len(path) > MAX_PATH or not PATH.fullmatch(path):
        yield f"{path[:MAX_PATH]!r} is no path within the project."
        return
    if (size := _size(content)) > MAX_FILE:
        yield f"{path} has {size:,} bytes; {MAX_FILE:,} are allowed."
        return
    suffix = PurePosixPath(path).suffix
    if PROGRAMS.fullmatch(path):
        yield f"{path} would run where the website is built or served."
    elif suffix not in CHECKS:
        yield f"{path} is of no kind that a website may have: {', '.join(CHECKS)}."
    elif problem := CHECKS[suffix](content):
        yield f"{path} {problem}."


def _size(content: str) -> int:
    return len(content.encode())


def title_of(page: str) -> str:
    """Return the title of an HTML page, with single spaces; empty where there is none."""
    match = TITLE.search(page)
    return " ".join(html.unescape(match[1]).split()) if match else ""


def _check_html(content: str) -> str:
    """A browser makes something of any text; without a title it is no page."""
    return "" if title_of(content) else "has no title"


def _check_json(content: str) -> str:
    try:
        json.loads(content)
    except (ValueError, RecursionError) as exc:
        return f"is no JSON: {exc}"
    return ""


def _check_javascript(content: str) -> str:
    from tree_sitter import Parser

    text, deadline = content.encode(), time.monotonic() + PARSE_SECONDS
    parser = Parser(_javascript())
    try:
        # in pieces, since only so it asks whether to go on, and lets other threads run
        tree = parser.parse(
            lambda at, _: text[at : at + PIECE], progress_callback=lambda *_: time.monotonic() > deadline
        )
    except ValueError:
        return f"takes longer than {PARSE_SECONDS:g} s to read"
    root = tree.root_node
    return f"is no JavaScript: line {_first_error(root).start_point.row + 1}" if root.has_error else ""


@cache
def _javascript() -> "Language":
    import tree_sitter_javascript
    from tree_sitter import Language

    return Language(tree_sitter_javascript.language())


def _first_error(node: "Node") -> "Node":
    """Return the innermost first node that is wrong."""
    while wrong := next((child for child in node.children if child.has_error or child.is_missing), None):
        node = wrong
    return node


def _check_nothing(content: str) -> str:
    return ""


# A browser leaves out the rules of CSS that it does not understand: there is no wrong CSS.
CHECKS: dict[str, Callable[[str], str]] = {
    ".html": _check_html,
    ".css": _check_nothing,
    ".js": _check_javascript,
    ".mjs": _check_javascript,
    ".json": _check_json,
    ".svg": _check_nothing,
    ".txt": _check_nothing,
    ".md": _check_nothing,
    ".xml": _check_nothing,
    ".webmanifest": _check_json,
}
