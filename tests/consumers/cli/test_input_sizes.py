"""Input without an end is refused at its limit, and not read further."""

from pathlib import Path

import anyio
import pytest

from consumers.cli.acl import acl
from consumers.cli.endpoints.routes import routes
from consumers.settings import InvalidSettingsError, read_settings
from events.errors import InvalidEventError
from tests.consumers.support.commands import Commands


@pytest.fixture
def commands(redis_url: str, namespace: str) -> Commands:
    return Commands(redis_url, namespace)


async def test_a_list_of_routes_without_an_end_is_refused(commands: Commands) -> None:
    with anyio.fail_after(30):
        result = await commands(routes, "set", "chat", "/dev/zero", "--yes")
    assert isinstance(result.exception, InvalidEventError)
    assert "more than 1048576 bytes, which is the limit" in str(result.exception)


async def test_a_password_without_an_end_is_refused(commands: Commands) -> None:
    result = await commands(acl, "reader", "--password-file", "/dev/zero")
    assert result.exit_code == 2
    assert "more than 4096 bytes" in result.output


def test_a_file_of_settings_without_an_end_is_refused() -> None:
    with pytest.raises(InvalidSettingsError, match="more than 1048576 bytes"):
        read_settings(Path("/dev/zero"), {})
