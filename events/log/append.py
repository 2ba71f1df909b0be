"""Append: how events get into the log once, whatever happens to the reply."""

from collections.abc import Mapping, Sequence
from time import monotonic
from typing import Annotated, Any
from uuid import UUID

import anyio
import msgspec
from msgspec import Meta

from events.catalogue.event import Event, new_event_id
from events.entry.codec import encode
from events.entry.entry_id import EntryId
from events.entry.recorded import Metadata
from events.errors import (
    ConflictError,
    InvalidEventError,
    NotDurableError,
    ServerRefusedError,
    ServerUnavailableError,
    UncertainAppendError,
)
from events.limits import Limited
from events.log.keys import Keys, partition_of
from events.server.backoff import Backoff
from events.server.reply import reply
from events.server.server import Server
from events.server.translation import translation, was_not_carried_out
from events.structured_logger import structured_logger


class Durability(Limited, frozen=True):
    """Wait until the events are in memory (nothing more), on disk, on replicas.

    Attributes:
        fsync: Wait until the server has synced its append-only file (Redis 7.2, Valkey 8).
        replicas: Wait until so many replicas have the events.
        timeout_ms: The longest wait for either.
    """

    fsync: bool = False
    replicas: Annotated[int, Meta(ge=0, le=100)] = 0
    timeout_ms: Annotated[int, Meta(ge=1, le=3_600_000)] = 2_000


MEMORY = Durability()


FSYNC = Durability(fsync=True)


APPEND_MAX = 2_500
"""Events that one append may have in one partition: a full route list, all routes starting."""

SEEN_MS = 60_000
"""How long the server knows an append again; no try begins so late that it could take longer."""

TRIES_MAX = 6
_BETWEEN_TRIES = Backoff(first_s=0.05, most_s=1.0)

_log = structured_logger(__name__)


class Batch(msgspec.Struct, frozen=True):
    """One partition's events, as the script takes them."""

    endpoint_id: UUID
    event_id: str
    expected: EntryId | None
    keys: list[str]
    args: list[Any]


class Appended(msgspec.Struct, frozen=True):
    """What an append did: the entry ids in the events' order, and what it waited for."""

    entry_ids: tuple[EntryId, ...]
    durability: Durability


def group_by_partition(
    events: Sequence[Event], partitions: int, expected: EntryId | None
) -> Mapping[int, list[int]]:
    """Check what was given as a whole, and say which of the events go to which partition."""
    if not events:
        raise InvalidEventError("events", "none was given, the least is one")
    if expected is not None and len({event.endpoint_id for event in events}) > 1:
        raise InvalidEventError("expected", "it is one endpoint's head, the events are of more")
    batches: dict[int, list[int]] = {}
    for place, event in enumerate(events):
        batches.setdefault(partition_of(event.endpoint_id, partitions), []).append(place)
    for batch in batches.values():
        if len(batch) > APPEND_MAX:
            raise InvalidEventError(
                "events", f"{len(batch)} for one partition, the limit is {APPEND_MAX} an append"
            )
    return batches


class Append:
    """Appends one partition's events, again if no reply comes; the server knows them again."""

    def __init__(self, server: Server, keys: Keys, source: str) -> None:
        self._server = server
        self._keys = keys
        self._source = source
        self._script = server.client.script("events.log", "append")

    def batch(
        self,
        partition: int,
        events: Sequence[Event],
        expected: EntryId | None,
        metadata: Metadata | None,
    ) -> Batch:
        """Encode one partition's events; raise InvalidEventError where one breaks its limits."""
        ids = [new_event_id() for _ in events]
        keys = [
            self._keys.events(partition),
            self._keys.heads(partition),
            self._keys.appended(partition, str(ids[0])),
        ]
        args: list[Any] = ["" if expected is None else str(expected), SEEN_MS, len(events)]
        for event, event_id in zip(events, ids, strict=True):
            fields = encode(event, event_id, self._source, metadata)
            strings = [part for field in fields.items() for part in field]
            args += [str(event.endpoint_id), len(strings), *strings]
        return Batch(events[0].endpoint_id, str(ids[0]), expected, keys, args)

    async def __call__(self, batch: Batch, durability: Durability) -> Appended:
        """See `EventLog.append`."""
        await self._refuse_impossible(durability)
        outcome, *rest = await self._until_answered(batch)
        if outcome == b"conflict" and batch.expected is not None:
            raise ConflictError(batch.endpoint_id, batch.expected, EntryId.parse(rest[0]))
        appended = Appended(tuple(map(EntryId.parse, rest)), durability)
        if durability != MEMORY:
            await self._wait(batch, appended)
        return appended

    async def _until_answered(self, batch: Batch) -> list[bytes]:
        """Try until the server answers; a try that may have landed is never taken for one lost."""
        uncertain = False
        # A try waits for a connection, for it to open, and for the reply.
        last_at = monotonic() + SEEN_MS / 1_000 - 3 * self._server.settings.timeout_s
        for tries, delay_s in enumerate(_BETWEEN_TRIES.delays(), start=1):
            try:
                return reply(await self._script(batch.keys, batch.args), list[bytes])
            except ServerUnavailableError as error:
                uncertain = uncertain or not was_not_carried_out(error)
                _log.warning(
                    "append_unanswered", event_id=batch.event_id, tries=tries, error=str(error)
                )
                if tries == TRIES_MAX or monotonic() + delay_s > last_at:
                    if uncertain:
                        raise UncertainAppendError(batch.event_id, tries, str(error)) from error
                    raise
            except ServerRefusedError as error:
                if uncertain:  # it is this try that was refused, not the one before
                    raise UncertainAppendError(batch.event_id, tries, str(error)) from error
                raise
            await anyio.sleep(delay_s)
        raise AssertionError("the delays never end")

    async def _refuse_impossible(self, durability: Durability) -> None:
        if durability.fsync and not await self._server.can_wait_for_fsync():
            raise ServerRefusedError(
                f"Redis at {self._server.address} cannot wait for fsync: it needs WAITAOF"
                " (Redis 7.2, Valkey 8) and appendonly yes; nothing was appended"
            )

    async def _wait(self, batch: Batch, appended: Appended) -> None:
        wanted = appended.durability
        try:
            fsynced, replicas = await self._reached(batch, wanted)
        except (ServerUnavailableError, ServerRefusedError) as error:
            raise NotDurableError(
                f"appended as {appended.entry_ids[-1]}, but how safely is not known: {error}"
            ) from error
        if fsynced < wanted.fsync or replicas < wanted.replicas:
            raise NotDurableError(
                f"appended as {appended.entry_ids[-1]}, but after {wanted.timeout_ms} ms"
                f" fsync is {bool(fsynced)} (asked for: {wanted.fsync}) and replicas are"
                f" {replicas} (asked for: {wanted.replicas})"
            )

    async def _reached(self, batch: Batch, wanted: Durability) -> tuple[int, int]:
        """Say on how many local disks and replicas the append is.

        The server waits for what the asking connection wrote, so the append is sent once more
        (the server knows it again, and writes that) in one packet with the question.
        """
        async with self._server.blocking(wanted.timeout_ms) as client:
            pipeline = client.pipeline(transaction=False)
            self._script.queue(pipeline, batch.keys, batch.args)
            if wanted.fsync:
                pipeline.execute_command("WAITAOF", 1, wanted.replicas, wanted.timeout_ms)
            else:
                pipeline.execute_command("WAIT", wanted.replicas, wanted.timeout_ms)
            with translation():
                _, reached = await pipeline.execute()
        return tuple(reached) if wanted.fsync else (0, reached)
