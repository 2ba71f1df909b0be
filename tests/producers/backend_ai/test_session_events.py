"""What Backend.AI says of a session becomes of its route."""

from uuid import UUID

import msgspec

from tests.producers.backend_ai.test_translation import (
    ROUTE_A,
    ROUTE_B,
    SESSION_A,
    SESSION_B,
    Recording,
)


def session_event(
    name: str, session_id: UUID, *further: str, retries: int = 0
) -> tuple[object, ...]:
    args = msgspec.msgpack.encode([str(session_id), *further])
    again = ("_retry_count", retries) if retries else ()
    return ("XADD", "events", "*", "name", name, "source", "manager", "args", args, *again)


def statuses(recording: Recording) -> dict[UUID, str]:
    return {route.route_id: route.status for route in recording.endpoint.present_routes}


def test_a_session_that_skips_terminating_is_withdrawn_all_the_same() -> None:
    recording = Recording()
    recording.lists(ROUTE_A, ROUTE_B)
    [gone] = recording.when(*session_event("session_terminated", SESSION_A, "user-requested"))
    assert (gone.wire_name, getattr(gone, "reason", "")) == ("route_terminated", "user-requested")
    assert statuses(recording) == {ROUTE_B.route_id: "running"}


def test_a_terminating_session_gets_no_new_traffic_and_a_late_start_revives_nothing() -> None:
    recording = Recording()
    recording.lists(ROUTE_A)
    recording.when(*session_event("session_terminating", SESSION_A, "scale-down"))
    assert statuses(recording) == {ROUTE_A.route_id: "terminating"}
    assert recording.when(*session_event("session_started", SESSION_A, "creation", "late")) == []
    assert statuses(recording) == {ROUTE_A.route_id: "terminating"}


def test_a_cancelled_session_fails_its_route_with_the_reason() -> None:
    recording = Recording()
    recording.lists(ROUTE_A)
    recording.when(*session_event("session_cancelled", SESSION_A, "creation", "no-resource"))
    [route] = recording.endpoint.present_routes
    assert (route.status, route.errors) == ("failed", ("session cancelled: no-resource",))


def test_sessions_that_serve_no_model_and_copies_say_nothing_about_routes() -> None:
    recording = Recording()
    recording.lists(ROUTE_A)
    assert recording.when(*session_event("session_terminated", SESSION_B, "")) == []
    assert recording.when(*session_event("session_terminated", SESSION_A, "", retries=1)) == []
    assert (recording.counts.other_names, recording.counts.redelivered) == (1, 1)
    assert recording.when("XADD", "events", "*", "name", "session_started", "args", b"\xc1") == []
