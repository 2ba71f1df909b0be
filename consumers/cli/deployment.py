"""Opens the deployment that a command works on, as the settings define it."""

import os
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from functools import wraps
from inspect import signature
from pathlib import Path
from types import MappingProxyType
from typing import Any, Concatenate, ParamSpec

import click
import msgspec

from consumers.backend_ai.backend_ai_stream_settings import BackendAIStreamSettings
from consumers.cli.terminal.interrupt import run_until_interrupted
from consumers.cli.terminal.messages import say_note
from consumers.cli.terminal.standard_output import quiet_on_closed_pipe
from consumers.cli.terminal.watch import watched
from consumers.processes.logs import configure_logs
from consumers.settings import Settings, read_with_sources
from events.archive import Archive, open_archive
from events.entry.recorded import Entry
from events.history.cursor import Note
from events.history.history import History
from events.log.keys import Keys
from events.log.log import EventLog
from events.server.server import open_server
from events.streams.foreign_stream import ForeignDecoder, ForeignEvent
from projections.errors import EndpointNotFoundError, NoLiveGenerationError
from projections.projection import Projection
from projections.read_model.store import ReadModelStore
from projections.replay.partition_history import Source
from projections.snapshots.snapshot_store import Snapshots

P = ParamSpec("P")

WAITED_FOR = (NoLiveGenerationError, EndpointNotFoundError)
"""What a repeated command waits for to pass."""


class Deployment(msgspec.Struct, frozen=True):
    """The log that a command works on, and the source of its events: click's context object.

    Attributes:
        settings: The settings that the command was started with.
        source: The source that is recorded with appended events.
        foreign: The decoders of other systems' streams, by stream key.
        sources: Where each setting comes from that was set.
    """

    settings: Settings = Settings()
    source: str = "routestream"
    foreign: Mapping[str, ForeignDecoder] = MappingProxyType({})
    sources: Mapping[str, str] = MappingProxyType({})

    @asynccontextmanager
    async def open_log(self, *, create: bool = False) -> AsyncIterator[EventLog]:
        """Open the log; without *create* nothing is written, not even that it exists."""
        async with open_server(self.settings.server) as server:
            log = await EventLog.open(
                server,
                Keys(self.settings.namespace),
                partitions=self.settings.partitions,
                source=self.source,
                create=create,
            )
            try:
                yield log
            finally:
                await log.aclose()

    @asynccontextmanager
    async def open_history(self) -> AsyncIterator[History]:
        """Open the log together with its archive; print a note about each gap."""
        async with self.open_log() as log:
            yield History(log, self.open_archive(), say_note)

    def open_archive(self) -> Archive | None:
        """Return the archive that the settings name, None where they name none."""
        return open_archive(self.settings.archive, self.settings.namespace)


def command_of(
    run: Callable[Concatenate[Deployment, P], Awaitable[None]],
) -> Callable[P, None]:
    """Return a click callback that runs an async function with the deployment as first argument.

    A function without a parameter *watch* is repeated as a whole where the command has `--watch`.
    """
    repeats_itself = "watch" in signature(run).parameters

    @wraps(run)
    def callback(*args: P.args, **kwargs: P.kwargs) -> None:
        deployment = click.get_current_context().ensure_object(Deployment)
        every_s: Any = None if repeats_itself else kwargs.pop("watch", None)

        async def show() -> None:
            await run(deployment, *args, **kwargs)

        async def call() -> None:
            await watched(every_s, show, WAITED_FOR)

        with quiet_on_closed_pipe():
            run_until_interrupted(call)

    return callback


def _backend_ai_event(entry: Entry, *, wide: bool = False) -> ForeignEvent:
    """Decode an entry of Backend.AI's own stream."""
    from consumers.cli.backend_ai_entry import printed_entry  # noqa: PLC0415 - few commands need it

    return printed_entry(entry, wide=wide)


FOREIGN_DECODERS: Mapping[str, ForeignDecoder] = MappingProxyType(
    {BackendAIStreamSettings().stream: _backend_ai_event}
)
"""The decoders of other systems' streams, by stream key."""


def set_up(
    context: click.Context, config: Path | None, log_level: str, options: Mapping[str, str]
) -> None:
    """Read the settings, and store the deployment in *context* for the command.

    *options* names the option of the command line that has set a variable, where one has.

    Raises:
        InvalidSettingsError: A setting is wrong.
    """
    configure_logs(log_level)
    settings, sources = read_with_sources(config, os.environ, options)
    context.obj = Deployment(settings, foreign=FOREIGN_DECODERS, sources=sources)


def source_of(deployment: Deployment, log: EventLog, on_gap: Note | None = None) -> Source:
    """Return *log* together with its archive, where the settings name one; see `History`."""
    archive = deployment.open_archive()
    return log if archive is None else History(log, archive, on_gap)


def store_of(log: EventLog, projection: Projection[Any], partition: int) -> ReadModelStore[Any]:
    """Return the read model of one partition."""
    return ReadModelStore(log.server, log.keys, projection, partition)


def snapshots_of(deployment: Deployment, log: EventLog, partition: int) -> Snapshots:
    """Return the snapshots of one partition."""
    return Snapshots(source_of(deployment, log), partition, deployment.settings.snapshots)
