"""A server for a fixture: started in the chosen way, or else given."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import urlsplit

from consumers.processes.embedded import (
    EmbeddedServer,
    NoServerProgramError,
    server_program,
)
from tests.support.container_server import CONTAINER, KIND, ContainerServer

_DEFAULT_PORT = 6379


class GivenServer(EmbeddedServer):
    """The server at `REDIS_URL`, which somebody else runs: it can only be used."""

    def __init__(self, url: str) -> None:
        super().__init__(Path(), port=urlsplit(url).port or _DEFAULT_PORT)
        self.url = url


@contextmanager
def chosen_server(*options: str) -> Iterator[EmbeddedServer]:
    """Run a server of the chosen kind in a temporary folder, which is deleted at the end."""
    with TemporaryDirectory(prefix="routestream-") as folder:
        server = server_kind()(Path(folder), *options)
        try:
            server.start()
            yield server
        finally:
            server.stop()


@contextmanager
def chosen_or_given_server() -> Iterator[EmbeddedServer]:
    """Run a server of the chosen kind; where there is no program, take the one at `REDIS_URL`."""
    url = os.environ.get("REDIS_URL")
    if url and server_kind() is EmbeddedServer and not _has_program():
        yield GivenServer(url)
        return
    with chosen_server() as server:
        yield server


def server_kind() -> type[EmbeddedServer]:
    """Return what servers are made of: processes, or containers."""
    return ContainerServer if os.environ.get(KIND) == CONTAINER else EmbeddedServer


def _has_program() -> bool:
    try:
        server_program()
    except NoServerProgramError:
        return False
    return True
