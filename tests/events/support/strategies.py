"""Events of every registered type, drawn within the limits that their fields declare."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import msgspec.inspect as declared
from hypothesis import strategies as st

from events.catalogue.event import Event
from events.catalogue.health_check import HealthCheck, Tls
from events.catalogue.registry import EVENT_TYPES
from events.catalogue.request_headers import wrong_header
from events.catalogue.route import EndpointRouteListUpdatedEvent
from events.entry.entry_id import EntryId
from events.entry.recorded import Metadata

TEXT_MAX = 300
"""Characters of a drawn text that may be longer, or as long as it likes."""

INTEGER_MAX = 2**63 - 1

times = st.datetimes(
    datetime(1971, 1, 1),  # noqa: DTZ001 - the zone is drawn
    datetime(2199, 1, 1),  # noqa: DTZ001 - the zone is drawn
    timezones=st.sampled_from([UTC, timezone(timedelta(hours=9)), timezone(-timedelta(hours=3.5))]),
)
entry_ids = st.builds(EntryId, st.integers(0, 2**64 - 1), st.integers(0, 2**64 - 1))
metadata = st.builds(
    Metadata,
    request_id=st.none() | st.text(),
    correlation_id=st.none() | st.text(),
    causation_id=st.none() | st.text(),
    traceparent=st.none() | st.text(),
)


def drawn(kind: declared.Type) -> st.SearchStrategy[Any]:
    """Return what draws values of a field's declared type, at its limits too."""
    return _DRAWN[type(kind)](kind)


def _floats(kind: declared.FloatType) -> st.SearchStrategy[float]:
    least = kind.ge if kind.gt is None else kind.gt
    return st.floats(least, kind.le, exclude_min=kind.gt is not None, allow_nan=False)


def _texts(kind: declared.StrType) -> st.SearchStrategy[str]:
    most = kind.max_length or TEXT_MAX
    if kind.pattern is None:
        return st.text(min_size=kind.min_length or 0, max_size=min(most, TEXT_MAX))
    matching = st.from_regex(kind.pattern.removeprefix("^"), fullmatch=True)
    return matching.filter(lambda text: len(text) <= most)


def _structs(kind: declared.StructType) -> st.SearchStrategy[Any]:
    fields = {one.name: drawn(one.type) for one in kind.fields}
    if kind.cls is HealthCheck:
        return st.one_of(*(_health_checks(fields, kind) for kind in ("http", "grpc", "tcp")))
    if kind.cls is Tls:
        return st.builds(Tls, verify=fields["verify"]) | st.builds(Tls, ca=fields["ca"])
    return st.builds(kind.cls, **fields)


_USED_BY = {
    "path": {"http"},
    "method": {"http"},
    "expected_status": {"http"},
    "body_contains": {"http"},
    "service": {"grpc"},
    "headers": {"http", "grpc"},
    "keep_alive": {"http"},
}
"""The kinds of health check that use a field; every other is used by all."""


def _health_checks(
    fields: dict[str, st.SearchStrategy[Any]], kind: str
) -> st.SearchStrategy[HealthCheck]:
    """Return what draws checks of one kind: only with fields that it uses."""
    used = {name: one for name, one in fields.items() if kind in _USED_BY.get(name, {kind})}
    if kind == "http":
        used["path"] = used["path"].filter(bool)
        used["method"] = st.sampled_from(["GET", "POST", "OPTIONS"])
        used["expected_status"] = st.none() | _expected_statuses()
    if kind != "tcp":
        used["headers"] = used["headers"].filter(lambda headers: wrong_header(headers) is None)
    return st.builds(HealthCheck, **{**used, "kind": st.just(kind)})


def _expected_statuses() -> st.SearchStrategy[str]:
    code = st.integers(100, 599)
    part = code.map(str) | st.tuples(code, code).map(lambda ends: f"{min(ends)}-{max(ends)}")
    return st.lists(part, min_size=1, max_size=5).map(",".join)


_DRAWN: dict[type[declared.Type], Callable[[Any], st.SearchStrategy[Any]]] = {
    declared.NoneType: lambda _: st.none(),
    declared.BoolType: lambda _: st.booleans(),
    declared.UUIDType: lambda _: st.uuids(),
    declared.DateTimeType: lambda _: times,
    declared.LiteralType: lambda kind: st.sampled_from(kind.values),
    declared.IntType: lambda kind: st.integers(kind.ge, kind.le or INTEGER_MAX),
    declared.FloatType: _floats,
    declared.StrType: _texts,
    declared.VarTupleType: lambda kind: st.lists(drawn(kind.item_type), max_size=5).map(tuple),
    declared.DictType: lambda kind: st.dictionaries(
        drawn(kind.key_type), drawn(kind.value_type), max_size=5
    ),
    declared.UnionType: lambda kind: st.one_of(*map(drawn, kind.types)),
    declared.StructType: _structs,
}
"""For each kind of declared type what draws its values."""


def has_each_route_once(event: Event) -> bool:
    routes = event.routes if isinstance(event, EndpointRouteListUpdatedEvent) else ()
    return len({route.route_id for route in routes}) == len(routes)


EVENTS: dict[type[Event], st.SearchStrategy[Event]] = {
    kind: drawn(declared.type_info(kind)).filter(has_each_route_once) for kind in EVENT_TYPES
}
