"""The commands that show the groups."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

import anyio
import click
import msgspec
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
from consumers.cli.terminal.output_form import ForTable
from consumers.cli.terminal.table import Column, Columns
from consumers.groups.foreign_groups import read_foreign_states
from consumers.groups.rates import SAMPLE_S, GroupRates, RateMeter
from consumers.groups.state import GroupState, read_group_states
from consumers.settings import Settings
from events.entry.age import age_of, span
from events.entry.entry_id import START, EntryId
from events.log.log import EventLog
from events.server.server import now_of
from events.streams.group_activity import Activity


class GroupRow(msgspec.Struct, frozen=True, kw_only=True):
    """One group on one partition."""

    group: str
    partition: int
    state: str
    consumers: int
    active: int
    pending: int
    lag: int | None
    lag_min: int
    lag_max: int | None
    backlog: int | None
    lost: int | None
    last_delivered: EntryId | None
    oldest_pending: EntryId | None


class MeasuredGroupRow(GroupRow, frozen=True, kw_only=True):
    """One group on one partition, with its rates."""

    rate_s: float | None
    appended_s: float | None
    eta_s: float | None
    activity: ForTable[Activity]
    shown_lag: ForTable[str | int | None]
    shown_eta: ForTable[str | None]


def _columns(now: datetime) -> Columns[MeasuredGroupRow]:
    """Return the columns of `groups ls`; most are empty for a group that is missing."""

    def known(
        cell: Callable[[MeasuredGroupRow], object],
    ) -> Callable[[MeasuredGroupRow], object]:
        return lambda row: None if row.activity == "missing" else cell(row)

    return (
        Column("GROUP", lambda row: row.group, folds=True),
        Column("PARTITION", lambda row: row.partition, is_number=True),
        Column("CONSUMERS", known(lambda row: row.consumers), is_number=True),
        Column("ACTIVE", known(lambda row: row.active), is_number=True),
        Column("PENDING", known(lambda row: row.pending), is_number=True),
        Column("LAG", known(lambda row: row.shown_lag), is_number=True),
        Column("LOST", known(_lost), is_number=True),
        Column("OLDEST PENDING", known(lambda row: _age(row.oldest_pending, now)), is_below=True),
        Column("LAST DELIVERED", known(lambda row: row.last_delivered or "none"), is_below=True),
        Column("RATE/S", known(_rate), is_below=True),
        Column("ETA", known(lambda row: row.shown_eta), is_below=True),
        Column("STATE", lambda row: Text(row.activity, COLOURS[row.activity]), folds=True),
    )


def _lost(row: GroupRow) -> Text | int | None:
    return Text(str(row.lost), "red") if row.lost else row.lost


def _age(entry_id: EntryId | None, now: datetime) -> str | None:
    return None if entry_id is None else age_of(entry_id, now)


def _rate(row: MeasuredGroupRow) -> str | None:
    return None if row.rate_s is None else f"{row.rate_s:.1f}".removesuffix(".0")


COLOURS: dict[Activity, str] = {
    "missing": "red",
    "history missing": "red",
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

    ACTIVE consumers were heard of within 30 s. LAG is the number of entries not yet delivered:
    counted, or if it is very long, the estimate of Redis with ~; >= says that no more were counted.
    PENDING is the number of entries not yet acknowledged, OLDEST PENDING how long ago the oldest of
    them was appended. LOST is the number of entries that were gone before the group could end them.
    RATE/S is the number of entries delivered a second, since the last reading or within a moment;
    ETA is the time until LAG is 0 at this rate.

    \b
    Example: routestream groups ls --watch 2
    """
    meter = RateMeter()
    async with deployment.open_log() as log:

        async def show_groups() -> None:
            if not meter.has_looked:
                await _look(log, deployment.settings, meter)
                await anyio.sleep(SAMPLE_S)
            states, rates = await _look(log, deployment.settings, meter)
            now = await now_of(log.server)
            rows = [_measured_row(state, rates) for state in states]
            print_rows(output, MeasuredGroupRow, rows, _columns(now), nothing="no groups")
            if not states:
                await tell_missing_log(log)

        await watched(watch, show_groups)


_RatesByPlace = Mapping[tuple[str, int], GroupRates]


async def _look(
    log: EventLog, settings: Settings, meter: RateMeter
) -> tuple[list[GroupState], _RatesByPlace]:
    at = await now_of(log.server)
    states = [state async for state in read_group_states(log)]
    states += await read_foreign_states(log, settings)
    return states, meter.note(states, at.timestamp())


def _measured_row(state: GroupState, rates: _RatesByPlace) -> MeasuredGroupRow:
    measured = rates.get((state.group, state.partition), GroupRates())
    return MeasuredGroupRow(
        **group_facts(state),
        rate_s=measured.read_s,
        appended_s=measured.added_s,
        eta_s=measured.eta_s,
        activity=state.activity,
        shown_lag=lag_of(state),
        shown_eta=eta_of(measured),
    )


def lag_of(state: GroupState) -> str | int | None:
    """Return the lag as shown: exact, the estimate of Redis, or a lower bound.

    A missing group has none.
    """
    if state.activity == "missing":
        return None
    if state.lag is not None:
        return state.lag
    return f">={state.lag_min}" if state.lag_max is None else f"~{state.lag_max}"


def eta_of(rates: GroupRates) -> str | None:
    """Return the time until a group has caught up, as shown; None where it is unknown."""
    if rates.eta_s is not None:
        return span(rates.eta_s)
    return None if rates.read_s is None else _NEVER


def group_facts(state: GroupState) -> dict[str, Any]:
    """Return the fields of a `GroupRow`."""
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
        "last_delivered": state.last_delivered if state.last_delivered > START else None,
        "oldest_pending": state.oldest_pending,
    }
