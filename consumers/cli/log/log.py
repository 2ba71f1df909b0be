"""The commands about the log as a whole: create it, go on without what is missing of it."""

from collections.abc import Iterator, Sequence

import click

from consumers.cli.deployment import Deployment, command_of, snapshots_of, source_of
from consumers.cli.log.drop import drop_left
from consumers.cli.log.repartition import move, repartition
from consumers.cli.terminal.command_group import CommandGroup
from consumers.cli.terminal.messages import say, say_note
from consumers.cli.terminal.output import confirm, yes_option
from events.log.accepted_loss import PartitionLoss, accept_loss, layout_left, read_loss
from events.log.keys import PARTITIONS_MAX, Keys
from events.log.layout import Layout, create_layout, read_layout
from events.log.log import EventLog
from events.server.server import open_server
from projections.catalogue import READ_MODELS
from projections.replay.build import build
from projections.replay.unbuilt import unbuilt


@click.group(cls=CommandGroup)
def log() -> None:
    """Create the log, and look after it as a whole."""


@log.command()
@click.option(
    "--partitions",
    type=click.IntRange(1, PARTITIONS_MAX),
    help="How many the log will have; as the setting partitions says, or 1, unless given.",
)
@yes_option
@command_of
async def create(deployment: Deployment, *, partitions: int | None, yes: bool) -> None:
    """Create the log, with a number of partitions that stays as it is.

    An endpoint's events lie on one partition, in their order; partitions share the endpoints among
    them. One partition takes tens of thousands of events a second; take more than one where several
    processes of a handler group, or several nodes of a cluster, are to share the work. Without this
    command the log is created by the first program that records something. It fails where the log
    exists.

    \b
    Example: routestream log create --partitions 8
    """
    keys = Keys(deployment.settings.namespace)
    number = partitions or deployment.settings.partitions or 1
    async with open_server(deployment.settings.server) as server:
        if await read_layout(server.client, keys) is None:
            confirm([(f"log {keys.namespace}", "none", f"{number} partitions")], yes=yes)
        layout = await create_layout(server.client, keys, number)
    say(f"log {layout.identity} is created, with {layout.partitions} partitions")


log.add_command(repartition)
log.add_command(move)
log.add_command(drop_left)


@log.command("accept-loss")
@click.option(
    "--partitions",
    type=click.IntRange(1, PARTITIONS_MAX),
    help="How many the log had, where that is lost as well.",
)
@yes_option
@command_of
async def accept(deployment: Deployment, *, partitions: int | None, yes: bool) -> None:
    """Go on without what is missing of the log's history: it is lost from then on.

    Where entries that were read are gone, because a server came back empty or with an older file,
    projectors wait and readers keep their last good table. Bring back what is missing if there is a
    way: the server's file, a replica, an archive, an export. If there is none, this makes what is
    there the history: a lost layout is written again, read models that are not live are built from
    what there is, and projectors and readers go on with it.

    \b
    Example: routestream log accept-loss
    """
    settings = deployment.settings
    keys, wanted = Keys(settings.namespace), partitions or settings.partitions
    async with open_server(settings.server) as server:
        left = await layout_left(server.client, keys, wanted)
        losses = [await read_loss(server.client, keys, p) for p in range(left.partitions)]
        confirm(_plan(left, losses), yes=yes)
        layout = await accept_loss(server.client, keys, left)
        await _build(deployment, EventLog(server, keys, layout, deployment.source), losses)
    say(f"log {layout.identity} goes on with what there is")


def _plan(left: Layout, losses: Sequence[PartitionLoss]) -> Iterator[tuple[str, object, object]]:
    if left.identity is None:
        yield "layout", "lost", f"written again, {left.partitions} partitions"
    for loss in losses:
        causes = sorted({missing.cause for missing in loss.held.missing.values()})
        for cause in causes or ["nothing is said to be missing"]:
            yield cause, "waiting", f"partition {loss.partition} goes on, up to {loss.last}"


async def _build(
    deployment: Deployment, log_left: EventLog, losses: Sequence[PartitionLoss]
) -> None:
    """Build the read models that are not live, from snapshots that fit and from what is there."""
    source = source_of(deployment, log_left, say_note)
    for loss in losses:
        snapshots = snapshots_of(deployment, log_left, loss.partition)
        for store in await unbuilt(log_left, loss.partition, loss.held, READ_MODELS.values()):
            folding = await snapshots.newest(store.projection)
            store.identity = log_left.layout.identity
            position = await build(source, store, folding, accept_loss=True)
            say(f"partition {loss.partition}: {store.read_model} is built, up to {position}")
