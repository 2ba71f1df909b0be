"""Reads, tries and ends entries for the owner of a partition, and for no other consumer."""

from collections.abc import Iterable, Sequence

from consumers.errors import LeaseLostError
from consumers.handlers.entry_in_hand import EntryInHand
from consumers.handlers.lease import NOT_THE_OWNER, Lease
from consumers.runtime.dead_letters import letter_of
from consumers.runtime.last_errors import shortened
from consumers.runtime.losses import Losses
from consumers.runtime.outcome import DeadLetter
from events.entry.entry_id import START, EntryId
from events.entry.recorded import entries_of
from events.log.keys import Keys
from events.log.positions import group_holder
from events.server.reply import reply
from events.server.script import Script
from events.server.server import Server

_Noted = tuple[bytes, list[bytes] | None, bytes | None]


class OwnedEntries:
    """The entries of one handler group in one partition, as their owner handles them.

    The script of each step checks that the consumer still owns the partition. If another one does,
    the step raises LeaseLostError and changes nothing.

    Attributes:
        losses: Notes the entries that are gone.
    """

    def __init__(
        self, server: Server, keys: Keys, partition: int, member: tuple[str, str], lease: Lease
    ) -> None:
        group, self._consumer = member
        self._group = group
        self._holder = group_holder(group)
        self._partition = partition
        self._lease = lease
        self._stream = keys.events(partition)
        self._end = START
        self.losses = Losses(server, keys, partition, group)
        self._keys = [
            keys.fence(partition, group),
            self._stream,
            keys.tries(partition, group),
            keys.errors(partition, group),
            keys.positions(partition),
        ]
        self._dead = keys.dead(partition, group)
        self._client = server.client
        self._read = server.client.script("consumers.handlers", "owned_read")
        self._pending = server.client.script("consumers.handlers", "owned_pending")
        self._try = server.client.script("consumers.handlers", "owned_try")
        self._acknowledge = server.client.script("consumers.handlers", "owned_acknowledge")
        self._give_up = server.client.script("consumers.handlers", "owned_dead_letter")

    async def look_for_losses(self) -> None:
        """Note entries that were trimmed before the group had read them."""
        await self.losses.look(self._consumer)

    async def read(self, count: int) -> list[EntryInHand]:
        """Return up to *count* entries that the group was not given before."""
        answer = await self._ask(self._read, self._group, self._consumer, count)
        now_ms, raw, end = reply(answer, tuple[int, list[_Noted], bytes | None])
        if end:
            self._end = EntryId.parse(end)
        return self._held(now_ms, raw)

    def wait(self, block_ms: int) -> tuple[str | int, ...]:
        """Return the command that waits for new entries after a read that found none.

        It takes no entries: a cancelled wait loses none, and that of a former owner gets none.
        """
        return ("XREAD", "COUNT", 1, "BLOCK", block_ms, "STREAMS", self._stream, str(self._end))

    async def pending(
        self, after: EntryId | None, count: int
    ) -> tuple[list[EntryInHand], list[EntryId]]:
        """Take over up to *count* pending entries after *after*, in order, whoever had them.

        The ids of those that were deleted from the stream are returned separately.
        """
        args = (self._group, self._consumer, "-" if after is None else f"({after}", count)
        answer = await self._ask(self._pending, *args)
        now_ms, raw = reply(answer, tuple[int, list[_Noted]])
        gone = [EntryId.parse(entry_id) for entry_id, fields, _ in raw if fields is None]
        return self._held(now_ms, (noted for noted in raw if noted[1] is not None)), gone

    async def note(self, held: EntryInHand, after_s: float = 0.0, error: str = "") -> bool:
        """Note the tries of *held*, and the error of the last one.

        Returns whether the entry is still pending.
        """
        waits_ms = round(after_s * 1_000)
        about = (str(held.entry_id), held.begun, held.failures, waits_ms, shortened(error))
        return bool(await self._ask(self._try, self._group, self._consumer, *about))

    async def acknowledge(self, entry_ids: Sequence[EntryId]) -> None:
        """End entries that are done, and keep the group's new position."""
        await self._ask(self._acknowledge, self._group, self._holder, *map(str, entry_ids))

    async def give_up(self, held: EntryInHand, letter: DeadLetter) -> bool:
        """Move *held* to the dead letters; return whether it was still pending."""
        strings = letter_of(held.delivery, letter, self._consumer)
        args = (self._group, self._holder, str(held.entry_id), *strings)
        keys = [*self._keys, self._dead]
        return bool(await self._ask(self._give_up, *args, keys=keys))

    async def tried(self) -> list[EntryId]:
        """Return the entries for which tries are noted."""
        raw = await self._client.call("HKEYS", self._keys[2])
        return list(map(EntryId.parse, reply(raw, list[bytes])))

    async def _ask(self, script: Script, *args: object, keys: list[str] | None = None) -> object:
        owner = self._lease.owner
        answer = await script(keys or self._keys, [owner, *args])
        if answer == NOT_THE_OWNER:
            raise LeaseLostError(f"{owner!r} was taken for gone, another consumer owns now")
        return answer

    def _held(self, now_ms: int, raw: Iterable[_Noted]) -> list[EntryInHand]:
        held = []
        for entry_id, fields, tries in raw:
            [entry] = entries_of([(entry_id, fields or ())], self._partition)
            begun, failures, due_ms = map(int, tries.split()) if tries else (0, 0, 0)
            held.append(EntryInHand(entry, begun, failures, max(0, due_ms - now_ms) / 1_000))
        return held
