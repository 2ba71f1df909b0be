"""Which server the tests run on: `ROUTESTREAM_TEST_SERVER`, said in the header of the run.

It is the name of one that is fetched (`FETCHED`), the path of a program, or `container`: then what
fixtures start are containers of the image `ROUTESTREAM_TEST_IMAGE`. Without it, tests take what
routestream takes itself: a program on PATH that is new enough, else that of the extra `embedded`;
and where there is neither, the server at `REDIS_URL`.
"""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path

import pytest

from consumers.processes.embedded import NoServerProgramError, server_program
from tests.support.container_server import CONTAINER, IMAGE, KIND, NoImageError, server_image
from tests.support.fetched_server import CACHE, NotFetchedError, server_tree

CHOICE, IMAGE_CHOICE = "ROUTESTREAM_TEST_SERVER", "ROUTESTREAM_TEST_IMAGE"


def pytest_configure() -> None:
    # Taken away, for routestream refuses settings that it does not know. The processes that share
    # the tests are handed the PATH, and these names.
    image, choice = os.environ.pop(IMAGE_CHOICE, None), os.environ.pop(CHOICE, None)
    if image:
        os.environ[IMAGE] = image
    if choice == CONTAINER:
        os.environ[KIND] = CONTAINER
    elif choice:
        try:
            program = _program(choice)
        except NotFetchedError as error:
            raise pytest.UsageError(f"{CHOICE}={choice}: {error}") from None
        os.environ["PATH"] = f"{program.parent}{os.pathsep}{os.environ['PATH']}"


def pytest_report_header() -> list[str]:
    try:
        program = server_program()
        process = f"{version_of(program)} ({program})"
    except NoServerProgramError as error:
        process = os.environ.get("REDIS_URL") or str(error)
    if os.environ.get(KIND) != CONTAINER:
        return [f"server: {process}"]
    try:
        containers = f"containers of {server_image()}"
    except NoImageError as error:
        containers = f"no container: {error}"
    return [f"server: {containers}", f"server that a test starts by itself: {process}"]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup() -> Iterator[None]:
    with _skipping_without_server():
        yield


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call() -> Iterator[None]:
    with _skipping_without_server():
        yield


@contextmanager
def _skipping_without_server() -> Iterator[None]:
    try:
        yield
    except NoImageError as error:
        pytest.skip(f"no container: {error}")
    except NoServerProgramError as error:
        try:
            server_program()
        except NoServerProgramError:
            pytest.skip(str(error))
        raise


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
