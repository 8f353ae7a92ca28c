"""Small static websites, and plans for them, made of what a prompt says in Markdown."""

import html
import re

LINE = re.compile(r"^ *(?P<mark>#{1,3} |- |\d+\. |\[[ x]\] )?(?P<text>.*\S)", re.MULTILINE)
SECTIONS = 8
PAGE = """\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<link rel="stylesheet" href="style.css">
<script src="script.js" defer></script>
</head>
<body>
<header><h1>{title}</h1></header>
<nav><a href="index.html">Start</a> <a href="contact.html">Contact</a></nav>
<main>
{main}
</main>
<footer>Made by the sandbox of a coding agent.</footer>
</body>
</html>
"""
CONTACT = "<p>Write to <a href='mailto:hello@example.com'>hello@example.com</a>.</p>"
STYLE = """\
:root { color-scheme: light dark; }
body { font: 1.1rem/1.6 system-ui, sans-serif; max-width: 42rem; margin: 2rem auto; padding: 0 1rem; }
header { border-bottom: 2px solid; }
nav a { margin-right: 1rem; }
li { margin: 0.3rem 0; }
footer { margin-top: 3rem; opacity: 0.7; }
"""
SCRIPT = """\
for (const link of document.querySelectorAll("nav a")) {
  if (link.href === location.href) link.setAttribute("aria-current", "page");
}
"""


def website(prompt: str) -> list[dict[str, str]]:
    """The files of a website, each with ``path`` and ``content``."""
    title, sections = outline(prompt)
    pages = {"index.html": "\n".join(_section(*section) for section in sections), "contact.html": CONTACT}
    files = {path: PAGE.format(title=html.escape(title), main=main) for path, main in pages.items()}
    files |= {"style.css": STYLE, "script.js": SCRIPT}
    return [{"path": path, "content": content} for path, content in files.items()]


def plan(prompt: str) -> str:
    """What will be done, as a numbered list."""
    title, sections = outline(prompt)
    steps = [f"Section “{heading}” with {len(items)} entries" for heading, items in sections]
    steps = [
        "Lay out index.html and contact.html",
        *steps,
        "Style them in style.css",
        "Mark the open page in script.js",
    ]
    return f"# {title}\n\n" + "\n".join(f"{number}. {step}." for number, step in enumerate(steps, 1))


def outline(prompt: str) -> tuple[str, list[tuple[str, list[str]]]]:
    """The first heading, and the headings after it with the lines below each."""
    title = ""
    sections: list[tuple[str, list[str]]] = []
    for match in LINE.finditer(prompt):
        if (match["mark"] or "").startswith("#"):
            sections.append((match["text"], []))
            title = title or match["text"]
        elif sections:
            sections[-1][1].append(match["text"])
    return title or "A small website", sections[:SECTIONS]


def _section(heading: str, items: list[str]) -> str:
    lines = "\n".join(f"<li>{html.escape(item)}</li>" for item in items)
    return f"<section>\n<h2>{html.escape(heading)}</h2>\n<ul>\n{lines}\n</ul>\n</section>"
