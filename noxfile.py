"""The tests on each pair of Python and Django that is supported: ``nox`` runs those whose Python is here.

``nox -s "tests(3.13, 6.1)"`` runs one pair; what stands after ``--`` goes to pytest.
"""

import os
import shutil
from itertools import product
from pathlib import Path

import nox

OLDEST = ("3.11", "5.2")
PAIRS = [OLDEST, *product(("3.12", "3.13"), ("5.2", "6.0", "6.1"))]
# What leans on Python and Django themselves, in about two minutes; `make test` runs everything on the oldest pair.
CORE = """
    tests/observability/test_adoption.py tests/observability/test_checks.py tests/observability/test_collector.py
    tests/observability/test_correlation.py tests/observability/test_endpoints.py tests/observability/test_middleware.py
    tests/observability/test_request_ids.py tests/observability/test_store.py tests/observability/test_tracking.py
    tests/observability/test_upgrading.py
    tests/automation/test_admin.py tests/automation/test_admin_actions.py tests/automation/test_api.py
    tests/automation/test_api_jobs.py tests/automation/test_api_start.py tests/automation/test_budgets.py
    tests/automation/test_checks.py tests/automation/test_daybook.py tests/automation/test_jobs.py
    tests/automation/test_metrics.py tests/automation/test_pipelines.py tests/automation/test_reaper.py
    tests/automation/test_run_job.py tests/automation/test_spend_page.py tests/automation/test_start.py
    tests/automation/test_upgrading.py tests/automation/test_worker.py
    tests/project/test_settings.py
""".split()

# pyenv lets its own programs find one version alone.
PYENV = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
os.environ["PATH"] = os.pathsep.join([os.environ["PATH"], *map(str, sorted(PYENV.glob("versions/*/bin")))])
NEWEST = [OLDEST, *(pair for pair in PAIRS if shutil.which(f"python{pair[0]}"))][-1]

nox.options.default_venv_backend = "venv"
nox.options.error_on_missing_interpreters = False
nox.options.reuse_existing_virtualenvs = True
nox.options.sessions = ["tests"]


@nox.session
@nox.parametrize(("python", "django"), PAIRS, ids=[", ".join(pair) for pair in PAIRS])
def tests(session: nox.Session, django: str) -> None:
    """Run the tests on a pair."""
    run_tests(session, django, session.posargs)


@nox.session(python=NEWEST[0])
def newest(session: nox.Session) -> None:
    """Run the tests that lean on Python and Django, on the newest pair that is here."""
    if NEWEST == OLDEST:
        session.skip(f"Python {OLDEST[0]} is the newest that is here, and `make test` runs its pair")
    run_tests(session, NEWEST[1], [*CORE, *session.posargs])


def run_tests(session: nox.Session, django: str, arguments: list[str]) -> None:
    session.install("-r", "requirements-dev.txt")
    session.install(f"Django~={django}.0")  # in place of the one that is pinned
    session.run("python", "-m", "pytest", "-n", "3", *arguments)
