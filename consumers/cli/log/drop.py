"""The command that deletes what a log has left behind where it was."""

import click

from consumers.cli.deployment import Deployment, command_of
from consumers.cli.terminal.messages import say
from consumers.cli.terminal.output import confirm, yes_option
from events.log.keys import Keys
from events.move.left_log import drop, read_left
from events.server.server import open_server


@click.command("drop")
@click.argument("namespace")
@yes_option
@command_of
async def drop_left(deployment: Deployment, *, namespace: str, yes: bool) -> None:
    """Delete what a log has left behind in NAMESPACE, from which it has moved.

    It refuses a log that has not moved, and one to which something was added after it had. The
    small keys stay that lead whoever uses the old name to the new place. Dead letters are deleted
    with it: they did not go along.

    \b
    Example: routestream log drop routestream
    """
    async with open_server(deployment.settings.server) as server:
        left = await read_left(server, Keys(namespace))
        what = f"{left.entries:,} entries, {left.dead:,} dead letters, {len(left.keys):,} keys"
        now = f"deleted; the log is {left.moved_to.namespace!r} now"
        confirm([(f"left in {namespace}", what, now)], yes=yes)
        await drop(server, left)
    say(f"what was left in {namespace} is deleted")
