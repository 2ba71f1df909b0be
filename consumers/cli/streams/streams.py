"""The commands that show the streams."""

from collections.abc import AsyncGenerator, Sequence
from datetime import datetime
from functools import partial

import click
import msgspec

from consumers.cli.deployment import Deployment, command_of
from consumers.cli.streams.table import (
    StreamRow,
    print_stream,
    stream_columns,
    stream_details,
    stream_row,
    warnings_of,
)
from consumers.cli.terminal.command_group import CommandGroup
from consumers.cli.terminal.messages import EXIT_FAILED, say
from consumers.cli.terminal.output import (
    OutputForm,
    output_option,
    print_rows,
    print_value,
    watch_option,
    watched,
)
from consumers.retention.settings import RetentionSettings
from events.errors import ServerRefusedError
from events.log.log import EventLog
from events.retention.retention import Cut, cut_for_readers, read_holders
from events.server.reply import key_of_text
from events.server.server import now_of
from events.streams.foreign_stream import NoStreamError, WrongStreamError
from events.streams.redis_stream import RedisStream, read_redis_stream, stream_keys

STREAMS_MAX = 1_000
"""Streams that are listed at most."""


class AppendRates:
    """Measures append rates between readings, more exactly than the newest entries show."""

    def __init__(self) -> None:
        self._seen: dict[str | bytes, tuple[int, datetime]] = {}

    def seen(self, stream: RedisStream, now: datetime) -> RedisStream:
        """Return the stream with its rate since the last reading, if there was one."""
        before = self._seen.get(stream.key)
        self._seen[stream.key] = stream.added, now
        if before is None or now <= before[1]:
            return stream
        rate = (stream.added - before[0]) / (now - before[1]).total_seconds()
        return msgspec.structs.replace(stream, rate_per_s=max(0.0, rate))


@click.group(cls=CommandGroup)
def streams() -> None:
    """Look at the streams that the log lies on, and at any other."""


@streams.command("ls")
@click.option("--all", "every", is_flag=True, help="Every stream that the server has.")
@click.option("--match", metavar="PATTERN", help="Every stream with such a key, as in 'events*'.")
@output_option
@watch_option
@command_of
async def list_streams(
    deployment: Deployment,
    *,
    every: bool,
    match: str | None,
    output: OutputForm,
    watch: float | None,
) -> None:
    """List the partitions of the log, each one Redis stream, or all that the server has.

    BYTES is an estimate from a few entries; ADDED counts the trimmed ones, too; RATE/S is an
    estimate from the newest entries; MAX LAG is that of the group that has most to read, >= says
    that no more were counted; AGE is how long ago the last entry was appended. The exit code is 1
    if a partition's key holds something other than a stream.

    \b
    Example: routestream streams ls --watch 5s
    Example: routestream streams ls --match 'events*' -o wide
    """
    pattern = "*" if every and match is None else match
    rates = AppendRates()
    strays: list[WrongStreamError] = []
    async with deployment.open_log() as log:
        columns = partial(stream_columns, is_cluster=log.server.is_cluster)

        async def show_streams() -> None:
            now = await now_of(log.server)
            strays.clear()
            listed = _listed(log, pattern, now, strays)
            rows = [stream_row(p, rates.seen(one, now)) async for p, one in listed]
            nothing = _nothing(log, pattern, strays)
            print_rows(output, StreamRow, rows, columns(now), nothing=nothing)

        await watched(watch, show_streams)
    if strays:
        click.get_current_context().exit(EXIT_FAILED)


def _nothing(log: EventLog, pattern: str | None, strays: Sequence[WrongStreamError]) -> str:
    if pattern is not None:
        return f"no streams match {pattern!r}"
    never = f": nothing was ever appended to {log.keys.namespace!r}"
    return f"no streams{'' if strays else never}"


async def _listed(
    log: EventLog, pattern: str | None, now: datetime, strays: list[WrongStreamError]
) -> AsyncGenerator[tuple[int | None, RedisStream]]:
    """Yield the partitions, and then the other streams that match, by key.

    Anything else in the place of a partition is reported, and added to *strays*.
    """
    ours = {log.keys.events(p).encode(): p for p in range(log.partitions)}
    keys: list[bytes] = list(ours)
    if pattern is not None:
        keys.clear()
        async for key in stream_keys(log.server, pattern):
            if len(keys) == STREAMS_MAX:
                say(f"there are more than {STREAMS_MAX}; --match says which")
                break
            keys.append(key)
        keys.sort(key=lambda key: (ours.get(key, len(ours)), key))
    for key in keys:
        try:
            yield ours.get(key), await read_redis_stream(log.server, key, _ms(now))
        except WrongStreamError as error:
            strays.append(error)
            say(f"warning: {error}; routestream doctor says what to do")
        except NoStreamError:
            continue
        except ServerRefusedError as error:
            if key in ours:
                raise
            say(f"{key.decode('utf-8', 'backslashreplace')}: {error}")


@streams.command("show")
@click.argument("stream", metavar="NAME|P")
@output_option
@watch_option
@command_of
async def show_stream(
    deployment: Deployment, *, stream: str, output: OutputForm, watch: float | None
) -> None:
    """Show one stream: its groups, who needs what of it, and up to where it could be cut.

    NAME|P is the number of a partition of the log, or the key of any stream. A holder keeps all
    from its oldest pending or its last delivered entry on. Of a partition, what is younger than the
    setting retention.keep_s (a week where it is not given), and what is in no archive or snapshot,
    stays as well: `streams trim` cuts exactly what is called safe here.

    \b
    Example: routestream streams show 0
    Example: routestream streams show events -o json
    """
    async with deployment.open_log() as log:
        partition, key = _place(log, stream)

        async def show_it() -> None:
            now = await now_of(log.server)
            found = await read_redis_stream(log.server, key, _ms(now))
            cut = await _cut(log, partition, found, deployment.settings.retention, _ms(now))
            warnings = warnings_of(cut) + await log.server.weaknesses()
            row = stream_details(partition, cut, warnings)
            if output.is_table:
                print_stream(output, row, cut, now)
            else:
                print_value(output, row)

        await watched(watch, show_it)


async def _cut(
    log: EventLog,
    partition: int | None,
    stream: RedisStream,
    retention: RetentionSettings,
    now_ms: int,
) -> Cut[RedisStream]:
    if partition is None:
        return cut_for_readers(stream)
    rule = retention.rule_of()
    holders = await read_holders(log, partition, rule)
    return Cut(stream, tuple(holders), rule.floor(now_ms))


def _place(log: EventLog, named: str) -> tuple[int | None, str | bytes]:
    if named.isascii() and named.isdigit():
        partition = int(named[:9])
        if partition >= log.partitions:
            raise click.UsageError(f"partition {named}: the log has {log.partitions}")
        return partition, log.keys.events(partition)
    ours = {log.keys.events(p): p for p in range(log.partitions)}
    return ours.get(named), key_of_text(named).encode("utf-8", "surrogateescape")


def _ms(time: datetime) -> int:
    return round(time.timestamp() * 1_000)
