"""What the tests of Traefik are given: each way to feed it, and a Traefik that is fed so."""

from collections.abc import AsyncIterator, Iterator

import pytest

from consumers.processes.traefik_process import (
    NoTraefikError,
    TraefikProcess,
    traefik_process,
    traefik_program,
)
from tests.consumers.publishers.support.traefik_dialects import NAMES, Dialect, dialect_named
from tests.consumers.publishers.support.traefik_world import Requests, requests_through


def skip_without_traefik() -> None:
    try:
        traefik_program()
    except NoTraefikError as error:
        pytest.skip(str(error))


@pytest.fixture(params=NAMES)
def dialect(request: pytest.FixtureRequest) -> Iterator[Dialect]:
    skip_without_traefik()
    with dialect_named(request.param) as made:
        yield made


@pytest.fixture
def traefik(dialect: Dialect) -> Iterator[TraefikProcess]:
    with traefik_process(*dialect.options) as started:
        dialect.proved_by(started)
        yield started


@pytest.fixture
async def requests(traefik: TraefikProcess) -> AsyncIterator[Requests]:
    async with requests_through(traefik) as made:
        yield made
