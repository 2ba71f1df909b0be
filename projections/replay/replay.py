"""Replay recorded history into a folding, and read ahead while it folds."""

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from typing import Any
from uuid import UUID

import anyio
from anyio.streams.memory import MemoryObjectSendStream

from events.entry.entry_id import END, EntryId
from events.errors import first_failure
from projections.replay.folding import Folding, Wants
from projections.replay.partition_history import RawEntry, Source, raw_entries

READ_AHEAD = 2
"""Chunks that are read while one is folded."""

Note = Callable[[Folding[Any]], None]


async def replay(
    log: Source, folding: Folding[Any], until: EntryId = END, note: Note | None = None
) -> None:
    """Fold the entries after the folding's position, up to *until*; *note* is called per chunk."""
    partition = folding.partition
    await _take(raw_entries(log, partition, folding.position, until), folding, note)
    folding.flush()
    if folding.contested:
        alone = folding.alone()
        await _take(raw_entries(log, partition, alone.position, folding.position), alone, None)
        folding.settled(alone)


async def _take(
    chunks: AsyncGenerator[Sequence[RawEntry]], folding: Folding[Any], note: Note | None
) -> None:
    send, receive = anyio.create_memory_object_stream[Sequence[RawEntry]](READ_AHEAD)
    try:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_read, chunks, send)
            async with receive:
                async for raw in receive:
                    folding.take(raw)
                    if note is not None:
                        note(folding)
    except ExceptionGroup as failed:
        # The caller does not know of the reading task, so it gets the plain error, not the group.
        raise first_failure(failed) from failed


async def _read(
    chunks: AsyncGenerator[Sequence[RawEntry]], send: MemoryObjectSendStream[Sequence[RawEntry]]
) -> None:
    async with send, aclosing(chunks):
        async for raw in chunks:
            await send.send(raw)


def only(endpoint_id: UUID) -> Wants:
    """Return a filter for this one endpoint."""
    return lambda candidate: candidate == endpoint_id
