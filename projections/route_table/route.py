"""Define the route as the route table keeps it: registers, each with the stamp that set it."""

from typing import Any, Literal
from uuid import UUID

import msgspec
from msgspec.structs import replace

from events.catalogue.route import Protocol, RouteRecord, RouteStatus, TrafficStatus
from events.catalogue.traffic_split import REVISION_LABEL
from events.entry.entry_id import START, EntryId

Health = Literal["not_checked", "healthy", "unhealthy", "degraded"]

ENDED = frozenset({"terminating", "terminated", "failed"})
"""The statuses of a route that gets no new traffic any more."""


class Route(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """One route, each of its registers with the stamp of the event that last set it.

    Address, labels, status and traffic ratio are set whenever the route is listed or created, at
    *listed_at*; they have stamps of their own only where a newer event set one of them alone. A
    status that ends the route is replaced only when the route is listed or created anew.

    Attributes:
        status_reason: Why it is terminating.
        drain_s: The seconds that its drain may take; None: as the keeper of the life-cycle is set.
        listed_at: The newest event that lists or creates it; `START` before the first.
        absent_at: When it was last gone; events before that do not count.
        kept_at: The newest event that says it was still there.
        drained_at: When its drain was over; it counts while it is newer than the status.
        eviction_at: When its eviction was last proposed, for *eviction_reason*.
        started_at: When its session started at a known address, and its grace began.
        flapping: Whether its health changes too often: it is held unhealthy, whatever its health.
        traffic_status: Its own; that of its endpoint counts, too.
    """

    route_id: UUID
    session_id: UUID | None
    app: str
    kernel_host: str | None
    kernel_port: int | None
    protocol: Protocol
    traffic_ratio: float
    status: RouteStatus
    health: Health
    errors: tuple[str, ...] = ()
    health_reason: str | None = None
    consecutive_failures: int = 0
    listed_at: EntryId = START
    absent_at: EntryId = START
    address_at: EntryId = START
    ratio_at: EntryId = START
    status_at: EntryId = START
    started_at: EntryId = START
    health_at: EntryId = START
    traffic_status: TrafficStatus = "active"
    traffic_reason: str | None = None
    traffic_at: EntryId = START
    labels: dict[str, str] = {}
    labels_at: EntryId = START
    status_reason: str | None = None
    drain_s: float | None = None
    drained_at: EntryId = START
    drained_reason: str | None = None
    eviction_at: EntryId = START
    eviction_reason: str | None = None
    kept_at: EntryId = START
    flapping: bool = False
    flapping_reason: str | None = None
    flapping_at: EntryId = START

    def __hash__(self) -> int:
        return hash(self.route_id)  # labels have no hash

    @property
    def revision(self) -> str:
        """Its revision, as its label says; "" where it has none."""
        return self.labels.get(REVISION_LABEL, "")

    @property
    def is_healthy(self) -> bool:
        """Whether it was found healthy, and is not held unhealthy because it flaps."""
        return self.health == "healthy" and not self.flapping

    @property
    def status_since(self) -> EntryId:
        """The event that last set its status."""
        return max(self.status_at, self.listed_at)

    @property
    def is_drained(self) -> bool:
        """Whether it is terminating and its drain is over."""
        return self.status == "terminating" and self.drained_at > self.status_since


def unknown_route(route_id: UUID, absent_at: EntryId) -> Route:
    """Return a route of which only the last absence is known."""
    return Route(
        route_id=route_id,
        session_id=None,
        app="",
        kernel_host=None,
        kernel_port=None,
        protocol="http",
        traffic_ratio=1.0,
        status="provisioning",
        health="not_checked",
        absent_at=absent_at,
    )


_NO_REASON: dict[str, Any] = {"errors": (), "status_reason": None, "drain_s": None}
"""What a status that nobody explained has."""


def running(route: Route, at: EntryId) -> Route:
    """Let the route run, unless it has ended, or a newer event has set its status."""
    if route.status in ENDED or at <= route.status_since:
        return route
    return replace(route, status="running", status_at=at)


def ended(route: Route, status: RouteStatus, at: EntryId, **reason: Any) -> Route:  # noqa: ANN401
    """End the route, unless it was listed since, or a newer event has ended it."""
    newest = route.status_since if route.status in ENDED else route.listed_at
    if at <= newest:
        return route
    return replace(route, status=status, status_at=at, **{**_NO_REASON, **reason})


def present(route: Route, record: RouteRecord, at: EntryId) -> Route:
    """Take over the record, except for registers that a newer event has set."""
    if at <= max(route.listed_at, route.absent_at):
        return route
    changes: dict[str, Any] = {"listed_at": at}
    if at > route.address_at:
        changes |= {
            "session_id": record.session_id,
            "app": record.app,
            "kernel_host": record.kernel_host,
            "kernel_port": record.kernel_port,
            "protocol": record.protocol,
            "address_at": START,
        }
    if at > route.labels_at:
        changes |= {"labels": record.labels, "labels_at": START}
    if at > route.ratio_at:
        changes |= {"traffic_ratio": record.traffic_ratio, "ratio_at": START}
    if route.status not in ENDED or at > route.status_at:
        started = route.started_at > at and record.status not in ENDED
        changes |= _running_since(route.started_at) if started else _status(record.status)
    return replace(route, **changes)


def _status(status: RouteStatus) -> dict[str, Any]:
    return {"status": status, "status_at": START, **_NO_REASON}


def _running_since(started_at: EntryId) -> dict[str, Any]:
    return {"status": "running", "status_at": started_at, **_NO_REASON}


def gone(route: Route, at: EntryId) -> Route:
    """Remember that the route was gone, and what was recorded of it since."""
    return absent(route, at) or unknown_route(route.route_id, at)


def kept(route: Route, at: EntryId) -> Route:
    """Remember that the route was still there."""
    return replace(route, kept_at=at) if at > max(route.kept_at, route.absent_at) else route


NOT_CHECKED: dict[str, Any] = {
    "health": "not_checked",
    "health_reason": None,
    "consecutive_failures": 0,
    "health_at": START,
}
"""The health registers of a route that was not checked yet."""


def absent(route: Route, at: EntryId) -> Route | None:
    """Keep only what was recorded of the route after *at*."""
    if at <= route.absent_at:
        return route
    unset = unknown_route(route.route_id, at)
    if route.listed_at > at:
        return _without_older(route, unset, at)
    changes: dict[str, Any] = {}
    for stamp, registers in _REGISTERS.items():
        if getattr(route, stamp) > at:
            changes |= {name: getattr(route, name) for name in (stamp, *registers)}
    if route.started_at > at >= route.status_at:
        changes |= _running_since(route.started_at)  # what had ended it no longer counts
    return replace(unset, **changes) if changes else None


def _without_older(route: Route, unset: Route, at: EntryId) -> Route:
    """Drop what no list sets, from before the absence; a route listed since keeps the rest."""
    changes: dict[str, Any] = {"absent_at": at}
    for stamp in _OF_NO_LIST:
        if getattr(route, stamp) <= at:
            names = (stamp, *_REGISTERS[stamp])
            changes |= {name: getattr(unset, name) for name in names}
    return replace(route, **changes)


_REGISTERS = {
    "address_at": ("session_id", "app", "kernel_host", "kernel_port", "protocol"),
    "labels_at": ("labels",),
    "ratio_at": ("traffic_ratio",),
    "status_at": ("status", *_NO_REASON),
    "started_at": (),
    "drained_at": ("drained_reason",),
    "eviction_at": ("eviction_reason",),
    "kept_at": (),
    "traffic_at": ("traffic_status", "traffic_reason"),
    "health_at": ("health", "health_reason", "consecutive_failures"),
    "flapping_at": ("flapping", "flapping_reason"),
}
"""The stamp of each group of registers, and the names of the registers."""

_OF_NO_LIST = (
    *("started_at", "health_at", "traffic_at", "drained_at", "eviction_at", "kept_at"),
    "flapping_at",
)
"""The stamps of what a list or a creation does not set."""
