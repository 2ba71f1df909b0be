"""Shows the demo to a person: live on a terminal, as lines otherwise."""

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic
from typing import Protocol

import anyio
from rich.console import Console, Group
from rich.live import Live
from rich.padding import Padding
from rich.panel import Panel
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from consumers.cli.demo.checks import Check
from consumers.cli.demo.cluster import Cluster
from consumers.cli.demo.shell import Printed
from consumers.cli.endpoints.table import HEALTH_COLOURS
from events.entry.position import time_of
from events.entry.recorded import RecordedEvent
from projections.route_table.endpoint import Endpoint
from projections.route_table.route import Route
from projections.route_table.traffic import traffic_of

_TABLE_LINES = 13
_LOG_LINES_MAX = 10
_LINES_MIN = 3
_REFRESH_S = 0.2
_INDENT = " " * 2
_OUTPUT_COLUMNS_MAX = 120


class View(Protocol):
    """Shows the steps of the demo, its checks and its commands."""

    def step(self, text: str) -> None:
        """Show that a step begins."""

    def check(self, check: Check) -> None:
        """Show the result of a check."""

    def printed(self, printed: Printed) -> None:
        """Show a command and its output."""

    def leave_behind(self) -> None:
        """Print, at the end, what a person may want to read again."""

    async def follow(self, cluster: Cluster) -> None:
        """Show the cluster until cancelled."""


