"""What a route was between two moments, told from events."""

from itertools import pairwise
from uuid import UUID, uuid4

from hypothesis import given
from hypothesis import strategies as st

from consumers.cli.health.health_strip import MIXED, cells_of, strip, together
from events.catalogue.endpoint import EndpointDestroyedEvent
from events.catalogue.event import Event
from events.catalogue.model_service import ModelServiceStatus, ModelServiceStatusEvent
from events.catalogue.route import (
    EndpointRouteListUpdatedEvent,
    RouteRecord,
    RouteStartedEvent,
    RouteTerminatingEvent,
)
from events.entry.entry_id import START, EntryId
from events.entry.recorded import Metadata, RecordedEvent
from projections.health_state.endpoint_health import EndpointHealth
from projections.health_state.health_state import evolve
from projections.health_state.history import Interval, RouteHistory, Span, histories, known_before
from projections.health_state.transitions import Transition

CHAT = UUID("7ccd26ec-0000-4000-8000-000000000001")
ROUTE = UUID("00000001-0000-4000-8000-000000000000")
OTHER = UUID("00000002-0000-4000-8000-000000000000")
WINDOW = Span(1_000, 2_000)


def at(ms: int, event: Event) -> RecordedEvent:
    return RecordedEvent(
        EntryId(ms, 0), 0, event, event_id=str(uuid4()), source="test", metadata=Metadata()
    )


def became(status: ModelServiceStatus, reason: str | None = None) -> ModelServiceStatusEvent:
    return ModelServiceStatusEvent(
        endpoint_id=CHAT, route_id=ROUTE, new_status=status, reason=reason
    )


def listed(*route_ids: UUID) -> EndpointRouteListUpdatedEvent:
    routes = tuple(RouteRecord(route_id=one, status="running") for one in route_ids)
    return EndpointRouteListUpdatedEvent(endpoint_id=CHAT, routes=routes)


def started() -> RouteStartedEvent:
    return RouteStartedEvent(endpoint_id=CHAT, route_id=ROUTE, kernel_host="h", kernel_port=1)


def state_after(*happened: RecordedEvent) -> EndpointHealth:
    state = EndpointHealth(endpoint_id=CHAT)
    for recorded in happened:
        state = evolve(state, recorded)
    return state


def history(
    *happened: RecordedEvent, before: EndpointHealth | None = None, is_all: bool = False
) -> RouteHistory:
    known = EndpointHealth(endpoint_id=CHAT) if before is None else before
    [told] = histories(known, (), happened, WINDOW, is_all=is_all)
    return told


def spans(told: RouteHistory) -> list[tuple[str, int, int]]:
    return [(one.condition, one.span.start_ms, one.span.end_ms) for one in told.intervals]


def test_each_change_ends_an_interval_and_begins_another() -> None:
    told = history(
        at(1_000, listed(ROUTE)),
        at(1_100, became("healthy")),
        at(1_500, became("unhealthy", "HTTP 503")),
        at(1_600, became("healthy")),
    )
    assert spans(told) == [
        ("not_checked", 1_000, 1_100),
        ("healthy", 1_100, 1_500),
        ("unhealthy", 1_500, 1_600),
        ("healthy", 1_600, 2_000),
    ]
    assert (told.changes, told.healthy_share) == (3, 0.8)
    assert told.intervals[2] == Interval(
        "unhealthy", Span(1_500, 1_600), EntryId(1_500, 0), "HTTP 503"
    )


def test_a_repeated_verdict_is_no_change() -> None:
    told = history(at(1_200, became("healthy")), at(1_300, became("healthy")), is_all=True)
    assert spans(told) == [("absent", 1_000, 1_200), ("healthy", 1_200, 2_000)]
    assert told.changes == 1


def test_what_was_before_the_window_is_taken_from_the_document() -> None:
    now = state_after(
        at(500, listed(ROUTE)), at(600, became("healthy")), at(1_500, became("unhealthy"))
    )
    told = history(at(1_500, became("unhealthy")), before=known_before(now, EntryId(1_000, 0)))
    assert spans(told) == [("healthy", 1_000, 1_500), ("unhealthy", 1_500, 2_000)]
    assert told.intervals[0].by is None
    assert told.healthy_share == 0.5


def test_without_a_document_the_time_before_the_first_event_is_unknown() -> None:
    told = history(at(1_500, became("healthy")))
    assert spans(told) == [("unknown", 1_000, 1_500), ("healthy", 1_500, 2_000)]
    assert told.healthy_share == 1


