"""The live view: a full screen of panes, redrawn once a second."""

from datetime import UTC, datetime
from time import monotonic
from typing import ClassVar

import anyio
from rich.terminal_theme import SVG_EXPORT_THEME
from rich.text import Text
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container
from textual.widgets import ContentSwitcher, DataTable, Footer, Input, Static

from consumers.cli.terminal.messages import EXIT_INTERRUPTED
from consumers.cli.terminal.table import as_text
from consumers.cli.top.deployment_reader import DeploymentReader
from consumers.cli.top.deployment_state import SUBJECTS, DeploymentState, Subject, spark
from consumers.cli.top.row_detail import detail_of
from consumers.cli.top.screens import DetailScreen, HelpScreen
from consumers.cli.top.subject_pane import SubjectPane
from events.entry.age import span
from events.errors import ServerUnavailableError

REFRESH_S = 1.0
"""Seconds between two readings of the state."""

REST_FACTOR = 4.0
"""A reading is followed by a pause of so many times its duration, to spare the server."""

SPARKS_MAX = 60
"""Readings whose rate is shown."""

OVERVIEW = "overview"
_PANES = (OVERVIEW, *SUBJECTS)
_OF_PANES = frozenset(
    {"pane", "next_pane", "detail", "sort", "reverse", "filter", "no_filter", "help"}
)
_LABELS = {OVERVIEW: "overview", "dead": "dead letters"}


