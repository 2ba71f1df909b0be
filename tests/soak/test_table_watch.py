"""The watch over the reader's table finds what it is for."""

from collections.abc import Iterable
from uuid import UUID

import pytest

from events.entry.recorded import RecordedEvent
from projections.route_table.endpoint import Endpoint
from projections.route_table.route import Route
from tests.soak.table_watch import TableWatch
from tests.support.histories import E, created, endpoint_of, history, listed, record, started

LOG = history(created(), listed(record()), started(kernel_port=30_001), started())
OTHER = history(created(), listed(record(kernel_host="10.9.9.9", kernel_port=1)))


class Table:
    """A table that a test sets."""

    def __init__(self, *log: RecordedEvent) -> None:
        self.shown: list[Endpoint] = []
        self.show(*log)

    def show(self, *log: RecordedEvent) -> None:
        self.shown = [endpoint_of(log)] if log else []

    def endpoints(self) -> Iterable[Endpoint]:
        return self.shown

    def routable(self, _endpoint_id: UUID) -> tuple[Route, ...]:
        return ()

    async def changed(self) -> None:
        raise AssertionError("nobody waits here")


def watched(table: Table) -> TableWatch:
    watch = TableWatch(table)
    watch.look()
    return watch


def test_a_table_that_goes_on_with_its_history_is_right() -> None:
    table = Table(*LOG[:2])
    watch = watched(table)
    for count in (3, 4):
        table.show(*LOG[:count])
        watch.look()
    assert watch.judge([{E: LOG}]) == []


@pytest.mark.parametrize(
    ("shown", "complaint"),
    [(LOG[:2], "the reader went back"), ((), "the reader was emptied")],
    ids=["older", "nothing"],
)
def test_a_table_that_is_older_or_empty_is_found(
    shown: tuple[RecordedEvent, ...], complaint: str
) -> None:
    table = Table(*LOG)
    watch = watched(table)
    table.show(*shown)
    watch.look()
    assert any(one.startswith(complaint) for one in watch.judge([{E: LOG}]))


def test_an_address_that_its_history_never_had_is_found() -> None:
    assert watched(Table(*LOG)).judge([{E: OTHER}])
    assert "10.9.9.9" in watched(Table(*OTHER)).judge([{E: LOG}])[0]


def test_an_address_that_its_history_has_later_is_found() -> None:
    moved = history(*(one.event for one in OTHER), created(), started(kernel_port=30_007))
    early = history(*(one.event for one in OTHER), started(kernel_port=30_007))
    assert watched(Table(*moved)).judge([{E: moved}]) == []
    assert watched(Table(*early)).judge([{E: moved}])


async def test_a_change_over_is_from_one_history_to_the_next_and_nothing_else() -> None:
    table = Table(*LOG)
    watch = watched(table)
    async with watch.another_history():
        table.show(*OTHER)
        watch.look()
    assert watch.judge([{E: LOG}, {E: OTHER}]) == []

    table.show(*LOG)
    watch.look()
    assert watch.judge([{E: LOG}, {E: OTHER}])
