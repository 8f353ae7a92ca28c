"""How Sphinx makes a site of these pages, which are written to be read on GitHub as well: ``make docs``."""

# ruff: noqa: INP001  # Sphinx's configuration, not a package

from pygments.lexers.special import TextLexer
from sphinx.application import Sphinx

import observability

project = "Django Automation Observability"
version = release = observability.__version__
extensions = ["myst_parser"]
myst_heading_anchors = 3  # as GitHub has them
html_theme = "furo"
html_title = f"{project} {version}"


def setup(app: Sphinx) -> None:
    """Pygments knows no PromQL."""
    app.add_lexer("promql", TextLexer)
