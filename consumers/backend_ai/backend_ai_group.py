"""Makes the consumer of the group `backend-ai`, which reads Backend.AI's stream."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio

from consumers.backend_ai.backend_ai_stream_settings import BackendAIStreamSettings
from consumers.backend_ai.entry_recorder import FINDINGS, EntryRecorder
from consumers.backend_ai.foreign_entry import WANTED, ForeignEntry, subject_of
from consumers.backend_ai.handoff_reader import HandoffReader
from consumers.group_definition import GroupPlace
from consumers.handlers.handler_consumer import HandlerConsumer
from consumers.handlers.handler_settings import HELD_MAX, HandlerSettings
from consumers.handlers.handler_work import HandlerWork
from consumers.runtime.outcome import WAIT_MAX_S, RetryPolicy
from events.entry.entry_id import START
from events.log.log import EventLog
from events.server.server import Server
from events.streams.foreign_stream import foreign_log
from producers.backend_ai.log_translation import LogTranslation

BACKEND_AI = "backend-ai"

SOURCE = "backend-ai"
"""The source of the events that are recorded."""

POLICY = RetryPolicy(tries_max=20, first_s=0.1, most_s=2.0)
"""Retries of entries that fail; a status that waits for its list is tried again in the same way."""

_CLOSE_TIMEOUT_S = 1.0


def missing_backend_ai_setting(settings: BackendAIStreamSettings) -> str | None:
    """Return which setting the group needs and lacks; None for none."""
    if settings.url:
        return None
    return (
        "the group backend-ai needs the URL of Backend.AI's Redis:"
        " set backend_ai.url or ROUTESTREAM_BACKEND_AI_URL"
    )


@asynccontextmanager
async def backend_ai_stream(
    namespace: str, settings: BackendAIStreamSettings
) -> AsyncIterator[EventLog]:
    """Open Backend.AI's stream for our group; it connects when it is first read.

    What the group keeps beside the stream has *namespace*, that of our log, in its keys, and a
    suffix: they are never taken for those of the log itself, even in the same database.
    """
    async with _opened(settings, settings.stream_database) as server:
        yield foreign_log(server, settings.stream, f"{namespace}:{BACKEND_AI}")


@asynccontextmanager
async def backend_ai_place(
    log: EventLog, settings: BackendAIStreamSettings
) -> AsyncIterator[GroupPlace]:
    """Open Backend.AI's stream beside *log*, with the name that our group has in it."""
    async with backend_ai_stream(log.keys.namespace, settings) as stream:
        yield GroupPlace(stream, settings.group)


@asynccontextmanager
async def _opened(settings: BackendAIStreamSettings, database: int) -> AsyncIterator[Server]:
    # Not checked: while it is away, the group waits for it.
    server = Server(settings.server_of(database))
    try:
        yield server
    finally:
        with anyio.move_on_after(_CLOSE_TIMEOUT_S, shield=True):
            await server.aclose()


@asynccontextmanager
async def backend_ai_consumers(
    log: EventLog, consumer: str, settings: BackendAIStreamSettings
) -> AsyncIterator[list[HandlerConsumer]]:
    """Make the consumer named *consumer*; a new group begins with the oldest entry there is.

    The settings must have a URL: see `missing_backend_ai_setting`.
    """
    own = EventLog(log.server, log.keys, log.layout, SOURCE)
    async with (
        backend_ai_stream(log.keys.namespace, settings) as stream,
        _opened(settings, settings.live_database) as live,
    ):
        recorder = EntryRecorder(LogTranslation(own), HandoffReader(live))
        work = HandlerWork(recorder, WANTED, START, ForeignEntry.read, subject_of)
        handling = HandlerSettings(
            concurrency=1,  # each entry is decided on the state that the one before it left
            held_max=HELD_MAX,  # what is not in hand may be trimmed by the next writer
            deadline_s=WAIT_MAX_S,
            policy=POLICY,
            lease_ms=settings.lease_ms,
            block_ms=settings.block_ms,
        )
        member = HandlerConsumer(stream, 0, (settings.group, consumer), work, handling)
        member.progress.findings.update(dict.fromkeys(FINDINGS, 0))
        yield [member]
