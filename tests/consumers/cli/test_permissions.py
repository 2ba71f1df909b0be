"""The commands as an account that may only read, and as one that may nothing."""

from collections.abc import AsyncIterator
from uuid import uuid4

import click
import pytest

from consumers.cli.dead.dead import dead
from consumers.cli.dead.requeue import drop_dead, requeue_dead
from consumers.cli.groups.change import prune_groups, remove_group, reset_group
from consumers.cli.groups.groups import groups
from consumers.cli.groups.pending import show_pending
from consumers.cli.groups.show import show_group, show_losses
from consumers.cli.streams.trim import trim
from consumers.processes.embedded import EmbeddedServer
from events.errors import ServerRefusedError
from events.log.log import EventLog
from tests.consumers.support.commands import Commands
from tests.consumers.support.given_up import give_up
from tests.events.support.old_entries import add_old, create, old_id, read, there
from tests.support.running_consumer import dead_letters, pending

GROUP = "readers"
READER = ("+@read", "+@connection", "+info", "+time", "+command")


@pytest.fixture
async def as_reader(log: EventLog, shared_server: EmbeddedServer) -> AsyncIterator[Commands]:
    """Commands of an account that may only read, on a log with a dead letter and pending ones."""
    await add_old(log, 10)
    await create(log, GROUP)
    await read(log, GROUP, 4)
    await give_up(log, old_id(0), group=GROUP)
    user = f"reader-{uuid4().hex[:8]}"
    await log.server.client.call("ACL SETUSER", user, "on", ">secret", "~*", *READER)
    yield Commands(f"redis://{user}:secret@127.0.0.1:{shared_server.port}", log.keys.namespace)
    await log.server.client.call("ACL DELUSER", user)


@pytest.mark.parametrize(
    ("command", "arguments"),
    [
        (groups, ("ls",)),
        (show_group, (GROUP,)),
        (show_pending, (GROUP,)),
        (show_losses, (GROUP,)),
        (dead, ("ls",)),
        (dead, ("show", str(old_id(0)))),
        (requeue_dead, (GROUP, "--all", "--dry-run")),
        (drop_dead, (GROUP, "--all", "--dry-run")),
        (trim, ("--dry-run",)),
    ],
)
async def test_whoever_may_read_sees_everything(
    as_reader: Commands, command: click.Command, arguments: tuple[str, ...]
) -> None:
    result = await as_reader(command, *arguments)
    assert result.exit_code == 0, result.output


@pytest.mark.parametrize(
    ("command", "arguments"),
    [
        (trim, ("--without", "archive", "--without", "snapshot", "--yes")),
        (reset_group, (GROUP, "--to", "start", "--force", "--yes")),
        (remove_group, (GROUP, "--force", "--yes")),
        (requeue_dead, (GROUP, "--all", "--yes")),
        (drop_dead, (GROUP, "--all", "--yes")),
    ],
)
async def test_whoever_may_only_read_changes_nothing_and_is_told(
    log: EventLog, as_reader: Commands, command: click.Command, arguments: tuple[str, ...]
) -> None:
    result = await as_reader(command, *arguments)

    assert isinstance(result.exception, ServerRefusedError)
    assert "no permissions" in str(result.exception).lower()
    assert "secret" not in str(result.exception)
    assert len(await there(log)) == 10
    assert len(await pending(log, GROUP)) == 3
    assert len(await dead_letters(log, GROUP)) == 1


async def test_prune_without_anything_to_prune_needs_no_more_than_reading(
    as_reader: Commands,
) -> None:
    assert (await as_reader(prune_groups, "--yes")).exit_code == 0
