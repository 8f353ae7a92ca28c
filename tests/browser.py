"""A real Chromium for one test."""

from contextlib import contextmanager

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import sync_playwright

from tests.servers import require

QUIET = "--no-sandbox --disable-gpu --disable-background-networking --disable-component-update --disable-sync".split()


OWN = "script-src style-src img-src connect-src form-action".split()
STRICT = "; ".join(["default-src 'none'", *(f"{what} 'self'" for what in OWN)])


def _strictly(route):
    """Have a page come with a policy that allows nothing inline; the console tells what it refused."""
    answer = route.fetch()
    route.fulfill(response=answer, headers=answer.headers | {"content-security-policy": STRICT})


@contextmanager
def browser(width: int = 1300, height: int = 900, strict: str = "", **context):
    """A new page; what its console had to complain about is in ``page.errors``.

    ``strict`` are addresses, as a pattern, that get a Content-Security-Policy without anything inline.
    """
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=require("chromium"), args=QUIET)
        page = chromium.new_context(viewport={"width": width, "height": height}, **context).new_page()
        page.errors = []
        page.on("console", lambda message: page.errors.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: page.errors.append(str(error)))
        page.route("**/favicon.ico", lambda route: route.fulfill(status=204))  # Chromium's own idea
        if strict:
            page.route(strict, _strictly)
        yield page
        chromium.close()


def violations(page, within: str = "#content") -> list[str]:
    """What axe finds wrong with the page's accessibility in what is ours: the admin's frame is Django's."""
    found = Axe().run(page, context=within).response["violations"]
    return [f"{problem['id']}: {node['html']}" for problem in found for node in problem["nodes"]]


SIGN_IN = """
from importlib import import_module
from django.conf import settings
from django.contrib.auth import login
from django.contrib.auth.models import Permission, User
from django.http import HttpRequest
user = User.objects.create(username="{name}", is_staff=True, is_superuser={permissions} is None)
user.user_permissions.set(Permission.objects.filter(codename__in={permissions} or []))
request = HttpRequest()
request.session = import_module(settings.SESSION_ENGINE).SessionStore()
login(request, user, backend="django.contrib.auth.backends.ModelBackend")
request.session.save()
print(settings.SESSION_COOKIE_NAME + "=" + request.session.session_key)
"""


def sign_in(running, name: str = "ada", permissions: list[str] | None = None) -> str:
    """The cookie of a new staff user of a running site, with some permissions or, without a list, with all."""
    done = running.manage("shell", "--no-imports", "-c", SIGN_IN.format(name=name, permissions=permissions))
    assert done.returncode == 0, done.stderr
    return done.stdout.split()[-1]
