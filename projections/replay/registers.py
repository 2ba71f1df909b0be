"""Split states into registers, each with the stamp that set it, and compare them."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple
from uuid import UUID

import msgspec

from events.entry.entry_id import START, EntryId
from projections.health_state.endpoint_health import EndpointHealth
from projections.route_table.endpoint import Endpoint
from projections.route_table.route import Route
from projections.route_table.traffic import address_since, labels_since, ratio_since

BOOKKEEPING = frozenset({"version", "list_at", "absent_at", "kept_at"})
"""Registers that hold only stamps."""


class Register(NamedTuple):
    """One register: its route (None: the endpoint's own), its value as JSON, its stamp."""

    route_id: UUID | None
    name: str
    value: Any
    at: EntryId

    @property
    def path(self) -> str:
        """Return its path: `name`, or `routes.<route_id>.status`."""
        return self.name if self.route_id is None else f"routes.{self.route_id}.{self.name}"


class Difference(NamedTuple):
    """A register in two states; None on the side whose state does not have it."""

    before: Register | None
    after: Register | None

    @property
    def register(self) -> Register:
        """The register after, or before where there is none; its stamp names the event."""
        register = self.before if self.after is None else self.after
        if register is None:
            raise AssertionError("a difference has two sides, one of them a register")
        return register


def registers_of(state: object) -> Iterable[Register]:
    """Return the registers of a state of any projection; none for None."""
    return () if state is None else _REGISTERS.get(type(state), _of_any)(state)


def differences(
    before: object, after: object, *, with_bookkeeping: bool = False
) -> list[Difference]:
    """Return the registers in which two states of one endpoint differ.

    The registers of a removed route have the value None, with the stamp of the removing event.
    """
    old, new = _by_path(before), _by_path(after)
    if after is not None:
        gone_at = max(getattr(after, "list_at", START), getattr(after, "destroyed_at", START))
        gone = (register for path, register in old.items() if path not in new)
        new |= {register.path: register._replace(value=None, at=gone_at) for register in gone}
        new |= {
            path: _reset(new, register)
            for path, register in new.items()
            if _was_reset(old, register)
        }
    return [
        Difference(old.get(path), new.get(path))
        for path in (*old, *(path for path in new if path not in old))
        if _value_and_stamp(old.get(path)) != _value_and_stamp(new.get(path))
        and (with_bookkeeping or path.rpartition(".")[2] not in BOOKKEEPING)
    ]


def _was_reset(old: Mapping[str, Register], register: Register) -> bool:
    before = old.get(register.path)
    return before is not None and before.at > START and register.at <= START


def _reset(new: Mapping[str, Register], register: Register) -> Register:
    """Stamp a register that is no longer set with the absence of its route, or its destruction."""
    name = "destroyed" if register.route_id is None else f"routes.{register.route_id}.absent_at"
    return register._replace(at=new[name].at)


def _by_path(state: object) -> dict[str, Register]:
    return {register.path: register for register in registers_of(state)}


def _value_and_stamp(register: Register | None) -> object:
    """Return what makes registers equal: value and stamp, so the same value set again differs.

    None stands for a missing register, and for one that was never set.
    """
    if register is None or register.at <= START:
        return None
    return register.value, register.at


def _of_endpoint(endpoint: Endpoint) -> Iterator[Register]:
    created = endpoint.created_at
    for name in ("name", "model", "runtime_variant", "open_to_public", "owner", "labels"):
        yield Register(None, name, msgspec.to_builtins(getattr(endpoint, name)), created)
    check = endpoint.health_check
    yield Register(None, "health_check", msgspec.to_builtins(check), endpoint.health_check_at)
    for name in ("traffic_status", "traffic_reason"):
        yield Register(None, name, getattr(endpoint, name), endpoint.traffic_at)
    for name in ("split", "split_reason", "rollout"):
        yield Register(None, name, msgspec.to_builtins(getattr(endpoint, name)), endpoint.split_at)
    yield Register(None, "replicas", endpoint.replicas, endpoint.replicas_at)
    yield Register(None, "retries", len(endpoint.failures), _failures_at(endpoint))
    yield Register(None, "destroyed", endpoint.is_destroyed, endpoint.destroyed_at)
    yield Register(None, "list_at", str(endpoint.list_at), endpoint.list_at)
    yield Register(None, "version", str(endpoint.version), endpoint.version)
    for route in endpoint.routes.values():
        yield from _of_route(route)


def _failures_at(endpoint: Endpoint) -> EntryId:
    return max((endpoint.ready_at, *endpoint.failures))


def _of_route(route: Route) -> Iterator[Register]:
    stamped: tuple[tuple[EntryId, tuple[str, ...]], ...] = (
        (
            address_since(route),
            ("session_id", "app", "kernel_host", "kernel_port", "protocol"),
        ),
        (labels_since(route), ("labels",)),
        (ratio_since(route), ("traffic_ratio",)),
        (route.traffic_at, ("traffic_status", "traffic_reason")),
        (route.status_since, ("status", "errors", "status_reason", "drain_s")),
        (route.drained_at, ("drained_reason",)),
        (route.eviction_at, ("eviction_reason",)),
        (
            route.health_at if route.health_at > START else route.started_at,
            ("health", "health_reason", "consecutive_failures"),
        ),
        (route.flapping_at, ("flapping", "flapping_reason")),
    )
    yield Register(route.route_id, "present", route.listed_at > START, route.listed_at)
    for at, names in stamped:
        for name in names:
            value = msgspec.to_builtins(getattr(route, name))
            yield Register(route.route_id, name, value, at)
    yield Register(route.route_id, "started", route.started_at > START, route.started_at)
    yield Register(route.route_id, "drained", route.is_drained, _drained_since(route))
    yield Register(route.route_id, "absent_at", str(route.absent_at), route.absent_at)
    yield Register(route.route_id, "kept_at", str(route.kept_at), route.kept_at)


def _drained_since(route: Route) -> EntryId:
    """Return the event that ended the drain, or the one after it that made that of no account."""
    if route.is_drained or route.drained_at <= START:
        return route.drained_at
    return max(route.drained_at, route.status_since)


def _of_health(health: EndpointHealth) -> Iterator[Register]:
    yield Register(None, "destroyed", health.destroyed_at > START, health.destroyed_at)
    yield Register(None, "list_at", str(health.list_at), health.list_at)
    yield Register(None, "version", str(health.version), health.version)
    for route in health.routes.values():
        route_id = route.route_id
        newest = route.transitions[-1].at if route.transitions else START
        session_id = msgspec.to_builtins(route.session_id)
        yield Register(route_id, "present", route.listed_at > START, route.listed_at)
        yield Register(route_id, "session_id", session_id, route.listed_at)
        yield Register(route_id, "health", route.health, route.since)
        yield Register(route_id, "started", route.started_at > START, route.started_at)
        shown = [[str(transition.at), *transition[1:]] for transition in route.transitions]
        yield Register(route_id, "transitions", shown, newest)
        yield Register(route_id, "absent_at", str(route.absent_at), route.absent_at)
        yield Register(route_id, "kept_at", str(route.kept_at), route.kept_at)


def _of_any(state: Any) -> Iterator[Register]:  # noqa: ANN401 - of any projection
    """Yield the fields of a state; the stamp of `x` is `x_at`, else that of the newest event."""
    for name in state.__struct_fields__:
        value = getattr(state, name)
        if name != "endpoint_id" and not isinstance(value, EntryId):
            at = getattr(state, f"{name}_at", state.version)
            yield Register(None, name, msgspec.to_builtins(value, enc_hook=str), at)
    yield Register(None, "version", str(state.version), state.version)


_REGISTERS: dict[type, Callable[[Any], Iterator[Register]]] = {
    Endpoint: _of_endpoint,
    EndpointHealth: _of_health,
}
"""States with registers for each route; for any other state, each field is one register."""