def test_where_the_log_is_whole_a_route_was_absent_before_it_was_first_heard_of() -> None:
    told = history(at(1_500, listed(ROUTE)), is_all=True)
    assert spans(told) == [("absent", 1_000, 1_500), ("not_checked", 1_500, 2_000)]


def test_a_start_is_not_checked_and_a_list_without_the_route_ends_its_presence() -> None:
    told = history(
        at(1_000, listed(ROUTE)),
        at(1_100, became("healthy")),
        at(1_200, started()),
        at(1_300, became("healthy")),
        at(1_400, listed()),
    )
    assert spans(told)[1:] == [
        ("healthy", 1_100, 1_200),
        ("not_checked", 1_200, 1_300),
        ("healthy", 1_300, 1_400),
        ("absent", 1_400, 2_000),
    ]


def test_a_terminating_route_has_ended_whatever_its_health() -> None:
    told = history(
        at(1_000, listed(ROUTE)),
        at(1_000, became("healthy")),
        at(1_400, RouteTerminatingEvent(endpoint_id=CHAT, route_id=ROUTE)),
        at(1_500, became("unhealthy")),
    )
    assert spans(told)[-1] == ("ended", 1_400, 2_000)
    assert told.changes == 1


def test_a_destroyed_endpoint_has_no_routes_left() -> None:
    told = history(at(1_000, listed(ROUTE)), at(1_250, EndpointDestroyedEvent(endpoint_id=CHAT)))
    assert spans(told) == [("not_checked", 1_000, 1_250), ("absent", 1_250, 2_000)]


def test_a_route_that_had_ended_before_is_shown_as_ended() -> None:
    before = state_after(at(500, listed(ROUTE)))
    [told] = histories(before, [ROUTE], (), WINDOW, is_all=False)
    assert spans(told) == [("ended", 1_000, 2_000)]
    assert told.healthy_share is None


def test_stamps_within_the_window_tell_nothing_of_the_time_before() -> None:
    now = state_after(at(1_200, listed(ROUTE)), at(1_300, became("healthy")))
    assert known_before(now, EntryId(1_000, 0)).routes == {}
    [route] = known_before(now, EntryId(1_250, 0)).routes.values()
    assert (route.listed_at, route.transitions) == (EntryId(1_200, 0), ())


@given(
    st.lists(
        st.tuples(
            st.integers(1_000, 2_000),
            st.sampled_from(
                [
                    became("healthy"),
                    became("unhealthy"),
                    listed(ROUTE),
                    listed(OTHER),
                    listed(),
                    started(),
                ]
            ),
        ),
        max_size=12,
    )
)
def test_intervals_fill_the_window_without_a_gap_and_never_repeat(
    happened: list[tuple[int, Event]],
) -> None:
    in_order = [at(ms, event) for ms, event in sorted(happened, key=lambda one: one[0])]
    for told in histories(EndpointHealth(endpoint_id=CHAT), (), in_order, WINDOW, is_all=False):
        assert told.intervals[0].span.start_ms == WINDOW.start_ms
        assert told.intervals[-1].span.end_ms == WINDOW.end_ms
        for one, following in pairwise(told.intervals):
            assert one.span.end_ms == following.span.start_ms
        share = told.healthy_share
        assert share is None or 0 <= share <= 1


def test_a_block_shows_the_worst_of_its_time() -> None:
    told = history(
        at(1_000, listed(ROUTE)),
        at(1_000, became("healthy")),
        at(1_510, became("unhealthy")),
        at(1_520, became("healthy")),
    )
    assert cells_of(told.intervals, WINDOW, 4) == ["healthy", "healthy", "unhealthy", "healthy"]


def test_routes_together_are_mixed_where_they_differ() -> None:
    strips = [["healthy", "healthy", "absent"], ["healthy", "unhealthy", "not_checked"]]
    assert together(strips) == ["healthy", MIXED, "not_checked"]  # type: ignore[arg-type]


def test_a_strip_can_be_told_apart_without_colours_and_in_ascii() -> None:
    cells = ["healthy", "unhealthy", "not_checked", "ended", "unknown", "mixed", "absent"]
    for unicode in (True, False):
        shown = strip(cells, unicode=unicode).plain
        assert len(set(shown)) == len(cells)
        assert shown.isascii() is not unicode


def test_a_transition_keeps_its_reason_in_the_document() -> None:
    [route] = state_after(at(1_100, became("unhealthy", "HTTP 503"))).routes.values()
    assert route.transitions == (Transition(EntryId(1_100, 0), "unhealthy", "HTTP 503", 0),)
    assert route.listed_at == START
