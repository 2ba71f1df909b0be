"""Which server the tests run on: `ROUTESTREAM_TEST_SERVER`, said in the header of the run.

It is the name of one that is fetched (`FETCHED`), or the path of a program. Without it, tests take
what routestream takes itself: a program on PATH that is new enough, else that of the extra
`embedded`; and where there is neither, the server at `REDIS_URL`.
"""

import os
import subprocess
from hashlib import sha256
from pathlib import Path

import pytest

from consumers.processes.embedded import NoServerProgramError, server_program
from tests.support.fetched_server import CACHE, NotFetchedError, server_tree

CHOICE = "ROUTESTREAM_TEST_SERVER"


def pytest_configure() -> None:
    # Taken away, for routestream refuses settings that it does not know; the processes that the
    # tests are shared among are given the PATH.
    choice = os.environ.pop(CHOICE, None)
    if choice:
        try:
            program = _program(choice)
        except NotFetchedError as error:
            raise pytest.UsageError(f"{CHOICE}={choice}: {error}") from None
        os.environ["PATH"] = f"{program.parent}{os.pathsep}{os.environ['PATH']}"


def pytest_report_header() -> str:
    try:
        program = server_program()
    except NoServerProgramError as error:
        return f"server: {os.environ.get('REDIS_URL') or error}"
    return f"server: {version_of(program)} ({program})"


def version_of(program: Path) -> str:
    """Return what *program* says of itself, such as `Redis server v=7.0.15`."""
    shown = subprocess.run([program, "--version"], capture_output=True, text=True, check=False)
    return " ".join(shown.stdout.split()[:3])


def _program(choice: str) -> Path:
    if os.sep in choice:
        return _called_redis_server(Path(choice))
    return server_tree(choice) / "bin" / "redis-server"


def _called_redis_server(program: Path) -> Path:
    """A redis-server on PATH goes before a valkey-server, whatever the order of the folders."""
    if not os.access(program, os.X_OK):
        raise NotFetchedError("there is no such program")
    link = CACHE / sha256(bytes(program)).hexdigest()[:12] / "redis-server"
    link.parent.mkdir(parents=True, exist_ok=True)
    link.unlink(missing_ok=True)
    link.symlink_to(program.resolve())
    return link
