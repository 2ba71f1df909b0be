"""Selects the entries that a command works on, from the log or from any other stream."""

from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import wraps
from typing import Any

import click
import msgspec

from consumers.cli.deployment import Deployment
from consumers.cli.events.entry_filter import EntryFilter
from consumers.cli.terminal.entry_reading import EntryReading
from consumers.cli.terminal.messages import say
from events.entry.entry_id import END, EntryId
from events.entry.recorded import Entry
from events.history.history import History
from events.history.tail import SEARCHED_MAX, Wanted, entries_from, read_tail
from events.log.log import EventLog
from events.server.reply import key_of_text
from events.server.server import open_server
from events.streams.foreign_stream import open_foreign_stream


async def tell_missing_log(log: EventLog) -> None:
    """Say on standard error that the log does not exist, if it does not."""
    if not await log.exists():
        say(
            f"there is no log {log.keys.namespace!r} on {log.server.address}:"
            " --namespace or ROUTESTREAM_NAMESPACE names another"
        )


Callback = Callable[..., None]


class Asked(msgspec.Struct, frozen=True):
    """The values of the selection options; see their help."""

    names: tuple[str, ...] = ()
    endpoint: str | None = None
    sources: tuple[str, ...] = ()
    where: str | None = None
    stream: str | None = None


class Selection(msgspec.Struct, frozen=True):
    """An open log, which of its entries are wanted, and how they are read."""

    log: History
    wanted: EntryFilter
    reading: EntryReading

    @property
    def partitions(self) -> list[int]:
        """The partitions that can hold wanted entries."""
        if self.reading.is_foreign:
            return [0]
        return self.wanted.partitions(self.log.partitions)


class SelectedRange(msgspec.Struct, frozen=True):
    """Which part of it: the newest *count*, or *count* entries from *start* to *end*."""

    count: int | None = None
    start: EntryId | None = None
    end: EntryId = END
    follow: bool = False


stream_option = click.option(
    "--stream",
    metavar="KEY",
    help="Not the log but any Redis stream; what nobody here can read is shown raw.",
)


def selection_options(command: Callback) -> Callback:
    """Add the options that select entries; the callback gets their values as *asked*."""

    @wraps(command)
    def with_asked(*args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - whatever click passes
        asked = Asked(**{name: kwargs.pop(name) for name in Asked.__struct_fields__})
        command(*args, asked=asked, **kwargs)

    decorated: Callback = with_asked
    for option in (
        stream_option,
        click.option(
            "--where",
            metavar="EXPR",
            help="Only what this condition holds for, written as in Python, such as"
            " 'payload.new_status == \"unhealthy\"'; its fields are those of -o json.",
        ),
        click.option(
            "--source",
            "sources",
            multiple=True,
            metavar="NAME",
            help="Only what this source recorded; a pattern too; may be given several times.",
        ),
        click.option(
            "--endpoint",
            metavar="ENDPOINT",
            help="Only events of this endpoint: its name, its id, or the beginning of it.",
        ),
        click.option(
            "--type",
            "names",
            multiple=True,
            metavar="NAME",
            help="Only events of this type; a pattern such as 'route_*' too; may be given several"
            " times.",
        ),
    ):
        decorated = option(decorated)
    return decorated


@asynccontextmanager
async def open_selection(deployment: Deployment, asked: Asked) -> AsyncIterator[Selection]:
    """Open the log, or the stream that was asked for, to read from it.

    Raises:
        NoStreamError: The stream does not exist.
        InvalidExpressionError: The expression cannot be read.
        click.UsageError: Another option is invalid.
    """
    reading = EntryReading()
    if asked.stream is not None:
        reading = EntryReading(is_foreign=True, decoder=deployment.foreign.get(asked.stream))
    wanted = EntryFilter.parse(asked.names, asked.endpoint, asked.sources, asked.where, reading)
    if asked.stream is None:
        async with deployment.open_history() as history:
            await tell_missing_log(history.log)
            wanted = await wanted.with_endpoint_named(history.log, asked.endpoint)
            yield Selection(history, wanted, reading)
        return
    async with open_server(deployment.settings.server) as server:
        foreign = await open_foreign_stream(server, key_of_text(asked.stream))
        # A gap in a foreign stream is no fault: its owner trims it on purpose.
        yield Selection(History(foreign, on_gap=lambda _gap: None), wanted, reading)


async def selected_entries(
    selection: Selection, extent: SelectedRange, wanted: Wanted | None
) -> AsyncGenerator[Entry]:
    """Yield the wanted entries, oldest first; with *follow* also those appended later."""
    log, partitions = selection.log, selection.partitions
    if extent.start is None:
        newest = await read_tail(log, partitions, extent.count or 0, wanted)
        tell_unsearched(newest.unsearched)
        for entry in newest.entries:
            yield entry
        cursors = newest.cursors
    else:
        cursors = {p: await _before(log, p, extent.start) for p in partitions}
        async for entry in entries_from(log, partitions, extent.start, extent.end):
            cursors[entry.partition] = entry.entry_id
            if wanted is None or wanted(entry):
                yield entry
    if extent.follow:
        async for entry in log.follow_entries(cursors):
            if wanted is None or wanted(entry):
                yield entry


def tell_unsearched(unsearched: EntryId | None) -> None:
    """Say that older entries were not searched, if that is so."""
    if unsearched is not None:
        say(
            f"looked through {SEARCHED_MAX} entries, back to {unsearched};"
            " --from looks further back"
        )


async def _before(log: History, partition: int, start: EntryId) -> EntryId:
    """Return the cursor just before *start*; for `END` the present end of the log."""
    if start == END:
        return await log.head(partition)
    return start.before()
