"""A real Chromium for one test."""

from contextlib import contextmanager

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import sync_playwright

from tests.servers import require

QUIET = "--no-sandbox --disable-gpu --disable-background-networking --disable-component-update --disable-sync".split()


@contextmanager
def browser(width: int = 1300, height: int = 900, **context):
    """A new page; what its console had to complain about is in ``page.errors``."""
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=require("chromium"), args=QUIET)
        page = chromium.new_context(viewport={"width": width, "height": height}, **context).new_page()
        page.errors = []
        page.on("console", lambda message: page.errors.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: page.errors.append(str(error)))
        page.route("**/favicon.ico", lambda route: route.fulfill(status=204))  # Chromium's own idea
        yield page
        chromium.close()


def violations(page, within: str = "#content") -> list[str]:
    """What axe finds wrong with the page's accessibility in what is ours: the admin's frame is Django's."""
    found = Axe().run(page, context=within).response["violations"]
    return [f"{problem['id']}: {node['html']}" for problem in found for node in problem["nodes"]]
