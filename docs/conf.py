"""How Sphinx makes a site of these pages, which are written to be read on GitHub as well: ``make docs``."""

# ruff: noqa: INP001  # Sphinx's configuration, not a package

from pygments.lexers.special import TextLexer
from sphinx.application import Sphinx

import observability
from prometheus.thresholds import RUNBOOKS

project = "Django Automation Observability"
version = release = observability.__version__
extensions = ["myst_parser"]
myst_heading_anchors = 3  # as GitHub has them
html_theme = "furo"
html_title = f"{project} {version}"


REPOSITORY = RUNBOOKS.partition("docs/")[0]


def lead_out(app: Sphinx, page: str, source: list[str]) -> None:
    """Links to what is not in this folder lead to the repository."""
    source[0] = source[0].replace("](../", f"]({REPOSITORY}")


def setup(app: Sphinx) -> None:
    """Called by Sphinx."""
    app.connect("source-read", lead_out)
    app.add_lexer("promql", TextLexer)  # Pygments knows no PromQL
