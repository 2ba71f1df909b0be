"""A pane shows one subject as a table that can be sorted and filtered."""

from math import inf

from msgspec.structs import replace
from rich.text import Text
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.widgets import DataTable, Static

from consumers.cli.terminal.messages import printable
from consumers.cli.terminal.table import as_text
from consumers.cli.top.deployment_state import DeploymentState, Subject
from consumers.cli.top.fitted_table import FittedTable, Row, ViewState, fitted
from consumers.cli.top.subject_tables import table_of
from events.entry.age import span

WIDE_FROM = 110
"""Width in cells from which on a pane has room for all columns."""

STALE_S = 5.0
"""Age in seconds from which on the title says how old the endpoints are."""

_TITLES: dict[Subject, str] = {
    "endpoints": "endpoints",
    "groups": "groups",
    "dead": "dead letters",
    "log": "the log, newest first",
}


class SubjectPane(Vertical):
    """Shows one subject of a state; keeps cursor and scroll while the state changes."""

    def __init__(self, subject: Subject) -> None:
        super().__init__(classes=f"pane on-{subject}")
        self.subject = subject
        self.view_state = ViewState()
        self._seen: DeploymentState | None = None
        self._shape: tuple[tuple[str, int], ...] = ()
        self._keys: list[str] = []
        self._cells: dict[str, tuple[Text, ...]] = {}
        self._align: list[bool] = []
        self._title_bar = Static(classes="title")
        self._problem = Static(classes="problem")
        self.table: DataTable[Text] = DataTable(
            cursor_type="row", cursor_foreground_priority="renderable", zebra_stripes=True
        )

    def compose(self) -> ComposeResult:
        """Lay out the title and the problem above the table."""
        yield self._title_bar
        yield self._problem
        yield self.table

    def show(self, seen: DeploymentState) -> None:
        """Show the state."""
        self._seen = seen
        self.draw()

    def draw(self) -> None:
        """Draw the last state as the view state says, in the present room."""
        if self._seen is None or not self.is_mounted or not self.size.width:
            return
        room = self.size.width - 2
        subject_table = table_of(self._seen, self.subject)
        shown = fitted(subject_table, self.view_state, room, is_wide=room >= WIDE_FROM)
        self._fill(shown)
        self._title_bar.update(self._title(self._seen, shown))
        self._problem.update(as_text(f" {self._seen.problems.get(self.subject, '')}"))
        self._problem.display = self.subject in self._seen.problems

    def on_resize(self) -> None:
        """Fit the columns into the new room."""
        self.draw()

    def sort_by(self, name: str) -> None:
        """Sort by the column; if the pane is sorted by it already, reverse the order."""
        is_again = self.view_state.sorted_by == name
        self.view_state = replace(
            self.view_state,
            sorted_by=name,
            is_reversed=is_again and not self.view_state.is_reversed,
        )
        self.draw()

    def sort_next(self) -> None:
        """Sort by the next column; after the last, by none."""
        names: list[str | None] = [None, *(name for name, _ in self._shape)]
        place = names.index(self.view_state.sorted_by) if self.view_state.sorted_by in names else 0
        following = names[(place + 1) % len(names)]
        self.view_state = replace(self.view_state, sorted_by=following, is_reversed=False)
        self.draw()

    def reverse(self) -> None:
        """Reverse the order of the rows."""
        self.view_state = replace(self.view_state, is_reversed=not self.view_state.is_reversed)
        self.draw()

    def filter_by(self, text: str) -> None:
        """Show only the rows that contain *text*."""
        self.view_state = replace(self.view_state, text=text)
        self.draw()

    def _title(self, seen: DeploymentState, shown: FittedTable) -> Text:
        title = Text.assemble((f" {_TITLES[self.subject]} ", "bold"), f" {shown.total}")
        if self.subject == "dead" and seen.dead_count > shown.total:
            title.append(f" of {seen.dead_count}")
        if self.view_state.text:
            title.append(
                f"   filter {printable(self.view_state.text)}: {shown.found}", "bold yellow"
            )
        if self.view_state.sorted_by is not None or self.view_state.is_reversed:
            by = self.view_state.sorted_by or "default"
            title.append(f"   sorted by {by}{' reversed' if self.view_state.is_reversed else ''}")
        if shown.found > len(shown.rows):
            title.append(f"   and {shown.found - len(shown.rows)} more", "yellow")
        if self.subject == "endpoints":
            title.append(self._age(seen), "bold yellow")
        return title

    def _age(self, seen: DeploymentState) -> str:
        """Return how old the endpoints are, if that matters."""
        if STALE_S <= seen.endpoints_age_s < inf:
            return f"   as of {span(seen.endpoints_age_s)} ago"
        if seen.behind_s is None and seen.endpoints:
            return "   no group folds the log into them"
        if seen.behind_s is not None and seen.behind_s >= STALE_S:
            return f"   the last {span(seen.behind_s)} are not folded yet"
        return ""

    def _fill(self, shown: FittedTable) -> None:
        table = self.table
        shape = tuple((heading.name, width) for heading, width in shown.headings)
        if shape != self._shape:
            self._shape = shape
            table.clear(columns=True)
            self._keys = []
            for heading, width in shown.headings:
                label = Text(heading.name, justify="right" if heading.is_number else "left")
                table.add_column(label, width=width, key=heading.name)
            self._align = [heading.is_number for heading, _ in shown.headings]
        keys = [row.key for row in shown.rows]
        if keys == self._keys:
            self._change(shown.rows)
        else:
            self._renew(shown.rows, keys)

    def _change(self, rows: list[Row]) -> None:
        for row in rows:
            before = self._cells[row.key]
            for place, cell in enumerate(row.cells):
                if cell != before[place] or cell.spans != before[place].spans:
                    self.table.update_cell(
                        row.key, self._shape[place][0], self._aligned(place, cell)
                    )
            self._cells[row.key] = row.cells

    def _renew(self, rows: list[Row], keys: list[str]) -> None:
        table = self.table
        at = table.cursor_row
        key = self._keys[at] if 0 < at < len(self._keys) else None
        left = table.scroll_y
        table.clear()
        for row in rows:
            cells = (self._aligned(place, cell) for place, cell in enumerate(row.cells))
            table.add_row(*cells, key=row.key)
        self._keys = keys
        self._cells = {row.key: row.cells for row in rows}
        if key is not None and rows:
            place = keys.index(key) if key in self._cells else min(at, len(rows) - 1)
            table.move_cursor(row=place, scroll=False)
            table.scroll_to(y=left, animate=False)

    def _aligned(self, place: int, cell: Text) -> Text:
        if not self._align[place]:
            return cell
        aligned = cell.copy()
        aligned.justify = "right"
        return aligned
