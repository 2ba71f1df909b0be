"""How tables use the room that they have."""

from collections.abc import AsyncIterator, Mapping, Sequence
from io import StringIO
from operator import itemgetter

import pytest
from rich.console import Console
from rich.text import Text

from consumers.cli.terminal.output import OutputForm, print_row_pages
from consumers.cli.terminal.table import Column, TablePages, table_of
from events.entry.age import span

COLUMNS = (
    Column("ID", itemgetter(0)),
    Column("COUNT", itemgetter(1), is_number=True),
    Column("TEXT", itemgetter(2), folds=True),
    Column("WHY", itemgetter(3), is_below=True),
)
ROWS = [("1-0", 7, "a few words that fold", "because"), ("2-0", 12, "short", None)]


def printed(room: int | None) -> list[str]:
    console = Console(file=StringIO(), width=room or 1_000)
    with console.capture() as capture:
        console.print(table_of(COLUMNS, ROWS, room))
    return [line.rstrip() for line in capture.get().splitlines()]


@pytest.mark.parametrize("room", [None, 44])
def test_with_enough_room_every_cell_is_in_its_row(room: int | None) -> None:
    assert printed(room) == [
        "ID   COUNT  TEXT                   WHY",
        "1-0      7  a few words that fold  because",
        "2-0     12  short",
    ]


def test_cells_keep_their_styles() -> None:
    console = Console(file=StringIO(), width=80, color_system="standard", force_terminal=True)
    cell = Text.assemble("a ", ("red", "red"), style="dim")
    with console.capture() as capture:
        console.print(
            table_of([Column("ID", itemgetter(0)), Column("N", itemgetter(1))], [(cell, 7)], 80)
        )
    header, row = capture.get().splitlines()
    assert header == "\x1b[1mID\x1b[0m     \x1b[1mN\x1b[0m"
    assert row == "\x1b[2ma \x1b[0m\x1b[2;31mred\x1b[0m  7"


def test_with_too_little_room_some_columns_go_below_with_their_names() -> None:
    assert printed(34) == [
        "ID   COUNT  TEXT",
        "1-0      7  a few words that fold",
        "    why because",
        "2-0     12  short",
    ]


def test_with_less_room_cells_fold_and_ids_stay_whole() -> None:
    assert printed(24) == [
        "ID   COUNT  TEXT",
        "1-0      7  a few words",
        "            that fold",
        "    why because",
        "2-0     12  short",
    ]


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (-5, "0s"),
        (0.9, "0s"),
        (59, "59s"),
        (60, "1m"),
        (200, "3m 20s"),
        (3_605, "1h"),
        (7_320, "2h 2m"),
        (90_000, "1d 1h"),
        (8_640_000, "100d"),
    ],
)
def test_a_span_is_told_in_its_two_largest_units(seconds: float, shown: str) -> None:
    assert span(seconds) == shown


@pytest.mark.parametrize("room", [None, 44, 30])
def test_pages_have_one_header_and_columns_that_only_widen(room: int | None) -> None:
    table = TablePages(COLUMNS, room)
    console = Console(file=StringIO(), width=room or 1_000)
    with console.capture() as capture:
        console.print(table.page(ROWS))
        console.print(table.page([("100-0", 7, "short", "because")]))
    whole = [line.rstrip() for line in capture.get().splitlines() if line]
    assert whole[: len(printed(room))] == printed(room)
    assert sum(line.startswith("ID") for line in whole) == 1
    assert "because" in whole[-1]


async def test_a_page_is_printed_before_the_next_one_is_made(
    capsys: pytest.CaptureFixture[str],
) -> None:
    seen = []

    async def pages() -> AsyncIterator[Sequence[Mapping[int, object]]]:
        for row in ROWS:
            yield [dict(enumerate(row))]
            seen.append(capsys.readouterr().out)

    await print_row_pages(OutputForm.TABLE, dict, pages(), COLUMNS)
    first, second = seen
    assert "1-0" in first
    assert "ID" in first
    assert "2-0" in second
    assert "ID" not in second
