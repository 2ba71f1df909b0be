"""What a route was between two moments, told from its documents alone."""

from uuid import UUID, uuid4

from hypothesis import given
from hypothesis import strategies as st

from events.catalogue.endpoint import EndpointCreatedEvent
from events.catalogue.event import Event
from events.catalogue.model_service import ModelServiceStatus, ModelServiceStatusEvent
from events.catalogue.route import (
    EndpointRouteListUpdatedEvent,
    RouteRecord,
    RouteStartedEvent,
    RouteTerminatingEvent,
)
from events.entry.entry_id import EntryId
from events.entry.recorded import Metadata, RecordedEvent
from projections.health_state.health_list import kept_history
from projections.health_state.health_state import HEALTH_STATE
from projections.health_state.history import RouteHistory, Span, histories
from projections.health_state.transitions import TRANSITIONS_MAX
from projections.route_table.route_table import ROUTE_TABLE

CHAT = UUID("7ccd26ec-0000-4000-8000-000000000001")
ROUTE = UUID("00000001-0000-4000-8000-000000000000")
WINDOW = Span(1_000, 2_000)

Happened = list[tuple[int, Event]]


def became(status: ModelServiceStatus, reason: str | None = None) -> ModelServiceStatusEvent:
    return ModelServiceStatusEvent(
        endpoint_id=CHAT, route_id=ROUTE, new_status=status, reason=reason
    )


CREATED = EndpointCreatedEvent(endpoint_id=CHAT, name="chat", model="m")
LISTED = EndpointRouteListUpdatedEvent(
    endpoint_id=CHAT, routes=(RouteRecord(route_id=ROUTE, status="running"),)
)
STARTED = RouteStartedEvent(endpoint_id=CHAT, route_id=ROUTE, kernel_host="h", kernel_port=1)
TERMINATING = RouteTerminatingEvent(endpoint_id=CHAT, route_id=ROUTE)


def recorded_of(happened: Happened) -> list[RecordedEvent]:
    return [
        RecordedEvent(
            EntryId(ms, seq), 0, event, event_id=str(uuid4()), source="test", metadata=Metadata()
        )
        for seq, (ms, event) in enumerate(happened)
    ]


def kept(happened: Happened, window: Span = WINDOW) -> RouteHistory:
    endpoint, state = ROUTE_TABLE.initial(CHAT), HEALTH_STATE.initial(CHAT)
    for recorded in recorded_of(happened):
        endpoint = ROUTE_TABLE.evolve(endpoint, recorded)
        state = HEALTH_STATE.evolve(state, recorded)
    [route] = state.routes.values()
    return kept_history(endpoint, route, EntryId(window.start_ms, 0), window)


def told_by_log(happened: Happened) -> RouteHistory:
    before = HEALTH_STATE.initial(CHAT)
    [told] = histories(before, (), recorded_of(happened), WINDOW, is_all=True)
    return told


def spans(told: RouteHistory) -> list[tuple[str, int, int]]:
    return [(one.condition, one.span.start_ms, one.span.end_ms) for one in told.intervals]


def test_each_kept_transition_ends_an_interval_and_begins_another() -> None:
    told = kept(
        [
            (1_100, CREATED),
            (1_200, LISTED),
            (1_300, became("healthy")),
            (1_500, became("unhealthy", "HTTP 503")),
            (1_600, STARTED),
            (1_700, became("healthy")),
        ]
    )
    assert spans(told) == [
        ("absent", 1_000, 1_100),
        ("unknown", 1_100, 1_200),
        ("not_checked", 1_200, 1_300),
        ("healthy", 1_300, 1_500),
        ("unhealthy", 1_500, 1_600),
        ("not_checked", 1_600, 1_700),
        ("healthy", 1_700, 2_000),
    ]
    assert (told.intervals[4].by, told.intervals[4].reason) == (EntryId(1_500, 3), "HTTP 503")
    assert told.changes == 3


def test_what_was_before_the_window_lasts_into_it() -> None:
    told = kept([(500, CREATED), (500, LISTED), (600, became("healthy")), (700, became("healthy"))])
    assert spans(told) == [("healthy", 1_000, 2_000)]
    assert (told.intervals[0].by, told.changes) == (None, 0)


def test_where_the_creation_is_not_known_nothing_is_known_of_the_time_before() -> None:
    assert spans(kept([(1_500, LISTED)])) == [
        ("unknown", 1_000, 1_500),
        ("not_checked", 1_500, 2_000),
    ]


def test_before_the_oldest_of_the_most_transitions_nothing_is_known() -> None:
    statuses: list[ModelServiceStatus] = ["healthy", "unhealthy"]
    changes = [(1_200 + n, became(statuses[n % 2])) for n in range(TRANSITIONS_MAX + 2)]
    told = kept([(1_000, CREATED), (1_000, LISTED), (1_100, STARTED), *changes])
    assert spans(told)[:2] == [("unknown", 1_000, 1_202), ("healthy", 1_202, 1_203)]
    assert spans(told)[-1] == ("unhealthy", 1_233, 2_000)
    assert told.changes == TRANSITIONS_MAX


def test_what_is_said_of_a_route_that_has_ended_does_not_count() -> None:
    told = kept(
        [
            (1_000, CREATED),
            (1_000, LISTED),
            (1_000, became("healthy")),
            (1_400, TERMINATING),
            (1_500, became("unhealthy")),
        ]
    )
    assert spans(told) == [("healthy", 1_000, 1_400), ("ended", 1_400, 2_000)]
    assert told.changes == 1


EVENTS = [LISTED, STARTED, became("healthy"), became("unhealthy", "HTTP 503")]


def in_order(moments: list[int], events: list[Event]) -> Happened:
    return [(1_000, CREATED), (1_000, LISTED), *zip(sorted(moments), events, strict=True)]


@st.composite
def happenings(draw: st.DrawFn, events: list[Event]) -> Happened:
    drawn = draw(st.lists(st.sampled_from(events), max_size=TRANSITIONS_MAX - 1))
    size = len(drawn)
    moments = st.lists(st.integers(1_001, 1_999), min_size=size, max_size=size, unique=True)
    return in_order(draw(moments), drawn)


@given(happenings([became("healthy"), became("unhealthy", "HTTP 503")]))
def test_while_all_transitions_are_kept_the_documents_tell_what_the_log_tells(
    happened: Happened,
) -> None:
    assert kept(happened) == told_by_log(happened)


@given(happenings([*EVENTS, TERMINATING]))
def test_what_a_route_is_now_is_what_the_log_tells(happened: Happened) -> None:
    assert kept(happened).intervals[-1].condition == told_by_log(happened).intervals[-1].condition
