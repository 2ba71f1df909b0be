"""Append events to the log once, even if replies are lost."""

from time import monotonic
from typing import Any

import anyio

from events.entry.entry_id import EntryId
from events.errors import (
    ConflictError,
    NotDurableError,
    ServerRefusedError,
    ServerUnavailableError,
    UncertainAppendError,
)
from events.log.batch import MEMORY, Appended, Batch, Durability
from events.log.keys import Keys
from events.server.backoff import Backoff
from events.server.reply import reply
from events.server.server import Server
from events.server.translation import translation, was_not_carried_out
from events.structured_logger import structured_logger

SEEN_MS = 60_000
"""How long the server recognises a repeated append; no try can end later than that."""

TRIES_MAX = 6
_BETWEEN_TRIES = Backoff(first_s=0.05, most_s=1.0)

_log = structured_logger(__name__)


class Append:
    """Appends one partition's events; without a reply it repeats, which the server recognises."""

    def __init__(self, server: Server, keys: Keys) -> None:
        self._server = server
        self._keys = keys
        self._script = server.client.script("events.log", "append")

    async def __call__(self, batch: Batch, durability: Durability) -> Appended:
        """See `EventLog.append`."""
        await self._refuse_impossible(durability)
        outcome, *raw_ids = await self._until_answered(batch)
        if outcome == b"conflict" and batch.expected is not None:
            raise ConflictError(batch.endpoint_id, batch.expected, EntryId.parse(raw_ids[0]))
        appended = Appended(tuple(map(EntryId.parse, raw_ids)), durability)
        if durability != MEMORY:
            await self._wait(batch, appended)
        return appended

    async def _until_answered(self, batch: Batch) -> list[bytes]:
        """Try until the server answers; never report as failed what may have been appended."""
        keys, args = self._words(batch)
        uncertain = False
        # A try waits for a connection, for it to open, and for the reply.
        last_at = monotonic() + SEEN_MS / 1_000 - 3 * self._server.settings.timeout_s
        for tries, delay_s in enumerate(_BETWEEN_TRIES.delays(), start=1):
            try:
                return reply(await self._script(keys, args), list[bytes])
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
                if uncertain:  # only this try was refused: an earlier try may have succeeded
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
        """Return on how many local disks and replicas the append is.

        The server waits for the writes of the connection that asks, so the append is sent once
        more, in one packet with the question: the server recognises it, and renews its expiry.
        """
        async with self._server.blocking(wanted.timeout_ms) as client:
            pipeline = client.pipeline(transaction=False)
            self._script.queue(pipeline, *self._words(batch))
            if wanted.fsync:
                pipeline.execute_command("WAITAOF", 1, wanted.replicas, wanted.timeout_ms)
            else:
                pipeline.execute_command("WAIT", wanted.replicas, wanted.timeout_ms)
            with translation():
                _, reached = await pipeline.execute()
        return tuple(reached) if wanted.fsync else (0, reached)

    def _words(self, batch: Batch) -> tuple[list[str], list[Any]]:
        """Return the script's keys and arguments."""
        keys = [
            self._keys.events(batch.partition),
            self._keys.heads(batch.partition),
            self._keys.appended(batch.partition, batch.event_id),
        ]
        expected = "" if batch.expected is None else str(batch.expected)
        args: list[Any] = [expected, SEEN_MS, len(batch.entries)]
        for entry in batch.entries:
            strings = [part for field in entry.fields.items() for part in field]
            args += [str(entry.endpoint_id), len(strings), *strings]
        return keys, args
