"""The command that shows what each proxy has acknowledged."""

from time import time

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
from consumers.publishers.proxy_ledger import Condition, ProxyState, Refusal, read_proxies
from consumers.publishers.table_snapshot import Revision
from events.entry.age import span
from events.entry.entry_id import START
from events.errors import InvalidPositionError

_COLOURS: dict[Condition, str] = {
    "up to date": "green",
    "behind": "yellow",
    "refused": "red",
    "unreachable": "red",
    "silent": "red",
}


class ProxyRow(msgspec.Struct, frozen=True, kw_only=True):
    """One proxy: what it was given, what it has acknowledged, and what it refused; seconds ago."""

    publisher: str
    proxy: str
    state: Condition
    sent: str | None
    sent_age_s: float | None
    acknowledged: str | None
    acknowledged_age_s: float | None
    proved_age_s: float | None
    refused: int
    refusals: tuple[Refusal, ...]
    problem: str | None
    silent_s: float
    why: ForTable[str | None]


_COLUMNS: Columns[ProxyRow] = (
    Column("PUBLISHER", lambda row: row.publisher, folds=True),
    Column("PROXY", lambda row: row.proxy, folds=True),
    Column("STATE", lambda row: Text(row.state, _COLOURS[row.state]), folds=True),
    Column("ACKNOWLEDGED", lambda row: row.acknowledged or "nothing", folds=True),
    Column("AGE", lambda row: _age(row.acknowledged_age_s), is_number=True),
    Column("PROVED", lambda row: _ago(row.proved_age_s), is_number=True),
    Column("SENT", lambda row: row.sent if row.sent != row.acknowledged else None, is_below=True),
    Column("REFUSED", lambda row: row.refused or None, is_number=True),
    Column("WHY", lambda row: row.why, folds=True, is_below=True),
)


@click.group(cls=CommandGroup)
def proxies() -> None:
    """Look at the proxies that publishers feed."""


@proxies.command("ls")
@output_option
@watch_option
@command_of
async def list_proxies(deployment: Deployment, *, output: OutputForm, watch: float | None) -> None:
    """List the proxies: which revision of the table each has acknowledged, and what it refused.

    A revision is the newest entry of the log that the table shows, of each partition; AGE is how
    long ago that was appended, PROVED when it was last proved that the proxy has the revision. A
    proxy is `behind` that was given another revision since, and `silent` if its publisher gave no
    sign of life for 15 s.

    \b
    Example: routestream proxies ls --watch 2
    """
    async with deployment.open_log() as log:

        async def show_proxies() -> None:
            now = time()
            rows = [_row(state, now) for state in await read_proxies(log)]
            print_rows(output, ProxyRow, rows, _COLUMNS, nothing="no proxies")
            if not rows:
                await tell_missing_log(log)

        await watched(watch, show_proxies)


def _row(state: ProxyState, now: float) -> ProxyRow:
    return ProxyRow(
        publisher=state.publisher,
        proxy=state.proxy,
        state=state.condition(now),
        sent=state.sent,
        sent_age_s=None if state.sent_at is None else now - state.sent_at,
        acknowledged=state.acknowledged,
        acknowledged_age_s=_age_of(state.acknowledged, now),
        proved_age_s=None if state.acknowledged_at is None else now - state.acknowledged_at,
        refused=state.refused,
        refusals=state.refusals,
        problem=state.problem,
        silent_s=now - state.noted_at,
        why=state.why,
    )


def _age_of(revision: str | None, now: float) -> float | None:
    """Return how long ago the newest entry of *revision* was appended, in seconds."""
    if revision is None:
        return None
    try:
        newest = max(Revision.parse(revision).newest)
    except InvalidPositionError:
        return None
    return now - newest.ms / 1_000 if newest > START else None


def _ago(seconds: float | None) -> str | None:
    return None if seconds is None else f"{span(seconds)} ago"


def _age(seconds: float | None) -> str | None:
    return None if seconds is None else span(seconds)
