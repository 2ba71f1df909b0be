"""Read the state of the stream that holds a partition of the log."""

import msgspec

from events.log.log import EventLog
from events.streams.stream_state import StreamState, read_stream_state


class PartitionStream(StreamState, frozen=True):
    """The state of one partition's stream."""

    partition: int


async def read_partition_stream(log: EventLog, partition: int) -> PartitionStream | None:
    """Return the state of the partition's stream, None if nothing was ever appended to it.

    Raises:
        WrongTypeError: The key of the partition holds something other than a stream.
    """
    state = await read_stream_state(log.server.client.call, log.keys.events(partition))
    if state is None:
        return None
    return PartitionStream(**msgspec.structs.asdict(state), partition=partition)
