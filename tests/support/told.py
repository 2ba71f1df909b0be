"""What the producers were told, and what is true by that; the log is never asked."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Any
from uuid import UUID

from events.catalogue.event import Event
from events.entry.entry_id import END, START, EntryId
from events.entry.recorded import RecordedEvent
from tests.soak.verdict import parsed, wrong_documents
from tests.support.histories import recorded


class Told:
    """The acknowledged events, in the order of the ids that their producers were told."""

    def __init__(self) -> None:
        self.events: list[RecordedEvent] = []

    def note(self, events: Sequence[Event], entry_ids: Sequence[EntryId]) -> None:
        """Note an acknowledgement; ids that do not rise are none."""
        assert len(entry_ids) == len(events)
        for event, entry_id in zip(events, entry_ids, strict=True):
            newest = self.events[-1].entry_id if self.events else START
            assert entry_id > newest, "an append was told an id that is not a new one"
            self.events.append(recorded(event, entry_id))

    @property
    def ids(self) -> list[EntryId]:
        return [one.entry_id for one in self.events]

    def head(self, endpoint_id: UUID | None = None) -> EntryId:
        """Return the newest id, of one endpoint if given; `START` for none."""
        of = (one.entry_id for one in self.events if endpoint_id in {None, one.endpoint_id})
        return max(of, default=START)

    def histories(self, until: EntryId = END) -> dict[UUID, list[RecordedEvent]]:
        """Return what happened to each endpoint, up to *until*, included."""
        histories: dict[UUID, list[RecordedEvent]] = defaultdict(list)
        for one in self.events:
            if one.entry_id <= until:
                histories[one.endpoint_id].append(one)
        return histories

    def wrong(
        self, read_model: str, documents: Mapping[UUID, bytes], until: EntryId = END
    ) -> list[str]:
        """Say where *documents* are not what was true after *until*."""
        histories = self.histories(until)
        shown: dict[UUID, Any] = {one: parsed(document) for one, document in documents.items()}
        strangers = [f"{one}: nothing happened to it" for one in shown.keys() - histories.keys()]
        return strangers + list(wrong_documents(read_model, shown, histories))

    def heads(self, among: AbstractSet[EntryId] | None = None) -> dict[UUID, EntryId]:
        """Return the newest id of each endpoint, of all or of those *among* which it must be."""
        events = (one for one in self.events if among is None or one.entry_id in among)
        return {one.endpoint_id: one.entry_id for one in events}
