"""Environments in which the released AppProxy runs: of tests only, made once, kept in the tree.

AppProxy is under the LGPL, so it is installed beside the product and never into its environment.
"""

import fcntl
import shutil
import subprocess
import sys
from pathlib import Path

from consumers.processes.appproxy.errors import NoAppProxyError

_ROOT = Path(__file__).parents[4]
_PYTHON = "3.13"

RELEASES = {"26.9.6": (), "26.4.3": (), "25.15.0": ("sniffio", "setuptools")}
"""The releases that tests run, with the packages that each needs and does not name."""


def environment(release: str) -> Path:
    """Return the Python of an environment with AppProxy *release*; made if there is none yet.

    Raises:
        NoAppProxyError: There is no Python 3.13, or the packages cannot be installed.
    """
    folder = _ROOT / f".venv-appproxy-{release}"
    python = folder / "bin" / "python"
    with (_ROOT / f".venv-appproxy-{release}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "installed").exists():
            _make(folder, release)
    return python


def _make(folder: Path, release: str) -> None:
    packages = [
        f"backend.ai-appproxy-coordinator=={release}",
        f"backend.ai-appproxy-worker=={release}",
        *RELEASES[release],
    ]
    install = (str(folder / "bin" / "pip"), "install", "--quiet", "--disable-pip-version-check")
    try:
        _run(_python(), "-m", "venv", "--clear", str(folder))
        _run(*install, *packages)
    except subprocess.CalledProcessError as error:
        last = (error.stderr or "").strip().splitlines()[-1:] or [str(error)]
        raise NoAppProxyError(f"AppProxy {release} cannot be installed: {last[0]}") from None
    (folder / "installed").touch()


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True, text=True)


def _python() -> str:
    """Return a Python that the releases run on: on PATH, or one of pyenv's."""
    name = f"python{_PYTHON}"
    versions = Path.home() / ".pyenv" / "versions"
    candidates = [shutil.which(name), *sorted(map(str, versions.glob(f"{_PYTHON}.*/bin/{name}")))]
    for candidate in candidates:
        command = (candidate or "", "-c", "import venv")
        if candidate and not subprocess.run(command, check=False, capture_output=True).returncode:
            return candidate
    raise NoAppProxyError(f"there is no Python {_PYTHON}, on which AppProxy runs")


def main() -> None:
    """Make the environments, for `make appproxy`."""
    for release in RELEASES:
        try:
            sys.stdout.write(f"AppProxy {release}: {environment(release)}\n")
        except NoAppProxyError as error:
            sys.stdout.write(f"{error}; the tests that need it skip\n")


if __name__ == "__main__":
    main()
