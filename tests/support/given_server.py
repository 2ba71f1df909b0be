"""A server for a fixture: started, or else given, or else the test is skipped."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from consumers.processes.embedded import (
    EmbeddedServer,
    NoServerProgramError,
    embedded_server,
    server_program,
)

_DEFAULT_PORT = 6379


class GivenServer(EmbeddedServer):
    """The server at `REDIS_URL`, which somebody else runs: it can only be used."""

    def __init__(self, url: str) -> None:
        super().__init__(Path(), port=urlsplit(url).port or _DEFAULT_PORT)
        self.url = url


@contextmanager
def chosen_server(*options: str, or_given: bool = False) -> Iterator[EmbeddedServer]:
    """Run a server of the chosen kind; else take what is given, if that will do; else skip."""
    try:
        server_program()
    except NoServerProgramError as error:
        url = os.environ.get("REDIS_URL")
        if not or_given or not url:
            pytest.skip(str(error))
        yield GivenServer(url)
        return
    with embedded_server(*options) as server:
        yield server
