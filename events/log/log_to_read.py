"""Open a log for reading alone."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from events.errors import LayoutError
from events.log.keys import NAMESPACE, Keys
from events.log.layout import read_layout
from events.log.log import EventLog
from events.server.server import open_server
from events.server.settings import ServerSettings


@asynccontextmanager
async def log_to_read(
    log: EventLog | str | ServerSettings,
    *,
    namespace: str = NAMESPACE,
    partitions: int | None = None,
) -> AsyncIterator[EventLog]:
    """Use an open log, which stays open, or open one for reading alone: nothing is written.

    See `open_log`, which has the same arguments, for what it raises.

    Raises:
        LayoutError: The log does not exist and *partitions* does not say how many it will have; or
            *log* is open, and not the one that *namespace* and *partitions* name.
    """
    if isinstance(log, EventLog):
        _refuse_another(log, namespace, partitions)
        yield log
        return
    settings = log if isinstance(log, ServerSettings) else ServerSettings(url=log)
    keys = Keys(namespace)
    async with open_server(settings) as server:
        if partitions is None and await read_layout(server.client, keys) is None:
            raise LayoutError(
                f"there is no log {namespace!r} at {server.address} to read; start what records"
                " first, or give the number of partitions that the log will have"
            )
        opened = await EventLog.open(server, keys, partitions=partitions, create=False)
        try:
            yield opened
        finally:
            await opened.aclose()


def _refuse_another(log: EventLog, namespace: str, partitions: int | None) -> None:
    if namespace not in {NAMESPACE, log.keys.namespace}:
        raise LayoutError(
            f"namespace: the open log is {log.keys.namespace!r}, not {namespace!r};"
            " leave it out, or give the server in place of the log"
        )
    if partitions not in {None, log.partitions}:
        raise LayoutError(f"partitions: the open log has {log.partitions}, not {partitions}")
