"""The commands that show the groups."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, NamedTuple

import anyio
import click
from rich.text import Text

from consumers.cli.deployment import Deployment, command_of
from consumers.cli.events.selection import tell_missing_log
from consumers.cli.terminal.command_group import CommandGroup
from consumers.cli.terminal.output import (
    OutputForm,
    output_option,
    print_rows,
    watch_option,
    watched,
)
from consumers.cli.terminal.table import Column, row_of
from consumers.groups.rates import SAMPLE_S, RateMeter, Rates
from consumers.groups.state import Activity, GroupState, read_group_states
from events.entry.age import age_of, span
from events.entry.entry_id import START, EntryId
from events.log.log import EventLog
from events.server.server import now_of

COLOURS: dict[Activity, str] = {
    "missing": "red",
    "stopped": "red",
    "silent": "red",
    "working": "yellow",
    "up to date": "green",
}
_NEVER = "never"


@click.group(cls=CommandGroup)
def groups() -> None:
    """Look at the groups that read the log, move them, and remove what is left of them."""


@groups.command("ls")
@output_option
@watch_option
@command_of
async def list_groups(deployment: Deployment, *, output: OutputForm, watch: float | None) -> None:
    """List the groups: what each has still to read and to end, and whether it does.

    ACTIVE consumers were heard of within 30 s. LAG is what was not yet delivered: counted, or where
    it is very long ~ what Redis makes of it; >= says that no more was counted. PENDING is what was
    not yet acknowledged, OLDEST PENDING how long ago that entry was appended. LOST is what was gone
    before it could be ended. RATE/S is how many entries it is given a second, since the last look
    or within a moment; ETA is when LAG will be 0 if it goes on so.

    \b
    Example: routestream groups ls --watch 2
    """
    meter = RateMeter()
    async with deployment.open_log() as log:

        async def show_groups() -> None:
            if not meter.has_looked:
                await _look(log, meter)
                await anyio.sleep(SAMPLE_S)
            states, rates = await _look(log, meter)
            now = await now_of(log.server)
            rows = (
                row_of(GROUP_COLUMNS, _Line(state, _rates_of(state, rates), now))
                for state in states
            )
            values = (group_as_json(state, _rates_of(state, rates)) for state in states)
            fields = (*GROUP_FIELDS, *_RATE_FIELDS)
            print_rows(output, GROUP_COLUMNS, rows, values, fields=fields, nothing="no groups")
            if not states:
                await tell_missing_log(log)

        await watched(watch, show_groups)


_RatesByPlace = Mapping[tuple[str, int], Rates]


async def _look(log: EventLog, meter: RateMeter) -> tuple[list[GroupState], _RatesByPlace]:
    at = await now_of(log.server)
    states = [state async for state in read_group_states(log)]
    return states, meter.note(states, at.timestamp())


def _rates_of(state: GroupState, rates: _RatesByPlace) -> Rates:
    return rates.get((state.group, state.partition), Rates())


def lag_of(state: GroupState) -> str | int | None:
    """Return the lag as it is shown: exact, about what Redis tells, or as much as was counted.

    A group that is missing has none.
    """
    if state.activity == "missing":
        return None
    if state.lag is not None:
        return state.lag
    return f">={state.lag_min}" if state.lag_max is None else f"~{state.lag_max}"


def eta_of(rates: Rates) -> str | None:
    """Return when a group will have caught up, as it is shown; nothing where that is unknown."""
    if rates.eta_s is not None:
        return span(rates.eta_s)
    return None if rates.read_s is None else _NEVER


class _Line(NamedTuple):
    """What a row is about: a group in one partition, and what was measured of it."""

    state: GroupState
    rates: Rates
    now: datetime


def _of_present(show: Callable[[_Line], object]) -> Callable[[_Line], object]:
    """Show nothing of a group that is missing."""
    return lambda line: None if line.state.activity == "missing" else show(line)


def _oldest_pending(line: _Line) -> str | None:
    oldest = line.state.oldest_pending
    return None if oldest is None else age_of(oldest, line.now)


def _last_delivered(line: _Line) -> EntryId | str:
    last = line.state.last_delivered
    return last if last > START else "none"


def _rate(line: _Line) -> str | None:
    read_s = line.rates.read_s
    return None if read_s is None else f"{read_s:.1f}".removesuffix(".0")


def _lost(line: _Line) -> Text | int | None:
    lost = line.state.lost
    return Text(str(lost), "red") if lost else lost


GROUP_COLUMNS = (
    Column("GROUP", folds=True, cell=lambda line: line.state.group),
    Column("PARTITION", is_number=True, cell=lambda line: line.state.partition),
    Column("CONSUMERS", is_number=True, cell=_of_present(lambda line: line.state.consumers)),
    Column("ACTIVE", is_number=True, cell=_of_present(lambda line: line.state.active)),
    Column("PENDING", is_number=True, cell=_of_present(lambda line: line.state.pending)),
    Column("LAG", is_number=True, cell=lambda line: lag_of(line.state)),
    Column("LOST", is_number=True, cell=_of_present(_lost)),
    Column("OLDEST PENDING", is_below=True, cell=_of_present(_oldest_pending)),
    Column("LAST DELIVERED", is_below=True, cell=_of_present(_last_delivered)),
    Column("RATE/S", is_below=True, cell=_of_present(_rate)),
    Column("ETA", is_below=True, cell=_of_present(lambda line: eta_of(line.rates))),
    Column("STATE", folds=True, cell=lambda line: _state(line.state.activity)),
)


def _state(activity: Activity) -> Text:
    return Text(activity, COLOURS[activity])


GROUP_FIELDS = (
    *("group", "partition", "state", "consumers", "active", "pending"),
    *("lag", "lag_min", "lag_max", "backlog", "lost", "last_delivered", "oldest_pending"),
)
_RATE_FIELDS = ("rate_s", "appended_s", "eta_s")


def group_as_json(state: GroupState, rates: Rates | None = None) -> dict[str, Any]:
    """Return the `GROUP_FIELDS` of a group, and its rates where they were measured."""
    delivered = state.last_delivered > START
    measured = (
        {}
        if rates is None
        else {
            "rate_s": rates.read_s,
            "appended_s": rates.added_s,
            "eta_s": rates.eta_s,
        }
    )
    return {
        "group": state.group,
        "partition": state.partition,
        "state": state.activity.replace(" ", "_"),
        "consumers": state.consumers,
        "active": state.active,
        "pending": state.pending,
        "lag": state.lag,
        "lag_min": state.lag_min,
        "lag_max": state.lag_max,
        "backlog": state.backlog,
        "lost": state.lost,
        "last_delivered": str(state.last_delivered) if delivered else None,
        "oldest_pending": None if state.oldest_pending is None else str(state.oldest_pending),
        **measured,
    }
