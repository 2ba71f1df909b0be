"""Watching: a reader's table looked at after every change, for a document that goes back."""

from uuid import UUID

from events.entry.entry_id import EntryId
from projections.read_model.reader import RouteTableReader
from projections.route_table.endpoint import Endpoint


class Watching:
    """Keeps the newest stamps that a reader ever showed.

    Attributes:
        went_back: What was shown and then was older; it has to stay empty.
        looks: How often the table was looked at.
    """

    def __init__(self, reader: RouteTableReader) -> None:
        self._reader = reader
        self._newest: dict[UUID, dict[str, EntryId]] = {}
        self.went_back: list[str] = []
        self.looks = 0

    async def run(self) -> None:
        while True:
            self.look()
            await self._reader.changed()

    def versions(self) -> dict[UUID, EntryId]:
        """Return what the reader shows now: the newest event of each endpoint."""
        return {one.endpoint_id: one.version for one in self._reader.endpoints()}

    def look(self) -> None:
        shown = {one.endpoint_id: one for one in self._reader.endpoints()}
        self.went_back += [f"{one}: is not there any more" for one in self._newest.keys() - shown]
        for endpoint_id, endpoint in shown.items():
            newest = self._newest.setdefault(endpoint_id, {})
            for register, stamp in stamps_of(endpoint).items():
                before = newest.get(register, stamp)
                if stamp < before:
                    self.went_back.append(f"{endpoint_id} {register}: {stamp} after {before}")
                newest[register] = max(before, stamp)
        self.looks += 1


def stamps_of(endpoint: Endpoint) -> dict[str, EntryId]:
    """Return the stamps that can only rise, whatever happens to the endpoint."""
    always = {"version": endpoint.version, "destroyed_at": endpoint.destroyed_at}
    if endpoint.is_destroyed:  # of which nothing else is kept
        return always
    names = ("created_at", "health_check_at", "list_at")
    stamps = always | {name: getattr(endpoint, name) for name in names}
    for route in endpoint.routes.values():
        since = max(route.listed_at, route.absent_at, endpoint.list_at)
        stamps[f"route {route.route_id}"] = since
    return stamps
