"""What the tables of the live view tell apart."""

from datetime import UTC, datetime

from consumers.cli.top.deployment_state import DeploymentState, GroupLine
from consumers.cli.top.fitted_table import ViewState, fitted
from consumers.cli.top.subject_tables import table_of
from consumers.groups.state import GroupState


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
