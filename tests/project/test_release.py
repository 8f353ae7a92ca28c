"""What is uploaded: sdist and wheel hold what they should and nothing else, and type checkers can read them."""

import shutil
import sys
import sysconfig
import tarfile
from email import message_from_bytes
from pathlib import Path
from zipfile import ZipFile

import observability
from tests.project.conftest import new_environment
from tests.servers import new_folder

LICENCES = {"LICENSE", "observability/static/observability/vendor/uplot/LICENSE"}


def packaged(checkout):
    """Every file of the two packages."""
    paths = [path for package in ("automation", "observability") for path in (checkout / package).rglob("*")]
    return {str(path.relative_to(checkout)) for path in paths if path.is_file()}


def test_the_wheel_holds_the_two_packages_and_nothing_else(distributions):
    with ZipFile(distributions.wheel) as wheel:
        names = set(wheel.namelist())
    about = f"django_automation_observability-{observability.__version__}.dist-info"
    held = {f"{about}/{name}" for name in ("METADATA", "RECORD", "WHEEL", *(f"licenses/{path}" for path in LICENCES))}
    assert names == packaged(distributions.checkout) | held
    assert {"automation/py.typed", "observability/py.typed"} < names


def test_the_sdist_holds_besides_what_the_wheel_is_built_from(distributions):
    with tarfile.open(distributions.sdist) as sdist:
        names = {member.name.partition("/")[2] for member in sdist.getmembers() if member.isfile()}
    more = "CHANGELOG.md LICENSE PKG-INFO README.md SECURITY.md pyproject.toml".split()
    assert names == packaged(distributions.checkout) | set(more)


def test_the_index_would_take_them_and_show_a_readme_whose_links_lead_somewhere(distributions, program_output):
    program_output(sys.executable, "-m", "twine", "check", "--strict", distributions.sdist, distributions.wheel)
    with ZipFile(distributions.wheel) as wheel:
        [name] = [name for name in wheel.namelist() if name.endswith("/METADATA")]
        metadata = message_from_bytes(wheel.read(name))
    assert metadata["Version"] == observability.__version__
    links = metadata.get_payload().split("](")[1:]
    assert links
    assert [link[:40] for link in links if not link.startswith("https://")] == []


def test_a_typed_host_project_can_rely_on_the_installed_wheel(distributions, program_output):
    python = new_environment(distributions.wheel, without_dependencies=True)
    [packages] = python.parents[1].glob("lib/*/site-packages")
    (packages / "others.pth").write_text(sysconfig.get_path("purelib"))  # its dependencies, and Django's types
    host = new_folder("host")
    shutil.copy(Path(__file__).with_name("typed_host.py"), host)
    mypy = [sys.executable, "-m", "mypy", "--strict", "--cache-dir=/dev/null"]
    assert "no issues" in program_output(*mypy, "--python-executable", python, "typed_host.py", folder=host)
