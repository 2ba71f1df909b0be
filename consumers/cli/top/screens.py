"""The screens above the panes: the detail of a row, and the help."""

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.screen import Screen
from textual.widgets import Footer, Static
from textual.worker import Worker

from consumers.cli.terminal.table import as_text
from consumers.cli.top.row_detail import Detail
from events.errors import EventsError, ServerUnavailableError
from projections.errors import ProjectionsError

REFRESH_S = 2.0
"""Seconds between two readings of a detail."""

HELP = """\
[b]panes[/b]
  1 overview   2 endpoints   3 groups   4 dead letters   5 the log
  tab, shift+tab   the next, the one before

[b]within a pane[/b]
  up, down, page up, page down, home, end: move
  enter    an endpoint's routes, health and last events; a group's consumers
           and pending entries; a dead letter; an event with its payload
  s        sort by the next column; or click on a heading
  S        the other way round
  /        only rows that contain a text; with ! in front: that do not
  escape   all rows again; back from a detail

[b]everywhere[/b]
  space    pause, and go on
  q        quit; back from a detail or from here
  ctrl+c   quit from anywhere, with the exit code of an interrupt

Nothing is ever written. LAG is not yet delivered, PENDING not yet
acknowledged, OLDEST how long ago the oldest pending entry was appended.
"""


class DetailScreen(Screen[None]):
    """Shows a detail, and reads it again at intervals."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,backspace", "leave", "back"),
        Binding("space", "app.pause", "pause"),
    ]

    def __init__(self, detail: Detail) -> None:
        super().__init__()
        self._detail = detail
        self._reading: Worker[None] | None = None

    def compose(self) -> ComposeResult:
        """Lay out the title above the text."""
        yield Static(as_text(f" {self._detail.title}"), classes="bar")
        yield Static(classes="banner")
        with VerticalScroll(can_focus=True):
            yield Static(classes="text")
        yield Footer(show_command_palette=False)

    def on_mount(self) -> None:
        """Read at once, and from then on regularly."""
        self._read()
        self.set_interval(REFRESH_S, self._read_again)
        self.query_one(VerticalScroll).focus()

    def on_resize(self) -> None:
        """Read the detail for the new width."""
        self._read()

    def action_leave(self) -> None:
        """Go back to the panes."""
        self.dismiss()

    def _read(self) -> None:
        self._reading = self.run_worker(self._show(), exclusive=True)

    def _read_again(self) -> None:
        """Read again, unless a slow reading still runs: restarted each time, it would never end."""
        if self._reading is None or self._reading.is_finished:
            self._read()

    async def _show(self) -> None:
        banner = self.query_one(".banner", Static)
        try:
            shown = await self._detail.read(max(20, self.size.width - 4))
        except ServerUnavailableError as error:
            banner.update(as_text(f" no connection: {error}; this is what there was"))
            banner.display = True
        except (EventsError, ProjectionsError) as error:
            banner.update(as_text(f" {error}"))
            banner.display = True
        else:
            banner.display = False
            self.query_one(".text", Static).update(shown)


class HelpScreen(Screen[None]):
    """Shows what the keys do."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,question_mark,enter", "leave", "back")
    ]

    def compose(self) -> ComposeResult:
        """Lay out the text."""
        yield Static(" keys", classes="bar")
        with VerticalScroll(can_focus=True):
            yield Static(HELP, classes="text")
        yield Footer(show_command_palette=False)

    def action_leave(self) -> None:
        """Go back to the panes."""
        self.dismiss()
