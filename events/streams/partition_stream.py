"""The partition's stream: how a partition of the log lies in the server."""

import msgspec

from events.log.log import EventLog
from events.streams.stream_state import StreamState, read_stream_state


class PartitionStream(StreamState, frozen=True):
    """The state of one partition's stream."""

    partition: int


async def read_partition_stream(log: EventLog, partition: int) -> PartitionStream | None:
    """Return the partition's stream, None where nothing was ever appended to it.

    Raises:
        WrongTypeError: Something else than a stream lies in its place.
    """
    state = await read_stream_state(log.server.client.call, log.keys.events(partition))
    return None if state is None else partition_stream(state, partition)


def partition_stream(state: StreamState, partition: int) -> PartitionStream:
    """Return *state* as that of *partition*."""
    return PartitionStream(**msgspec.structs.asdict(state), partition=partition)
