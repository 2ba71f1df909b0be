"""What the tests of this room are given: commands, handlers, and a receiver of webhooks."""

from collections.abc import AsyncIterator

import pytest

from consumers.monitoring import targets
from tests.consumers.support.commands import Commands
from tests.consumers.support.receiver import Receiver, receiving
from tests.support.running_consumer import Handling


@pytest.fixture
def run(redis_url: str, namespace: str) -> Commands:
    """Run commands on the deployment of the fixture `log`."""
    return Commands(redis_url, namespace)


@pytest.fixture
def handling() -> Handling:
    return Handling()


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as one:
        yield one


@pytest.fixture
def look_always(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the server be asked at every request: what it told a second ago is of no use here."""
    monkeypatch.setattr(targets, "PROBED_EVERY_S", 0.0)
