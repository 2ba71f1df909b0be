"""Go on with a log of which a part of the history is missing, because a person decided so."""

from secrets import token_hex

import msgspec

from events.entry.entry_id import START, EntryId
from events.log.keys import PARTITIONS_MAX, Keys
from events.log.layout import Layout, held_layout, keep_layout, remains_of
from events.log.partition_identity import PartitionIdentity, read_partition_identity
from events.server.client import Client
from events.server.reply import reply
from events.streams.stream_state import StreamState, read_stream_state


class PartitionLoss(msgspec.Struct, frozen=True):
    """What is there of one partition, and what its groups found missing.

    Attributes:
        partition: The partition.
        held: Which log it belongs to, and what is missing.
        last: The newest entry that is there, `START` for none.
    """

    partition: int
    held: PartitionIdentity
    last: EntryId


async def layout_left(client: Client, keys: Keys, wanted: int | None) -> Layout:
    """Return the layout that is there, or what is known of one that is lost.

    A lost one has *wanted* partitions, or as many as there are keys of, or one.

    Raises:
        LayoutError: The layout holds no valid number or identity.
    """
    layout = await held_layout(client, keys)
    if layout is not None:
        return layout
    if wanted is None:
        for partition in reversed(range(PARTITIONS_MAX)):
            if await client.call("EXISTS", *remains_of(keys, [partition])):
                return Layout(partition + 1)
    return Layout(wanted or 1)


async def read_loss(client: Client, keys: Keys, partition: int) -> PartitionLoss:
    """Return what is there of *partition*."""
    key = keys.events(partition)
    stream = await read_stream_state(client.call, key) or StreamState.absent(key)
    held = await read_partition_identity(client.call, keys, partition)
    return PartitionLoss(partition, held, stream.last if stream.length else START)


async def accept_loss(client: Client, keys: Keys, layout: Layout) -> Layout:
    """Make what is there the log's history; whoever waits for the rest goes on without it.

    A layout that is lost is written again. Positions after the end of their stream are taken away:
    their groups begin with what is there.
    """
    layout = await keep_layout(client, keys, layout)
    for partition in range(layout.partitions):
        await accept_loss_of(client, keys, partition, layout)
    return layout


async def accept_loss_of(client: Client, keys: Keys, partition: int, layout: Layout) -> None:
    """Do the same for *partition* alone, of a log whose *layout* is there."""
    of_it = [keys.identity(partition), keys.positions(partition), keys.events(partition)]
    script = client.script("events.log", "accept_loss")
    reply(await script(of_it, [layout.identity or "", token_hex(8)]), list[bytes])
