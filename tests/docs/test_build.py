"""The pages become a site, and what is made from the code is as the code is now."""

import runpy
import shlex
import subprocess
import sys

import pytest

from tests.docs.pages import PAGES
from tests.servers import new_folder
from tests.site import ROOT

REFERENCE = runpy.run_path(str(ROOT / "docs" / "reference.py"))


@pytest.fixture(scope="module")
def site():
    """The folder of what ``make docs`` builds; a warning of Sphinx is an error."""
    [line] = [line for line in (ROOT / "Makefile").read_text().splitlines() if "-m sphinx" in line]
    folder = new_folder("built")
    options = shlex.split(line.partition("-m sphinx")[2].replace("build/docs", str(folder)))
    done = subprocess.run(
        [sys.executable, "-m", "sphinx", *options], cwd=ROOT, capture_output=True, text=True, timeout=100
    )
    assert (done.returncode, done.stderr) == (0, "")
    return folder


def test_the_docs_build_without_a_warning_and_each_page_is_in_the_contents(site):
    contents = (site / "index.html").read_text()
    pages = [page for page in PAGES if page.parent.name == "docs" and page.name != "index.md"]
    assert [page.name for page in pages if f'href="{page.stem}.html"' not in contents] == []


def test_the_tables_of_metrics_are_those_of_the_registry():
    page = REFERENCE["PAGE"].read_text()
    assert page == REFERENCE["written"](page), "Write them anew: make reference"
    assert page.count("<!-- make reference: ") == len(REFERENCE["TABLES"])
    named = {name for name in REFERENCE["NOTES"] if f"`{name}` |" not in page}
    assert named == set()
