"""Read an endpoint's current state from the log, however far behind the projectors are."""

from contextlib import suppress
from uuid import UUID

from events.entry.entry_id import START, EntryId
from events.errors import ServerRefusedError
from events.log.keys import partition_of
from events.log.log import EventLog
from events.log.protocol import AppendableLog, readable
from events.streams.stream_group import read_settled
from producers.errors import BacklogError
from projections.errors import NoLiveGenerationError, ProjectionsError
from projections.read_model.store import ReadModelStore
from projections.route_table.endpoint import Endpoint
from projections.route_table.route_table import ROUTE_TABLE

CATCH_UP_MAX = 1_000_000
"""Entries that are folded over a document before a command gives up."""

_GROUP = ROUTE_TABLE.read_model


class EndpointStates:
    """Reads the state of single endpoints, with the head up to which it is folded.

    On an `EventLog` the fold begins with the endpoint's document. Any other log has no documents:
    the fold begins with its first entry, so the log must have all entries.
    """

    def __init__(self, log: AppendableLog) -> None:
        self._log = log
        self._documents = _Documents(log) if isinstance(log, EventLog) else None

    async def read(self, endpoint_id: UUID) -> tuple[Endpoint, EntryId]:
        """Return the state of the endpoint, and its head (`START` where it has no event)."""
        head = await self._log.endpoint_head(endpoint_id)
        self._follow()
        partition = partition_of(endpoint_id, self._log.partitions)
        document, floor = None, START
        if self._documents is not None:
            document, floor = await self._documents.read(partition, endpoint_id)
        endpoint = document or ROUTE_TABLE.initial(endpoint_id)
        if floor <= head:
            endpoint = await self._fold(endpoint, partition, (floor, head))
        if document is None and floor > START and head > START and endpoint.created_at <= START:
            # Its beginning lies below the floor: the document was lost.
            endpoint = await self._fold(endpoint, partition, (START, head))
        return endpoint, head

    def _follow(self) -> None:
        """Go on with the log where it is now; who has just asked for a head knows that."""
        if isinstance(self._log, EventLog) and self._log.current is not self._log:
            self._log = self._log.current
            self._documents = _Documents(self._log)

    async def _fold(
        self, endpoint: Endpoint, partition: int, span: tuple[EntryId, EntryId]
    ) -> Endpoint:
        folded = 0
        async for entries in self._log.read_entries(partition, *span):
            for entry in entries:
                recorded = readable(entry)
                if recorded is not None and recorded.endpoint_id == endpoint.endpoint_id:
                    with suppress(ProjectionsError):
                        endpoint = ROUTE_TABLE.evolve(endpoint, recorded)
            folded += len(entries)
            if folded > CATCH_UP_MAX:
                raise BacklogError(
                    f"group {_GROUP} has a backlog of more than {CATCH_UP_MAX} entries;"
                    f" start it (`routestream consume {_GROUP}`) and try again"
                )
        return endpoint


class _Documents:
    """The endpoints' documents, each with the first entry that may be missing from it.

    A document lacks what the route table's group has not applied yet: entries that are pending
    (an older one can be pending while a newer one is in the document) and entries not delivered.
    All of these lie at or after the group's first pending entry, or its last delivered one where
    none is pending. Folding an event twice changes nothing, so all entries from there on are
    folded over the document.
    """

    def __init__(self, log: EventLog) -> None:
        self._log = log
        self._stores = [
            ReadModelStore(log.server, log.keys, ROUTE_TABLE, partition)
            for partition in range(log.partitions)
        ]

    async def read(self, partition: int, endpoint_id: UUID) -> tuple[Endpoint | None, EntryId]:
        """Return the endpoint's document, and the first entry that may not be in it."""
        floor = await applied_below(self._log, partition)
        try:
            document = await self._stores[partition].live_document(str(endpoint_id))
        except NoLiveGenerationError:
            return None, START
        return None if document is None else document[1], floor


async def applied_below(log: EventLog, partition: int) -> EntryId:
    """Return an id below which every entry is in the documents, or was given up."""
    try:
        settled = await read_settled(log.server.client.call, log.keys.events(partition), _GROUP)
    except ServerRefusedError:
        return START
    return START if settled is None else settled.after()
