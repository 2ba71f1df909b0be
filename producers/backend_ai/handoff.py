"""Read the hand-off of one endpoint: its health check and its routes."""

from typing import Any

import msgspec
from msgspec.structs import replace

from events.catalogue.health_check import HealthCheck, health_check_from
from events.catalogue.route import RouteRecord
from producers.backend_ai.handoff_key import (
    HandoffKey,
    HandoffProblem,
    HandoffValues,
    MalformedHandoffError,
    MissingHandoffKeyError,
    ProblemKind,
    decoded,
    field_problem,
    underscored,
)
from producers.backend_ai.route_list import routes
from projections.route_table.endpoint import Endpoint

_ON_THE_WIRE = (
    *("path", "interval", "max_retries", "max_wait_time", "expected_status_code", "initial_delay"),
)
"""The fields of a health check that a hand-off knows."""


class Handoff(msgspec.Struct, frozen=True):
    """What the keys of one endpoint say.

    Attributes:
        health_check: How its routes are checked; None: not at all.
        routes: Its routes: those listed, and of those refused what was recorded before.
        problems: What is missing or refused.
    """

    health_check: HealthCheck | None
    routes: tuple[RouteRecord, ...]
    problems: tuple[HandoffProblem, ...] = ()


def read(endpoint: Endpoint, values: HandoffValues) -> Handoff:
    """Return the endpoint's hand-off, based on what is recorded of it.

    Raises:
        MalformedHandoffError: The route list is missing or is none, or the health check is broken
            and none is recorded: the routes must not get traffic as if they were not checked.
    """
    problems: list[HandoffProblem] = []
    check = _health_check_or_recorded(endpoint, values, problems)
    listed = routes(endpoint, values)
    return Handoff(check, listed.routes, (*problems, *listed.problems))


def _health_check_or_recorded(
    endpoint: Endpoint, values: HandoffValues, problems: list[HandoffProblem]
) -> HealthCheck | None:
    key = HandoffKey(endpoint.endpoint_id, "health_check_enabled")
    if key not in values:
        problems.append(HandoffProblem("key_missing", str(MissingHandoffKeyError(key))))
    try:
        return health_check(endpoint, values)
    except MalformedHandoffError as error:
        if endpoint.health_check is None:
            raise
        is_missing = isinstance(error, MissingHandoffKeyError)
        kind: ProblemKind = "key_missing" if is_missing else "health_check_refused"
        problems.append(HandoffProblem(kind, str(error)))
        return endpoint.health_check


def health_check(endpoint: Endpoint, values: HandoffValues) -> HealthCheck | None:
    """Return how the endpoint's routes are checked, None where they are not checked.

    Releases before 25.12 write no key about it: then the health check of *endpoint* stays. The
    configuration remains after the check is switched off, so it counts only while that is on. What
    it knows no field for stays as recorded.

    Raises:
        MalformedHandoffError: The check is neither on nor off, or it is on and the configuration
            is missing or breaks a limit.
    """
    key = HandoffKey(endpoint.endpoint_id, "health_check_enabled")
    enabled = values.get(key)
    if enabled is None:
        return endpoint.health_check
    if enabled not in {b"true", b"false"}:
        raise MalformedHandoffError(key, f"{enabled[:32]!r} is neither true nor false")
    if enabled == b"false":
        return None
    key = HandoffKey(endpoint.endpoint_id, "health_check_config")
    given = underscored(decoded(key, values, dict[str, Any]))
    try:
        check = health_check_from({name: given.get(name) for name in _ON_THE_WIRE})
    except msgspec.ValidationError as error:
        raise MalformedHandoffError(key, field_problem(error, given)) from None
    recorded = endpoint.health_check
    if recorded is None or recorded.kind != check.kind:
        return check
    return replace(recorded, **{name: getattr(check, name) for name in _ON_THE_WIRE})
