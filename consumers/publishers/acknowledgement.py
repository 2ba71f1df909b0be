"""Waits until all proxies have proved that they have what was recorded."""

from collections.abc import Sequence
from time import time

import anyio

from consumers.publishers.proxy_ledger import SILENT_S, ProxyState, read_proxies
from consumers.publishers.table_snapshot import Revision
from events.entry.entry_id import EntryId
from events.errors import EventsError
from events.log.log import EventLog

_LOOK_EVERY_S = 0.1


async def until_acknowledged(
    log: EventLog, partition: int, entry_id: EntryId, timeout_s: float
) -> Sequence[ProxyState]:
    """Wait until every proxy has acknowledged a table that shows *entry_id* of *partition*.

    A proxy whose publisher gives no sign of life counts, too: nobody knows what it has.

    Returns:
        The proxies that have not acknowledged it within *timeout_s* seconds; none if all have.
    """
    lacking: Sequence[ProxyState] = await _lacking(log, partition, entry_id)
    with anyio.move_on_after(timeout_s):
        while lacking:
            await anyio.sleep(_LOOK_EVERY_S)
            lacking = await _lacking(log, partition, entry_id)
    return lacking


async def _lacking(log: EventLog, partition: int, entry_id: EntryId) -> Sequence[ProxyState]:
    now = time()
    return [
        one
        for one in await read_proxies(log)
        if now - one.noted_at > SILENT_S or not _shows(one, partition, entry_id)
    ]


def _shows(proxy: ProxyState, partition: int, entry_id: EntryId) -> bool:
    if proxy.acknowledged is None:
        return False
    try:
        return Revision.parse(proxy.acknowledged).shows(partition, entry_id)
    except EventsError:
        return False
