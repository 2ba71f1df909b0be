"""The wheel, installed where nothing of this repository is: types, and what a stranger runs."""

import os
import re
import subprocess
import sys
import sysconfig
import tarfile
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PROGRAM = ROOT / "tests" / "support" / "stranger_program.py"
# Building, installing and checking with an empty cache take their time on a busy machine.
pytestmark = pytest.mark.timeout(400)

PACKAGES = ("events", "projections", "producers", "consumers")

WRONG = """
from events import Nowhere, open_log
from events.testing import MemoryLog
from producers import EndpointService
from projections import open_reader

EndpointService("redis://127.0.0.1")
open_log("redis://127.0.0.1", partitions="4")
open_reader(MemoryLog())
"""


def run(*command: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return subprocess.run(
        command, cwd=cwd, env=environment, capture_output=True, text=True, check=False
    )


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the Python of an environment that has the wheel, and what it depends on from ours."""
    place = tmp_path_factory.mktemp("wheel")
    build = (sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation")
    built = run(*build, "--no-index", "--wheel-dir", place, ROOT, cwd=place)
    assert built.returncode == 0, built.stderr
    [wheel] = place.glob("routestream-*.whl")
    venv.create(place / "environment", symlinks=True)
    python = place / "environment" / "bin" / "python"
    install = (sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--no-deps")
    installed = run(*install, "--no-index", wheel, cwd=place)
    assert installed.returncode == 0, installed.stderr
    packages = sysconfig.get_path("purelib", vars={"base": str(place / "environment")})
    # A path in here is searched, but its own .pth files are not: those name this repository.
    Path(packages, "dependencies.pth").write_text(sysconfig.get_path("purelib"))
    return python


def check(python: Path, program: Path) -> subprocess.CompletedProcess[str]:
    mypy = (sys.executable, "-m", "mypy", "--strict", "--config-file", os.devnull)
    cache = ("--cache-dir", program.parent / "cache")
    return run(*mypy, *cache, "--python-executable", python, program, cwd=program.parent)


def test_the_wheel_marks_each_package_as_typed_and_brings_scripts_and_data(python: Path) -> None:
    show = f"import {', '.join(PACKAGES)}; print(events.__file__)"
    [place] = run(python, "-P", "-c", show, cwd=python.parent).stdout.split()
    installed = Path(place).parents[1]
    assert ROOT not in installed.parents
    for package in PACKAGES:
        assert (installed / package / "py.typed").read_bytes() == b""
    for data in ("*.lua", "runtime_variants.yaml", "granted.json"):
        ours = {path.relative_to(ROOT) for p in PACKAGES for path in (ROOT / p).rglob(data)}
        assert ours
        assert {path.relative_to(installed) for path in installed.rglob(data)} == ours


def test_a_strangers_program_is_checked_and_runs(python: Path, tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(PROGRAM.read_text())
    checked = check(python, program)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    done = run(python, "-P", program, cwd=tmp_path)
    assert done.stdout == "conflict at True\naddresses ['10.0.0.1:8000']\n", done.stderr


def test_a_wrong_program_is_told_what_is_wrong(python: Path, tmp_path: Path) -> None:
    program = tmp_path / "wrong.py"
    program.write_text(WRONG)
    found = [line.partition(": error: ")[2] for line in check(python, program).stdout.splitlines()]
    assert [message.rpartition("  ")[2] for message in found if message] == [
        "[attr-defined]",
        "[arg-type]",
        "[arg-type]",
        "[arg-type]",
    ], found


def test_the_sdist_has_the_tests_whole_and_the_pages_that_the_readme_links_to(
    tmp_path: Path,
) -> None:
    build = "import sys; from hatchling.build import build_sdist; print(build_sdist(sys.argv[1]))"
    built = run(sys.executable, "-c", build, tmp_path, cwd=ROOT)
    assert built.returncode == 0, built.stderr
    with tarfile.open(tmp_path / built.stdout.split()[-1]) as sdist:
        held = {name.partition("/")[2] for name in sdist.getnames()}
    listed = run("git", "ls-files", "tests", "docs", "examples", "deploy", *PACKAGES, cwd=ROOT)
    if listed.returncode:
        pytest.skip("this is no checkout, which git could list")
    assert set(listed.stdout.split("\n")[:-1]) - held == set()
    linked = re.findall(r"\]\(([^)#:]+)\)", (ROOT / "README.md").read_text())
    lacking = [link for link in linked if not any(name.startswith(link) for name in held)]
    assert lacking == []