class LineView:
    """Prints each step and check as a line."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._began_at = monotonic()

    def step(self, text: str) -> None:
        """Print the step, with the seconds since the start."""
        self._console.print(Text(f"{monotonic() - self._began_at:5.1f}s  {text}", style="bold"))

    def check(self, check: Check) -> None:
        """Print the check, whether it held, and after how long."""
        self._console.print(_checked(check))

    def printed(self, printed: Printed) -> None:
        """Print the command, and what it printed."""
        self._console.print(transcript_of(printed))

    def leave_behind(self) -> None:
        """Print nothing: everything was printed at once."""

    async def follow(self, cluster: Cluster) -> None:
        """Show nothing: lines have no live view."""


class LiveView:
    """Shows the route table, the growing log, and the steps."""

    def __init__(self, live: Live) -> None:
        self._live = live
        free = live.console.size.height - _TABLE_LINES - 4
        log_lines = min(_LOG_LINES_MAX, max(_LINES_MIN, free // 2))
        self._log: deque[Text] = deque(maxlen=log_lines)
        self._story: deque[Text] = deque(maxlen=max(_LINES_MIN, free - log_lines))
        self._printed: list[Printed] = []
        self._is_output_shown = False

    def step(self, text: str) -> None:
        """Add the step to the story; hide the output of the previous step's command."""
        self._is_output_shown = False
        self._story.append(Text(text, style="bold"))

    def check(self, check: Check) -> None:
        """Add the check to the story."""
        self._story.append(_checked(check))

    def printed(self, printed: Printed) -> None:
        """Show what the command printed in the place of the table and the log."""
        self._printed.append(printed)
        self._is_output_shown = True

    def leave_behind(self) -> None:
        """Print the commands once more, with all of their output."""
        for printed in self._printed:
            self._live.console.print(transcript_of(printed))
            self._live.console.print()

    async def follow(self, cluster: Cluster) -> None:
        """Redraw several times a second, until cancelled."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._read_log, cluster)
            while True:
                self._live.update(self._drawn(cluster), refresh=True)
                await anyio.sleep(_REFRESH_S)

    async def _read_log(self, cluster: Cluster) -> None:
        names = {endpoint_id: name for name, endpoint_id in cluster.endpoints.items()}
        async for recorded in cluster.log.follow():
            self._log.append(_line(recorded, names.get(recorded.endpoint_id, "?")))

    def _drawn(self, cluster: Cluster) -> Group:
        age = cluster.reader.age_s
        title = f"what is routed where  (as of {age:.1f} s ago)"
        routes = Panel(_routes(list(cluster.reader.endpoints())), title=title, border_style="cyan")
        log, story = _panel(self._log, "the log", "blue"), _panel(self._story, "the story", "none")
        if not self._is_output_shown:
            return Group(routes, log, story)
        printed, room = self._printed[-1], self._log.maxlen or 0
        if len(printed.lines) <= room:
            return Group(routes, _output(printed, room), story)
        return Group(_output(printed, room + _TABLE_LINES), story)


@contextmanager
def open_view(console: Console) -> Iterator[View]:
    """Open the live view if *console* is a terminal, else the view of lines."""
    if not console.is_terminal:
        yield LineView(console)
        return
    with Live(console=console, auto_refresh=False, screen=True) as live:
        yield LiveView(live)


def _panel(lines: deque[Text], title: str, border: str) -> Panel:
    """Draw lines in a panel of constant height, so that nothing below it jumps."""
    cut = [Text(no_wrap=True, overflow="ellipsis").append_text(line) for line in lines]
    return Panel(Group(*cut), title=title, border_style=border, height=(lines.maxlen or 0) + 2)


def columns_of(console: Console) -> int:
    """Return the number of columns for the output of a command."""
    return min(console.width, _OUTPUT_COLUMNS_MAX) - len(_INDENT)


def transcript_of(printed: Printed) -> Text:
    """Return the command and its output as indented lines."""
    lines = [Text(f"$ {printed.command}", "cyan"), *printed.lines]
    return Text("\n").join(Text(_INDENT if line else "").append_text(line) for line in lines)


def _output(printed: Printed, room: int) -> Group:
    """Draw the output of a command on *room* lines; a longer output shows its end only."""
    lines = list(printed.lines)
    if len(lines) > room:
        lines = [Text(f"... {len(lines) - room + 1} lines more", "dim"), *lines[1 - room :]]
    below = [Text("")] * (room - len(lines))
    title = Text(f"$ {printed.command}", "bold")
    padded = Padding(Group(*lines, *below), (0, 1))
    return Group(Rule(title, style="green"), padded, Rule(style="green"))


def _checked(check: Check) -> Text:
    mark = Text("  ok  ", style="green") if check.held else Text("FAILED", style="bold red")
    after = f"  ({check.after_s:.1f} s)" if check.after_s >= 0.05 else ""
    return Text.assemble("        ", mark, f"  {check.what}{after}")


def _line(recorded: RecordedEvent, endpoint: str) -> Text:
    at = f"{time_of(recorded.entry_id):%H:%M:%S.%f}"[:-3]
    details = " ".join(
        str(value)
        for name in ("new_status", "traffic_ratio", "reason")
        if (value := getattr(recorded.event, name, None)) is not None
    )
    return Text.assemble(
        (f"{at}  {recorded.entry_id}  ", "dim"),
        f"{endpoint:7} {recorded.event.wire_name}  ",
        details,
    )


def _routes(endpoints: list[Endpoint]) -> Table:
    table = Table(box=None, expand=True, header_style="bold")
    for column in ("ENDPOINT", "ROUTE", "ADDRESS", "STATUS", "HEALTH", "WEIGHT", "TRAFFIC"):
        table.add_column(column)
    for endpoint in sorted(endpoints, key=lambda one: one.name or ""):
        traffic = traffic_of(endpoint)
        for place, route in enumerate(endpoint.present_routes):
            gets = traffic[route.route_id]
            share = f"{gets.share:.0%}" if gets.why_not is None else "none"
            table.add_row(*_cells(endpoint if place == 0 else None, route, share))
        if not endpoint.present_routes:
            table.add_row(endpoint.name, Text("no routes", style="dim"))
    return table


def _cells(endpoint: Endpoint | None, route: Route, share: str) -> tuple[str | Text, ...]:
    return (
        (endpoint.name or "") if endpoint else "",
        str(route.route_id)[:8],
        f"{route.kernel_host}:{route.kernel_port}",
        route.status,
        Text(route.health, style=HEALTH_COLOURS[route.health]),
        f"{route.traffic_ratio:g}",
        Text(share, style="dim" if share == "none" else "bold"),
    )
