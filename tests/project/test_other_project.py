"""The app in someone else's project: its wheel, a new virtual environment, ``startproject`` and three steps."""

import ast
import os
import re
import subprocess
import tomllib
from importlib.metadata import packages_distributions, version

import pytest

from tests.project.conftest import bare_environment, new_environment
from tests.servers import new_folder
from tests.site import ROOT, eventually, served

SETTINGS = """
OBSERVABILITY = {"PROMETHEUS_MULTIPROC_DIR": BASE_DIR / "metrics"}
"""
URLS = """
from django.urls import include

urlpatterns += [path("api/", include("observability.urls"))]
"""


@pytest.fixture(scope="module")
def python(distributions):
    """Python of a new virtual environment in which the wheel was installed, with gunicorn and nothing else."""
    pinned = [f"{name}=={version(name)}" for name in ("Django", "prometheus_client", "gunicorn")]
    return new_environment(distributions.wheel, *pinned)


@pytest.fixture
def project(python):
    """A project as ``startproject`` makes it, after the three steps."""
    folder = new_folder("elsewhere")
    call(python.parent / "django-admin", "startproject", "mysite", ".", folder=folder)
    settings, urls = folder / "mysite" / "settings.py", folder / "mysite" / "urls.py"
    replace(settings, "INSTALLED_APPS = [", 'INSTALLED_APPS = [\n    "observability",')
    replace(settings, "MIDDLEWARE = [", 'MIDDLEWARE = [\n    "observability.middleware.MetricsMiddleware",')
    settings.write_text(settings.read_text() + SETTINGS)
    urls.write_text(urls.read_text() + URLS)
    call(python, "manage.py", "migrate", folder=folder)
    return folder


def replace(path, old, new):
    text = path.read_text()
    assert text.count(old) == 1
    path.write_text(text.replace(old, new))


def call(*command, folder):
    """Run a command as a person would, and return what it prints."""
    environment = bare_environment() | {name: os.environ[name] for name in os.environ if name.startswith("PIP_")}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_three_steps_give_exact_counts_over_two_workers(python, project):
    assert "no issues" in call(python, "manage.py", "check", folder=project)
    with served(python, project, bare_environment()) as (_, client):
        for _ in range(100):
            assert client.get("/admin/login/").status_code == 200
        for number in range(50):
            assert client.get(f"/nowhere/{number}").status_code == 404
        expected = {
            'http_requests_total{endpoint="/admin/login/",method="GET",status="200"} 100.0',
            'http_requests_total{endpoint="unmatched",method="GET",status="404"} 50.0',
        }
        eventually(lambda: expected & set(client.get("/api/metrics").text.splitlines()), expected)
        assert client.get("/api/metrics/health").json()["status"] == "healthy"
    # What the web server recorded is there for a command, and after it has ended.
    assert expected <= set(call(python, "manage.py", "dump_metrics", folder=project).splitlines())


def imported(package):
    """The distributions of others from which a package imports, anywhere in its code."""
    nodes = [node for path in (ROOT / package).rglob("*.py") for node in ast.walk(ast.parse(path.read_text()))]
    froms = [node.module for node in nodes if isinstance(node, ast.ImportFrom) and not node.level]
    names = froms + [alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names]
    known = packages_distributions()
    return {_plain(known[top][0]) for name in names if (top := name.partition(".")[0]) in known}


def declared(*extras):
    """The distributions that are installed with these extras."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    lines = [*project["dependencies"], *(line for extra in extras for line in project["optional-dependencies"][extra])]
    return {_plain(re.match(r"[\w-]+", line)[0]) for line in lines}


def _plain(name):
    return name.lower().replace("_", "-")


def test_each_package_imports_what_its_extras_install():
    brought = {"asgiref", "redis"}  # by Django and django-redis
    for_types = {"httpx2"}
    assert imported("automation") - brought <= declared("automation", "prices")
    assert imported("observability") - brought - for_types <= declared("redis", "prices", "logs", "sentry")


def test_the_app_imports_neither_the_application_nor_the_project(python, project):
    loaded = "import django, sys; django.setup(); print({'automation', 'project', 'ninja'} & set(sys.modules))"
    code = f"import os; os.environ['DJANGO_SETTINGS_MODULE'] = 'mysite.settings'; {loaded}"
    assert call(python, "-c", code, folder=project) == "set()\n"
