"""How rows are sorted, filtered and fitted into a pane."""

from hypothesis import given
from hypothesis import strategies as st
from rich.text import Text

from consumers.cli.top.deployment_state import spark
from consumers.cli.top.fitted_table import (
    PADDING,
    ROWS_SHOWN_MAX,
    Heading,
    Row,
    SubjectTable,
    ViewState,
    fitted,
)

HEADINGS = (
    Heading("ID"),
    Heading("NAME", gives=True),
    Heading("COUNT", is_number=True),
    Heading("MORE", is_wide=True),
    Heading("SAYS", gives=True),
)


def row(name: str, count: int, says: str = "") -> Row:
    cells = tuple(map(Text, (f"id-{name}", name, str(count), "more", says)))
    return Row(name, cells, (name, name, count, "more", says))


SHEET = SubjectTable(HEADINGS, [row("b", 10), row("c", 9), row("a", 100, "needs a look")])


def names(view_state: ViewState) -> list[str]:
    return [one.key for one in fitted(SHEET, view_state, 200, is_wide=True).rows]


def test_without_a_wish_the_order_is_the_sheets_own() -> None:
    assert names(ViewState()) == ["b", "c", "a"]
    assert names(ViewState(is_reversed=True)) == ["a", "c", "b"]


def test_numbers_are_sorted_as_numbers() -> None:
    assert names(ViewState(sorted_by="COUNT")) == ["c", "b", "a"]
    assert names(ViewState(sorted_by="COUNT", is_reversed=True)) == ["a", "b", "c"]


def test_a_filter_looks_at_every_cell_whatever_its_letters_size() -> None:
    assert names(ViewState(text="NEEDS")) == ["a"]
    assert names(ViewState(text="!needs")) == ["b", "c"]
    assert names(ViewState(text="!")) == ["b", "c", "a"]


def test_columns_for_a_wide_screen_are_only_there() -> None:
    narrow = fitted(SHEET, ViewState(), 80, is_wide=False)
    assert [heading.name for heading, _ in narrow.headings] == ["ID", "NAME", "COUNT", "SAYS"]
    assert all(len(one.cells) == 4 for one in narrow.rows)


def test_of_too_many_rows_the_first_are_shown_and_all_are_counted() -> None:
    many = SubjectTable(HEADINGS, [row(f"{n}", n) for n in range(ROWS_SHOWN_MAX + 3)])
    shown = fitted(many, ViewState(sorted_by="COUNT", is_reversed=True), 80, is_wide=False)
    assert (len(shown.rows), shown.found, shown.total) == (ROWS_SHOWN_MAX, *[503] * 2)
    assert shown.rows[0].key == "502"


@given(
    st.lists(
        st.tuples(st.text("abc", max_size=40), st.integers(0, 99), st.text("xyz", max_size=90)),
        max_size=5,
    ),
    st.integers(20, 200),
)
def test_only_what_gives_is_cut_and_no_more_than_has_to_be(
    some: list[tuple[str, int, str]], room: int
) -> None:
    rows = [row(f"{name}{place}", count, says) for place, (name, count, says) in enumerate(some)]
    shown = fitted(SubjectTable(HEADINGS, rows), ViewState(), room, is_wide=False)
    taken = sum(width + PADDING for _, width in shown.headings)
    for (heading, width), cells in zip(
        shown.headings, zip(*(one.cells for one in shown.rows), strict=True), strict=False
    ):
        assert width >= len(heading.name)
        assert all(cell.cell_len <= width for cell in cells)
        if not heading.gives:
            assert not any(cell.plain.endswith("…") for cell in cells)
    is_any_cut = any(cell.plain.endswith("…") for one in shown.rows for cell in one.cells)
    assert not is_any_cut or taken >= room


def test_bars_are_as_high_as_their_part_of_the_highest() -> None:
    assert spark([0, 1, 2, 4, 7], 5) == "▁▂▃▅█"
    assert spark([0.0, 0.0], 5) == "▁▁"
    assert spark([9.0, 1.0, 1.0], 2) == "██"
    assert spark([], 5) == ""
