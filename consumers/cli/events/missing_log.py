"""The missing log: told where a command shows nothing since it looks in the wrong place."""

from consumers.cli.terminal.talk import say
from events.log.log import EventLog


async def tell_missing_log(log: EventLog) -> None:
    """Say on standard error that there is no such log, where that is so."""
    if not await log.exists():
        say(
            f"there is no log {log.keys.namespace!r} on {log.server.address}:"
            " --namespace or ROUTESTREAM_NAMESPACE names another"
        )
