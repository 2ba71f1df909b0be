"""Fold a projection as of any entry of the log, and compare its states at two positions."""

from typing import Generic
from uuid import UUID

import msgspec

from events.entry.entry_id import EntryId
from projections.projection import Projection
from projections.replay.folding import Folding, State, Wants
from projections.replay.partition_history import Source, check_complete, extent_of
from projections.replay.registers import Difference, differences
from projections.replay.replay import replay
from projections.snapshots.snapshot_store import Snapshots


class EndpointChange(msgspec.Struct, Generic[State], frozen=True):
    """One endpoint's state at two positions."""

    endpoint_id: UUID
    before: State | None
    after: State | None

    @property
    def differences(self) -> list[Difference]:
        """The registers that differ, each with the event that set it."""
        return differences(self.before, self.after)


async def as_of(
    log: Source,
    projection: Projection[State],
    snapshots: Snapshots,
    until: EntryId,
    wants: Wants | None = None,
) -> Folding[State]:
    """Fold all entries up to *until*, inclusive, from the newest snapshot that is not later.

    Raises:
        HistoryMissingError: Entries that the fold needs are missing.
    """
    folding = await snapshots.newest(projection, until, wants)
    begin, before, partition = folding.position, folding.appended, folding.partition
    await replay(log, folding, until)
    check_complete(partition, begin, await extent_of(log, partition), before)
    return folding


async def changes_between(
    log: Source,
    projection: Projection[State],
    snapshots: Snapshots,
    positions: tuple[EntryId, EntryId],
) -> list[EndpointChange[State]]:
    """Return the endpoints whose states differ between the first and the second of *positions*.

    Raises:
        HistoryMissingError: Entries that the folds need are missing.
    """
    since, until = positions
    folding = await as_of(log, projection, snapshots, since)
    before = dict(folding.states)
    folding.take_changed()
    await replay(log, folding, until)
    return [
        EndpointChange(endpoint_id, before.get(endpoint_id), folding.states.get(endpoint_id))
        for endpoint_id in sorted(folding.take_changed(), key=lambda endpoint_id: endpoint_id.int)
    ]
