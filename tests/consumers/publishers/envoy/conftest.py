"""What the tests of Envoy are given: a real one, served or not."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from events.log.log import EventLog
from tests.consumers.publishers.support.envoy_setup import Setup, envoy_setup, served_setup


@pytest.fixture
async def setup(log: EventLog, tmp_path: Path) -> AsyncIterator[Setup]:
    """The Envoy runs, and asks in vain until the test serves it."""
    async with envoy_setup(log, tmp_path) as made:
        yield made


@pytest.fixture
async def served(log: EventLog, tmp_path: Path) -> AsyncIterator[Setup]:
    """The Envoy is served, and has the endpoint `chat` with both servers."""
    async with served_setup(log, tmp_path) as made:
        yield made
