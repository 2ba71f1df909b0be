"""The commands that move a log to another number of partitions, or to another server."""

import re

import click
from msgspec.structs import replace

from consumers.cli.deployment import Deployment, command_of
from consumers.cli.terminal.messages import say, say_note
from consumers.cli.terminal.output import confirm, yes_option
from consumers.cli.terminal.progress import ProgressLine
from consumers.move.group_transfer import left_by
from consumers.move.log_move import LogMove, LogMoved
from events.entry.entry_id import EntryId
from events.history.history import History
from events.log.keys import PARTITIONS_MAX
from events.log.layout import LogPlace
from events.move import open_target
from events.move.target import MoveSize, check_memory, read_size
from events.server.server import Server, open_server
from events.server.url import parse_server_url


@click.command()
@click.option(
    "--partitions",
    type=click.IntRange(1, PARTITIONS_MAX),
    required=True,
    help="How many partitions the log will have.",
)
@click.option("--into", "namespace", required=True, help="The namespace that the log moves to.")
@click.option("--dry-run", is_flag=True, help="Only show what would be done.")
@yes_option
@command_of
async def repartition(
    deployment: Deployment, *, partitions: int, namespace: str, dry_run: bool, yes: bool
) -> None:
    """Move the log to another number of partitions, into another namespace, while it runs.

    All entries, with those of the archive, are copied and compared; the read models are built anew
    and compared with an independent fold; then the log is sealed for a moment, the rest is copied,
    and producers, readers and groups go on at the new place by themselves. What was acknowledged is
    there exactly once. Run it again if it was interrupted: it goes on where it was. Up to the
    change-over nothing happens to the log; after it, the same command in the other direction, into
    a third namespace, moves it back. Programs that append with XADD themselves, without
    routestream, must be stopped before, and started anew with the new namespace.

    \b
    Example: routestream log repartition --partitions 8 --into routestream-8
    """
    async with deployment.open_log() as log:
        source = History(log, deployment.open_archive())
        if partitions == log.partitions:
            raise click.UsageError(f"--partitions: the log has {partitions} already")
        await move_log(
            source, log.server, LogPlace(namespace), partitions, dry_run=dry_run, yes=yes
        )


@click.command()
@click.option("--to", "url", metavar="URL", required=True, help="The server that it moves to.")
@click.option("--into", "namespace", help="The namespace there; the same unless given.")
@click.option(
    "--partitions",
    type=click.IntRange(1, PARTITIONS_MAX),
    help="How many partitions it will have; as many as now unless given.",
)
@click.option("--dry-run", is_flag=True, help="Only show what would be done.")
@yes_option
@command_of
async def move(
    deployment: Deployment,
    *,
    url: str,
    namespace: str | None,
    partitions: int | None,
    dry_run: bool,
    yes: bool,
) -> None:
    """Move the log to another server, while it runs; see `log repartition`, which does the same.

    Producers, readers and groups follow from the old server to the new one, with the user and the
    password that they have for the old one: the new one must know them. The old server must stay
    until all programs have the new URL in their settings.

    \b
    Example: routestream log move --to redis://new:6379
    """
    settings = deployment.settings.server
    try:
        there = replace(settings, url=url, password=None, password_file=None)
    except ValueError as error:
        raise click.UsageError(f"--to: {error}") from None
    async with deployment.open_log() as log, open_server(there) as server:
        source = History(log, deployment.open_archive())
        place = LogPlace(namespace or log.keys.namespace, _without_login(url))
        number = partitions or log.partitions
        await move_log(source, server, place, number, dry_run=dry_run, yes=yes)


def _without_login(url: str) -> str:
    """Return *url* as a layout may have it: whoever follows has a user and a password."""
    options = parse_server_url(url).options
    if (options.username, options.password, options.ssl_password) != (None, None, None):
        raise click.UsageError(
            "--to: give the user and the password before the host, as USER:PASSWORD@"
        )
    return re.sub(r"://[^/@]*@", "://", url)


async def move_log(
    source: History,
    server: Server,
    place: LogPlace,
    partitions: int,
    *,
    dry_run: bool,
    yes: bool,
) -> None:
    """Show what a move does, and do it if that is confirmed."""
    await open_target(source, server, place.namespace, partitions, create=False)
    size = await read_size(source, server)
    check_memory(size)
    changes = _changes(source, server, place, partitions, size)
    if dry_run:
        for what, before, after in changes:
            say(f"{what}: {before} -> {after}")
        return
    confirm(changes, yes=yes)
    target = await open_target(source, server, place.namespace, partitions, create=True)
    progress = ProgressLine("copied", size.entries)

    def note(count: int, at: EntryId) -> None:
        progress.add(count, at)

    _tell(await LogMove(source, target, place, note, say).run(), place)


def _changes(
    source: History, server: Server, place: LogPlace, partitions: int, size: MoveSize
) -> list[tuple[str, object, object]]:
    memory = "" if size.memory_bytes is None else f", about {size.memory_bytes:,} bytes"
    return [
        ("log", f"{source.keys.namespace} at {source.server.address}", _named(server, place)),
        ("partitions", source.partitions, partitions),
        ("entries", f"{size.entries:,}", f"copied{memory}"),
    ]


def _named(server: Server, place: LogPlace) -> str:
    return f"{place.namespace} at {server.address}"


def _tell(moved: LogMoved, place: LogPlace) -> None:
    say(
        f"moved: {moved.entries:,} entries of {moved.endpoints:,} endpoints are the same,"
        f" {moved.documents:,} documents are right; producers waited {moved.sealed_s:.1f} s"
    )
    for group in moved.groups:
        say(f"group {group.name} goes on, with {group.pending} entries pending")
    for left in left_by(moved.groups):
        say_note(left)
    say_note(
        f"programs that are configured with the old place are led to {place.namespace!r}, as long"
        " as the old namespace is there"
    )
