"""What the tables of the live view tell apart."""

from datetime import UTC, datetime
from uuid import UUID

from msgspec.structs import replace

from consumers.cli.top.deployment_state import DeploymentState, GroupLine
from consumers.cli.top.fitted_table import ViewState, fitted
from consumers.cli.top.subject_tables import table_of
from consumers.groups.state import GroupState
from events.catalogue.health_check import HealthCheck
from events.entry.entry_id import START, EntryId
from projections.route_table.endpoint import Endpoint
from projections.route_table.health_age import HealthAge
from projections.route_table.route import unknown_route


def groups_of(*states: GroupState, is_wide: bool) -> list[list[str]]:
    lines = [GroupLine(state, None) for state in states]
    table = table_of(DeploymentState(now=datetime(2026, 1, 31, tzinfo=UTC), groups=lines), "groups")
    shown = fitted(table, ViewState(), 78, is_wide=is_wide)
    headings = [heading.name for heading, _ in shown.headings]
    return [headings, *([cell.plain for cell in row.cells] for row in shown.rows)]


FIRST = GroupState(group="readers", partition=0, activity="up to date", lag=0)
SECOND = GroupState(group="readers", partition=1, activity="missing")


def test_on_several_partitions_a_narrow_sheet_tells_them_too() -> None:
    headings, *rows = groups_of(FIRST, SECOND, is_wide=False)
    assert headings[:2] == ["GROUP", "PART"]
    assert [row[:2] for row in rows] == [["readers", "0"], ["readers", "1"]]


def test_on_one_partition_only_a_wide_sheet_tells_it() -> None:
    assert "PART" in groups_of(FIRST, is_wide=True)[0]
    assert "PART" not in groups_of(FIRST, is_wide=False)[0]


def test_a_group_that_is_missing_has_no_lag() -> None:
    headings, first, second = groups_of(FIRST, SECOND, is_wide=True)
    place = headings.index("LAG")
    assert (first[place], second[place]) == ("0", "")


def test_endpoints_tell_how_many_routes_flap_and_of_how_many_health_is_stale() -> None:
    routes = [
        replace(
            unknown_route(UUID(int=number), START),
            kernel_host="10.0.0.1",
            kernel_port=8_000,
            status="running",
            health="healthy",
            listed_at=EntryId(1, 0),
            flapping=number == 1,
        )
        for number in range(3)
    ]
    endpoint = Endpoint(
        endpoint_id=UUID(int=9),
        name="chat",
        health_check=HealthCheck(path="/health", on_stale="unhealthy"),
        routes={route.route_id: route for route in routes},
    )
    seen = DeploymentState(
        now=datetime(2026, 1, 31, tzinfo=UTC),
        endpoints=[endpoint],
        ages={(UUID(int=9), UUID(int=2)): HealthAge(0, 1_000.0, is_stale=True)},
    )
    [row] = table_of(seen, "endpoints").rows
    cells = [cell.plain for cell in row.cells]
    assert "3 healthy, 1 flapping, 1 stale" in cells
    assert "1/3" in cells
    assert (seen.routes, seen.stale) == ((1, 3), 1)
