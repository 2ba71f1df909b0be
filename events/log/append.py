"""Append events to the log once, even if replies are lost."""

from collections.abc import Sequence
from time import monotonic
from typing import Any

import anyio
import msgspec

from events.entry.entry_id import EntryId
from events.errors import (
    ConflictError,
    InvalidEventError,
    NotDurableError,
    SealedLogError,
    ServerRefusedError,
    ServerUnavailableError,
    UncertainAppendError,
)
from events.log.batch import MEMORY, Batch, Durability
from events.log.keys import Keys
from events.server.backoff import Backoff
from events.server.reply import reply
from events.server.server import Server
from events.server.translation import was_not_carried_out
from events.structured_logger import structured_logger

TRIES_MAX = 6
"""Tries to append; more where another server may become the master meanwhile."""

_BETWEEN_TRIES = Backoff(first_s=0.05, most_s=1.0)

_log = structured_logger(__name__)
_json = msgspec.json.Encoder().encode


class Append:
    """Appends one partition's events; without a reply it repeats, which the log recognises."""

    def __init__(self, server: Server, keys: Keys) -> None:
        self._server = server
        self._keys = keys
        self._script = server.client.script("events.log", "append")

    async def __call__(self, batch: Batch, durability: Durability) -> Sequence[EntryId]:
        """Append *batch* and return its entry ids; see `AppendableLog.append`."""
        words = self._words(batch)
        entry_ids = _entry_ids(batch, await self._until_answered(batch, words, durability))
        if durability == MEMORY:
            return entry_ids
        return await self._wait(batch, words, entry_ids, durability)

    async def _until_answered(
        self, batch: Batch, words: "_Words", durability: Durability
    ) -> list[bytes]:
        """Try until the server answers; never report as failed what may have been appended."""
        uncertain, gives_up_at = False, monotonic() + self._server.patience_s
        for tries, delay_s in enumerate(_BETWEEN_TRIES.delays(), start=1):
            try:
                await self._refuse_impossible(durability, words)
                return await self._answer(words)
            except ServerUnavailableError as error:
                uncertain = uncertain or not was_not_carried_out(error)
                _log.warning(
                    "append_unanswered",
                    event_id=batch.events[0].event_id,
                    tries=tries,
                    error=str(error),
                )
                if tries >= TRIES_MAX and monotonic() > gives_up_at:
                    if uncertain:
                        raise UncertainAppendError(batch.event_ids, tries, str(error)) from error
                    raise
            except ServerRefusedError as error:
                if uncertain:  # only this try was refused: an earlier try may have succeeded
                    raise UncertainAppendError(batch.event_ids, tries, str(error)) from error
                raise
            await anyio.sleep(delay_s)
        raise AssertionError("the delays never end")

    async def _answer(self, words: "_Words") -> list[bytes]:
        """Call the script until it has counted all entries that other programs have added."""
        while True:
            answer = reply(await self._script(*words), list[bytes])
            if answer[0] != b"behind":
                return answer

    async def _refuse_impossible(self, durability: Durability, words: "_Words") -> None:
        [events, *_], _ = words
        if durability.fsync and not await self._server.can_wait_for_fsync(events):
            raise ServerRefusedError(
                f"Redis at {self._server.address} cannot wait for fsync: it needs WAITAOF"
                " (Redis 7.2, Valkey 8) and appendonly yes; nothing was appended"
            )

    async def _wait(
        self, batch: Batch, words: "_Words", entry_ids: Sequence[EntryId], wanted: Durability
    ) -> Sequence[EntryId]:
        """Wait for *wanted*; return the entry ids that the durable log has."""
        try:
            answer, fsynced, replicas = await self._reached(words, wanted)
        except (ServerUnavailableError, ServerRefusedError) as error:
            raise NotDurableError(
                f"appended as {entry_ids[-1]}, but how safely is not known: {error}",
                batch.event_ids,
                entry_ids,
            ) from error
        if answer[0] != b"appended":
            raise NotDurableError(
                f"appended as {entry_ids[-1]}, but the server that is asked how safely has lost it,"
                f" or has closed the log: it answers {answer[0].decode()!r}",
                batch.event_ids,
                entry_ids,
            )
        entry_ids = _entry_ids(batch, answer)
        if fsynced < wanted.fsync or replicas < wanted.replicas:
            raise NotDurableError(
                f"appended as {entry_ids[-1]}, but after {wanted.timeout_ms} ms"
                f" fsync is {bool(fsynced)} (asked for: {wanted.fsync}) and replicas are"
                f" {replicas} (asked for: {wanted.replicas})",
                batch.event_ids,
                entry_ids,
            )
        return entry_ids

    async def _reached(self, words: "_Words", wanted: Durability) -> tuple[list[bytes], int, int]:
        """Return the append's answer, and on how many local disks and replicas it is.

        The server waits for the writes of the connection that asks, so the append is sent once
        more, in one packet with the question: the server recognises the events, or adds them again
        if it has lost them since.
        """
        wait: tuple[object, ...] = ("WAIT", wanted.replicas, wanted.timeout_ms)
        if wanted.fsync:
            wait = ("WAITAOF", 1, wanted.replicas, wanted.timeout_ms)
        [events, *_], _ = words
        async with self._server.blocking(events, wanted.timeout_ms) as client:
            answer, reached = await client.together(self._script.whole(*words), wait)
            while reply(answer, list[bytes])[0] == b"behind":
                answer, reached = await client.together(self._script.whole(*words), wait)
        if wanted.fsync:
            return reply(answer, list[bytes]), *reply(reached, tuple[int, int])
        return reply(answer, list[bytes]), 0, reply(reached, int)

    def _words(self, batch: Batch) -> "_Words":
        expected = "" if batch.expected is None else str(batch.expected)
        origin = batch.origin
        args: list[Any] = [expected, origin.source, origin.metadata, len(batch.events)]
        for event in batch.events:
            args += (
                _json(event.endpoint_id)[1:-1],  # several times as fast as str()
                event.event_id,
                event.name,
                event.version,
                event.payload,
            )
        return self._keys.of_append(batch.partition), args


_Words = tuple[list[str], list[Any]]
"""The script's keys and arguments."""


def _entry_ids(batch: Batch, answer: list[bytes]) -> Sequence[EntryId]:
    """Return the entry ids that the script answered, or raise what it says."""
    outcome, *words = answer
    if outcome == b"conflict" and batch.expected is not None:
        raise ConflictError(batch.endpoint_id, batch.expected, EntryId.parse(words[0]))
    if outcome == b"sealed":
        raise SealedLogError(batch.event_ids)
    if outcome == b"taken":
        event_id, entry_id = (word.decode() for word in words)
        raise InvalidEventError(
            "event_ids", f"{event_id} is the id of another event, entry {entry_id}"
        )
    return tuple(map(EntryId.parse, words))
