"""What reading a backlog asks of the server."""

from redis.asyncio import Redis

from consumers.processes.embedded import EmbeddedServer
from consumers.runtime.consumer import ConsumerSettings
from consumers.runtime.processor import HandlerProcessor
from events.entry.recorded import RecordedEvent
from events.log.log import EventLog
from tests.support.running_consumer import (
    append,
    consumer_of,
    consuming,
    create_group,
    until_settled,
)

_READS = 20
_SETTINGS = ConsumerSettings(batch_size=100)
_END = "the backlog was read"


async def _handle(_recorded: RecordedEvent) -> None:
    """Do nothing."""


async def test_entries_that_ended_between_two_large_reads_are_not_counted_through(
    own_server: EmbeddedServer, own_log: EventLog
) -> None:
    processor = HandlerProcessor(_handle, _SETTINGS.policy)
    await create_group(own_log)
    await append(own_log, _READS * _SETTINGS.batch_size)
    asked: list[str] = []
    async with Redis.from_url(own_server.url) as client, client.monitor() as monitor:
        async with consuming(consumer_of(own_log, processor, settings=_SETTINGS)):
            await until_settled(own_log)
        await own_log.server.client.call("ECHO", _END)
        while _END not in (seen := (await monitor.next_command())["command"]):
            asked.append(seen)
    reads = [each for each in asked if each.startswith("XREADGROUP")]
    counted = [each for each in asked if each.startswith("XPENDING") and each.endswith(" 10000")]
    assert len(reads) >= _READS
    assert len(counted) < _READS / 2
