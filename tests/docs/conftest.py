"""A new project that follows the README's three steps, and the pages about recording and about jobs."""

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.docs.pages import Block, blocks
from tests.servers import new_folder
from tests.site import ROOT

README, USAGE, JOBS = ROOT / "README.md", ROOT / "docs" / "usage.md", ROOT / "docs" / "automation.md"
# ``NAME = [\n    "new",\n    ...\n]`` says: put "new" before what is there.
PUT_FIRST = re.compile(r"^(\w+) = \[\n(.*?)^    \.\.\.\n\]", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Project:
    """A project in a folder of its own, for which this checkout is an installed package."""

    folder: Path
    settings: str = "mysite/settings.py"
    module: str = "mysite.settings"

    @property
    def env(self) -> dict[str, str]:
        """The environment of a shell that knows nothing of the tests."""
        return {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}

    def run(self, *command: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run a command there."""
        env = self.env | environment
        return subprocess.run(command, cwd=self.folder, env=env, capture_output=True, text=True, timeout=200)

    def python(self, *arguments: str | Path, **environment: str) -> str:
        """What Python prints, on both channels; it must succeed, and without a warning of ours."""
        done = self.run(sys.executable, *arguments, **environment)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    def script(self, code: str, **environment: str) -> str:
        """What a script prints that Django is set up for."""
        first = f"import os; os.environ['DJANGO_SETTINGS_MODULE'] = '{self.module}'; import django; django.setup()"
        return self.python("-c", f"{first}\n{code}", **environment)

    def add(self, block: Block) -> None:
        """Write a code block into the file that its first line names."""
        name = block.file if "/" in block.file else f"mysite/{block.file}"
        path = self.folder / (self.settings if block.file == "settings.py" else name)
        path.parent.mkdir(exist_ok=True)
        before = path.read_text() if path.exists() else ""
        path.write_text(f"{before}\n{PUT_FIRST.sub(_put_first, block.code)}")


def _put_first(found: re.Match[str]) -> str:
    return f"{found[1]} = [\n{found[2]}    *{found[1]},\n]"


def started(name: str) -> Project:
    project = Project(new_folder(name))
    project.python("-m", "django", "startproject", "mysite", ".")
    for block in blocks("python", pages=[README]):
        project.add(block)
    return project


@pytest.fixture(scope="session")
def readme_project():
    """``startproject``, and the three steps as the README has them."""
    project = started("readme")
    project.python("manage.py", "migrate")
    return project


@pytest.fixture(scope="session")
def usage_project():
    """The three steps, and the app ``reports`` with every file of the page about recording."""
    project = started("usage")
    (project.folder / "reports").mkdir()
    (project.folder / "reports" / "__init__.py").touch()
    for block in blocks("python", pages=[USAGE]):
        if block.file:
            project.add(block)
    with (project.folder / "mysite" / "settings.py").open("a") as settings:
        settings.write('\nINSTALLED_APPS.append("reports")\n')
    project.python("manage.py", "makemigrations", "reports")
    project.python("manage.py", "migrate")
    return project


@pytest.fixture(scope="session")
def jobs_project():
    """The three steps, and those of the page about jobs."""
    project = started("jobs")
    for block in blocks("python", pages=[JOBS]):
        if block.file:
            project.add(block)
    project.python("manage.py", "migrate")
    return project