class TopApp(App[None]):
    """Shows the states that a `DeploymentReader` reads, until quit."""

    CSS_PATH = "top.tcss"
    ENABLE_COMMAND_PALETTE = False
    HORIZONTAL_BREAKPOINTS: list[tuple[int, str]] | None = [  # noqa: RUF012 - as Textual has it
        (0, "-narrow"),
        (144, "-wide"),
    ]
    BINDINGS: ClassVar[list[BindingType]] = [
        *(
            Binding(str(place), f"pane('{name}')", _LABELS.get(name, name), show=False)
            for place, name in enumerate(_PANES, 1)
        ),
        Binding("tab", "next_pane(1)", "pane", priority=True, key_display="1-5 tab"),
        Binding("shift+tab", "next_pane(-1)", "the pane before", show=False, priority=True),
        Binding("enter", "detail", "detail"),
        Binding("s", "sort", "sort"),
        Binding("S,shift+s", "reverse", "reverse", show=False),
        Binding("slash", "filter", "filter", key_display="/"),
        Binding("escape", "no_filter", "all rows", show=False),
        Binding("space", "pause", "pause"),
        Binding("question_mark", "help", "help", key_display="?"),
        Binding("q", "quit", "quit"),
        Binding("ctrl+c", "interrupt", "interrupt", show=False, priority=True),
    ]

    def __init__(self, watch: DeploymentReader) -> None:
        super().__init__()
        self.ansi_theme_dark = SVG_EXPORT_THEME
        self._watch = watch
        self.seen: DeploymentState | None = None
        self.is_paused = False
        self._seen_at: datetime | None = None
        self._away: str | None = None
        self._filtered: SubjectPane | None = None
        # Held here, not queried: drawing while the screen is torn down is then harmless.
        self._top_bar = Static(id="top", classes="bar")
        self._tab_bar = Static(id="tabs")
        self._banner = Static(id="away", classes="banner")
        self._switcher = ContentSwitcher(initial=OVERVIEW)
        self._field = Input(
            id="filter", placeholder="rows that contain ... (!: that do not)", compact=True
        )
        self._panes: dict[str, list[SubjectPane]] = {
            OVERVIEW: [SubjectPane(subject) for subject in SUBJECTS],
            **{subject: [SubjectPane(subject)] for subject in SUBJECTS},
        }

    def compose(self) -> ComposeResult:
        """Lay out the bars around the panes."""
        yield self._top_bar
        yield self._tab_bar
        yield self._banner
        with self._switcher:
            for name, panes in self._panes.items():
                with Container(id=name):
                    yield from panes
        yield self._field
        yield Footer(show_command_palette=False)

    def on_mount(self) -> None:
        """Begin to read states."""
        self.run_worker(self._look_on(), name="watch")
        self.set_interval(REFRESH_S / 2, self._draw_bars)
        self._enter(OVERVIEW)

    async def _look_on(self) -> None:
        while True:
            began_at = monotonic()
            if not self.is_paused:
                await self._look()
            took_s = monotonic() - began_at
            await anyio.sleep(max(REFRESH_S - took_s, took_s * REST_FACTOR, 0.0))

    async def _look(self) -> None:
        """Read one state; if the server is away, the last state stays."""
        try:
            seen = await self._watch.look()
        except ServerUnavailableError as error:
            self._away = str(error)
        else:
            self._away, self._seen_at = None, datetime.now(UTC)
            if not self.is_paused:
                self.seen = seen
                self._draw_panes()
        self._draw_bars()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:  # noqa: ARG002 - Textual's
        """Disable the keys of the panes while a detail or the help lies above them."""
        return len(self.screen_stack) == 1 or action not in _OF_PANES

    def _draw_panes(self) -> None:
        if self.seen is not None:
            for pane in self._visible():
                pane.show(self.seen)

    def _visible(self) -> list[SubjectPane]:
        return self._panes[self._switcher.current or OVERVIEW]

    def _active(self) -> SubjectPane:
        panes = self._visible()
        return next((pane for pane in panes if pane.has_focus_within), panes[0])

    def _draw_bars(self) -> None:
        room = self.size.width
        self._top_bar.update(self._top(room))
        self._tab_bar.update(self._tabs(room))
        self._banner.display = self._away is not None
        if self._away is not None:
            self._banner.update(as_text(f" {self._since()}: {self._away}; trying again"))

    def _since(self) -> str:
        if self._seen_at is None:
            return "no connection yet"
        passed = span((datetime.now(UTC) - self._seen_at).total_seconds())
        return f"no connection since {self._seen_at:%H:%M:%S} UTC, {passed}"

    def _top(self, room: int) -> Text:
        log, seen = self._watch.log, self.seen
        left = as_text(f" {log.server.address} {log.keys.namespace}")
        left.no_wrap = True
        if seen is None:
            return left.append("  looking ...")
        getting, routes = seen.routes
        left.append(f"  {len(seen.endpoints)} endpoints, {getting}/{routes} routes")
        if seen.stale:
            left.append(f"  health of {seen.stale} stale", "yellow")
        left.append(f"  backlog {seen.backlog}")
        rate = f"{seen.rates[-1]:.0f}/s " if seen.rates else ""
        free = room - left.cell_len - len(rate) - 3
        bars = spark(seen.rates, min(SPARKS_MAX, free)) if free > 0 else ""
        gap = " " * max(1, free - len(bars) + 1)
        return left.append(gap).append(f"{bars} ", "cyan").append(rate)

    def _tabs(self, room: int) -> Text:
        tabs = Text(" ")
        for place, name in enumerate(_PANES, 1):
            is_current = self._switcher.current == name
            # The count stands beside its key: a narrow overview has no room for the list.
            dead = self.seen.dead_count if name == "dead" and self.seen is not None else 0
            label = f" {place} {_LABELS.get(name, name)} " + (f"{dead} " if dead else "")
            style = "bold red" if dead else "bold" if is_current else "dim"
            tabs.append(label, f"reverse {style}" if is_current else style).append(" ")
        clock = "" if self.seen is None else f"{self.seen.now:%H:%M:%S}"
        state = Text("PAUSED", "bold yellow") if self.is_paused else Text(clock, "bold")
        gap = " " * max(1, room - tabs.cell_len - state.cell_len - 1)
        return tabs.append(gap).append_text(state)

    def _enter(self, name: str) -> None:
        self._field.display = False
        self._switcher.current = name
        self._draw_bars()
        # At once: the next key may already be in the queue, and is meant for this pane.
        self.screen_stack[0].set_focus(self._visible()[0].table)
        self.call_after_refresh(self._draw_panes)

    def action_pane(self, name: str) -> None:
        """Show the pane."""
        self._enter(name)

    def action_next_pane(self, step: int) -> None:
        """Show the next pane, or the previous one."""
        place = _PANES.index(self._switcher.current or OVERVIEW)
        self._enter(_PANES[(place + step) % len(_PANES)])

    def action_interrupt(self) -> None:
        """Exit with the code of an interrupted command."""
        self.exit(return_code=EXIT_INTERRUPTED)

    def action_detail(self) -> None:
        """Do nothing: the focused table handles the key itself."""

    def action_sort(self) -> None:
        """Sort the active pane by its next column."""
        self._active().sort_next()

    def action_reverse(self) -> None:
        """Reverse the order of the active pane."""
        self._active().reverse()

    def action_filter(self) -> None:
        """Ask for the text that the rows must contain."""
        self._filtered = self._active()
        self._field.value = self._filtered.view_state.text
        self._field.display = True
        self._field.focus()

    def action_no_filter(self) -> None:
        """Show all rows again."""
        pane = self._filtered if self._field.display and self._filtered else self._active()
        pane.filter_by("")
        self._leave_field(pane)

    def _leave_field(self, pane: SubjectPane) -> None:
        self._field.display = False
        pane.table.focus()

    def action_pause(self) -> None:
        """Pause, or continue."""
        self.is_paused = not self.is_paused
        self._draw_bars()

    def action_help(self) -> None:
        """Show what the keys do."""
        self.push_screen(HelpScreen())

    def on_input_changed(self, event: Input.Changed) -> None:
        """Filter while the text is typed."""
        if self._filtered is not None and self._field.display:
            self._filtered.filter_by(event.value)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Keep the filter, and go back to the rows."""
        if event.input is self._field:
            self._leave_field(self._filtered or self._active())

    def on_data_table_header_selected(self, event: "DataTable.HeaderSelected") -> None:
        """Sort by the column that was clicked on."""
        for pane in self._visible():
            if pane.table is event.data_table:
                pane.sort_by(str(event.column_key.value))

    def on_data_table_row_selected(self, event: "DataTable.RowSelected") -> None:
        """Show the row's detail."""
        for pane in self._visible():
            if pane.table is event.data_table and self.seen is not None:
                subject: Subject = pane.subject
                key = str(event.row_key.value)
                detail = detail_of(self._watch.history, self.seen, subject, key)
                if detail is not None:
                    self.push_screen(DetailScreen(detail))
