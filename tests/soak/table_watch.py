"""What the reader shows a proxy, looked at whenever it changes."""

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Protocol
from uuid import UUID

import anyio

from events.catalogue.route import (
    EndpointRouteListUpdatedEvent,
    RouteCreatedEvent,
    RouteStartedEvent,
    RouteTrafficRatioUpdatedEvent,
)
from events.entry.entry_id import END, EntryId
from events.entry.recorded import RecordedEvent
from projections.route_table.endpoint import Endpoint
from projections.route_table.route import Route

Shown = tuple[UUID, UUID, str, object]
"""Endpoint, route, which of its registers, and what that was."""

Histories = Mapping[UUID, Sequence[RecordedEvent]]

_LOOK_EVERY_S = 0.1


class Table(Protocol):
    """What is watched: a `RouteTableReader`."""

    def endpoints(self) -> Iterable[Endpoint]:
        """Return every endpoint of the table."""

    def routable(self, endpoint_id: UUID) -> Iterable[Route]:
        """Return the routes that share the endpoint's traffic."""

    async def changed(self) -> None:
        """Wait until something in the table changes."""


class TableWatch:
    """Notes all that the reader shows, and what it must not show.

    Attributes:
        complaints: What it must not have shown.
        looks: How often the table was looked at.
    """

    def __init__(self, reader: Table) -> None:
        self.complaints: list[str] = []
        self.looks = 0
        self._reader = reader
        self._allowed: tuple[int, ...] = (0,)
        self._seen: dict[UUID, Endpoint] = {}
        self._shown: dict[tuple[tuple[int, ...], Shown], EntryId] = {}

    async def run(self) -> None:
        """Look at the table at every change, and now and then, until cancelled."""
        while True:
            self.look()
            with anyio.move_on_after(_LOOK_EVERY_S):
                await self._reader.changed()

    @asynccontextmanager
    async def another_history(self) -> AsyncIterator[None]:
        """Let the reader change over, within the block, from one history to the next."""
        self.look()
        self._allowed = (self._allowed[-1], self._allowed[-1] + 1)
        yield
        self.look()
        self._allowed = self._allowed[-1:]

    def look(self) -> None:
        """Compare the table with what it was before."""
        self.looks += 1
        table = {one.endpoint_id: one for one in self._reader.endpoints()}
        if self._seen and not table:
            self.complaints.append(f"the reader was emptied, it had {len(self._seen)} endpoints")
        if len(self._allowed) == 1:
            self._compare(table)
        for endpoint_id, endpoint in table.items():
            if self._seen.get(endpoint_id) is not endpoint:
                self._note(endpoint)
        self._seen = table

    def _compare(self, table: Mapping[UUID, Endpoint]) -> None:
        gone = self._seen.keys() - table.keys()
        if gone:
            self.complaints.append(f"the reader lost {len(gone)} of {len(self._seen)} endpoints")
        for endpoint_id, before in self._seen.items():
            after = table.get(endpoint_id, before)
            if after.version < before.version:
                self.complaints.append(
                    f"the reader went back: {endpoint_id} {before.version} to {after.version}"
                )

    def _note(self, endpoint: Endpoint) -> None:
        for route in (*endpoint.present_routes, *self._reader.routable(endpoint.endpoint_id)):
            for register, value in _shown_of(route):
                shown = (endpoint.endpoint_id, route.route_id, register, value)
                self._shown.setdefault((self._allowed, shown), endpoint.version)

    def judge(self, logs: Sequence[Histories]) -> list[str]:
        """Return what is wrong with all that was shown, by the *logs* that were, one by one."""
        told = [
            {(one, *said): at for one, own in log.items() for said, at in said_in(own)}
            for log in logs
        ]
        for (allowed, shown), version in self._shown.items():
            if not any(told[log].get(shown, END) <= version for log in allowed):
                endpoint_id, route_id, register, value = shown
                self.complaints.append(
                    f"the reader showed {endpoint_id} at {version} with route {route_id}, its"
                    f" {register} {value}, which its history never had"
                )
        return self.complaints


def _shown_of(route: Route) -> Iterable[tuple[str, object]]:
    yield "address", (route.kernel_host, route.kernel_port)
    yield "ratio", route.traffic_ratio


def said_in(
    history: Sequence[RecordedEvent],
) -> Iterable[tuple[tuple[UUID, str, object], EntryId]]:
    """Yield what *history* says of addresses and ratios, the first time last."""
    for recorded in reversed(history):
        event, at = recorded.event, recorded.entry_id
        if isinstance(event, EndpointRouteListUpdatedEvent):
            records = event.routes
        elif isinstance(event, RouteCreatedEvent):
            records = (event.route,)
        else:
            records = ()
        for record in records:
            yield (record.route_id, "address", (record.kernel_host, record.kernel_port)), at
            yield (record.route_id, "ratio", record.traffic_ratio), at
        if isinstance(event, RouteStartedEvent):
            yield (event.route_id, "address", (event.kernel_host, event.kernel_port)), at
        if isinstance(event, RouteTrafficRatioUpdatedEvent):
            yield (event.route_id, "ratio", event.traffic_ratio), at
