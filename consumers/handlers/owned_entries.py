"""Reads, tries and ends entries for the owner of a partition, and for no other consumer."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from itertools import chain
from time import monotonic
from typing import Any, NamedTuple
from uuid import UUID

from consumers.errors import LeaseLostError
from consumers.handlers.entry_in_hand import UNREADABLE, EntryInHand
from consumers.handlers.hands import Hands, Unsaved
from consumers.handlers.lease import NOT_THE_OWNER, Lease
from consumers.runtime.dead_letters import letter_of
from consumers.runtime.group_history import GroupHistory
from consumers.runtime.last_errors import shortened
from consumers.runtime.outcome import DeadLetter
from events.entry import codec
from events.entry.codec import ENTRY_BYTES_MAX
from events.entry.entry_id import AFTER_END, START, EntryId
from events.entry.recorded import Entry, bounded_entries_of
from events.errors import DamagedValueError, InvalidPositionError
from events.log.keys import Keys
from events.log.positions import group_holder
from events.server.reply import reply, whole_number
from events.server.script import Script
from events.server.server import Server
from events.streams.awaited_entries import AwaitedEntries
from events.structured_logger import structured_logger

_log = structured_logger(__name__)

_SORTED = b"sorted"
_NUMBERS = 4

_Noted = tuple[bytes, list[bytes] | None, bytes | None, int]


class NotedTry(NamedTuple):
    """How far the tries of an entry have come.

    Attributes:
        entry_id: The entry's id.
        begun: Tries that were begun.
        failures: Tries that failed.
        wait_s: How long until the next try may begin.
        error: The error of the last try, "" if it did not fail.
    """

    entry_id: EntryId
    begun: int
    failures: int
    wait_s: float = 0.0
    error: str = ""


class OwnedEntries:
    """The entries of one handler group in one partition, as their owner handles them.

    The script of each step checks that the consumer still owns the partition. If another one does,
    the step raises LeaseLostError and changes nothing.

    Attributes:
        history: Notes the entries that are gone.
    """

    def __init__(
        self,
        place: tuple[Server, Keys, int],
        member: tuple[str, str],
        lease: Lease,
        history: GroupHistory,
        subject_of: Callable[[Entry], UUID | None] = codec.subject_of,
    ) -> None:
        server, keys, partition = place
        self._server = server
        group, self._consumer = member
        self._group = group
        self._holder = group_holder(group)
        self._partition = partition
        self._lease = lease
        self._stream = keys.events(partition)
        self._subject_of = subject_of
        self._waits_from = START
        self.history = history
        self._keys = [
            keys.fence(partition, group),
            self._stream,
            keys.tries(partition, group),
            keys.errors(partition, group),
            keys.positions(partition),
            keys.hand(partition, group),
            keys.aside(partition, group),
        ]
        self._dead = keys.dead(partition, group)
        self._looked_at = [
            *(keys.delivered(partition, group), keys.losses(partition), keys.lost(partition)),
        ]
        self._client = server.client
        self._hands = server.client.script("consumers.handlers", "owned_hands")
        self._read = server.client.script("consumers.handlers", "owned_read")
        self._pending = server.client.script("consumers.handlers", "owned_pending")
        self._settle = server.client.script("consumers.handlers", "owned_round")
        self._give_up = server.client.script("consumers.handlers", "owned_dead_letter")

    async def read(self, count: int) -> list[EntryInHand]:
        """Return up to *count* entries that the group was not given before."""
        keys = [*self._keys, *self._looked_at]
        answer = await self._ask(self._read, count, *self.history.look_arguments, keys=keys)
        now_ms, raw, end, looked = reply(answer, tuple[int, list[_Noted], bytes | None, list[Any]])
        await self.history.take_look(looked)
        if end:
            self._waits_from = EntryId.parse(end)
        return self._held(now_ms, raw)

    @asynccontextmanager
    async def waiting(self, block_ms: int) -> AsyncIterator[Callable[[], Awaitable[object]]]:
        """Give a call that waits for new entries, up to *block_ms*, after a read that found none.

        It takes no entries: a cancelled wait loses none, and that of a former owner gets none.
        """
        async with AwaitedEntries.open(self._server, [self._stream], block_ms) as awaited:
            yield lambda: awaited.read({self._stream: str(self._waits_from)}, 1)

    async def pending(
        self, ranges: Iterable[tuple[str, str]], count: int
    ) -> tuple[list[EntryInHand], list[EntryId]]:
        """Take over up to *count* pending entries of each range, in order, whoever had them.

        A range is given as Redis takes it. The ids of those that were deleted from the stream are
        returned separately.
        """
        begun = (each for each in ranges if each[0] != AFTER_END)
        args = (self._group, self._consumer, count, *chain.from_iterable(begun))
        answer = await self._ask(self._pending, *args)
        now_ms, raw = reply(answer, tuple[int, list[_Noted]])
        gone = [EntryId.parse(noted[0]) for noted in raw if noted[1] is None]
        return self._held(now_ms, [noted for noted in raw if noted[1] is not None]), gone

    async def in_hand(self) -> list[EntryId]:
        """Return the entries that the last owner had in hand, in order; some may have ended."""
        raw = await self._client.call("SMEMBERS", self._keys[5])
        return sorted(filter(None, map(_parsed, reply(raw, set[bytes]))))

    async def aside(self) -> tuple[EntryId | None, dict[UUID, EntryId]]:
        """Return up to where all pending entries are sorted, and where each endpoint's begin.

        Those are the endpoints that have pending entries which the last owner did not have in hand.
        """
        raw = reply(await self._client.call("HGETALL", self._keys[6]), dict[bytes, bytes])
        up_to = _parsed(raw.pop(_SORTED, b""))
        try:
            first = {UUID(name.decode()): EntryId.parse(entry_id) for name, entry_id in raw.items()}
        except (ValueError, InvalidPositionError):
            # Another program wrote there: all pending entries are sorted again.
            return None, {}
        return up_to, first

    async def write_down(self, hands: Hands, up_to: EntryId | None) -> None:
        """Write down what changed in *hands*, and that all is sorted up to *up_to*."""
        unsaved = hands.unsaved
        args: list[str | int] = ["" if up_to is None else str(up_to)]
        args += (len(unsaved.taken), *map(str, unsaved.taken))
        args += (len(unsaved.put_back), *map(str, unsaved.put_back))
        for endpoint_id in unsaved.endpoints:
            waits = hands.aside.get(endpoint_id)
            args += (str(endpoint_id), str(waits.first) if waits else "")
        await self._ask(self._hands, *args)
        hands.unsaved = Unsaved()

    async def settle(self, done: Sequence[EntryId], tried: Sequence[NotedTry] = ()) -> set[EntryId]:
        """End entries that are *done*, note the tries of others, and keep the group's position.

        Returns those of *tried* that are no longer pending.
        """
        args: list[str | int] = [self._group, self._holder, self._consumer, len(done)]
        args += map(str, done)
        for noted in sorted(tried):
            wait_ms = round(noted.wait_s * 1_000)
            args += (str(noted.entry_id), noted.begun, noted.failures, wait_ms)
            args.append(shortened(noted.error))
        gone = reply(await self._ask(self._settle, *args), list[bytes])
        return set(map(EntryId.parse, gone))

    async def give_up(self, held: EntryInHand, letter: DeadLetter) -> bool:
        """Move *held* to the dead letters; return whether it was still pending."""
        strings = letter_of(held.delivery, letter, self._consumer)
        args = (self._group, self._holder, str(held.entry_id), *strings)
        keys = [*self._keys, self._dead]
        return bool(await self._ask(self._give_up, *args, keys=keys))

    async def tried(self) -> list[EntryId]:
        """Return the entries for which tries are noted."""
        raw = await self._client.call("HKEYS", self._keys[2])
        return list(filter(None, map(_parsed, reply(raw, list[bytes]))))

    async def _ask(self, script: Script, *args: object, keys: list[str] | None = None) -> object:
        owner = self._lease.owner
        answer = await script(keys or self._keys, [owner, *args])
        if answer == NOT_THE_OWNER:
            raise LeaseLostError(f"{owner!r} was taken for gone, another consumer owns now")
        return answer

    def _held(self, now_ms: int, raw: Sequence[_Noted]) -> list[EntryInHand]:
        held = []
        now = monotonic()
        entries = bounded_entries_of(
            [(noted[0], noted[1] or ()) for noted in raw], self._partition, ENTRY_BYTES_MAX
        )
        for entry, (_, _, tries, is_claimed) in zip(entries, raw, strict=True):
            begun, failures, due_ms, asked_ms = self._tries_of(entry.entry_id, tries)
            in_hand = EntryInHand(entry, self._subject_of(entry) or UNREADABLE, begun, failures)
            if due_ms > now_ms:
                # The server's clock may have been set back since.
                in_hand.due_at = now + min(due_ms - now_ms, asked_ms) / 1_000
            in_hand.is_claimed = bool(is_claimed)
            held.append(in_hand)
        return held

    def _tries_of(self, entry_id: EntryId, noted: bytes | None) -> tuple[int, int, int, int]:
        """Return tries begun, failures, when the next is due, and the wait that was asked for.

        They are 0 where they cannot be read.
        """
        try:
            numbers = [whole_number(number) for number in (noted or b"0 0 0 0").split(b" ")]
            if len(numbers) == _NUMBERS - 1:
                numbers.append(numbers[-1])  # the release before noted no wait; `Tries` limits it
            begun, failures, due_ms, asked_ms = numbers
        except (ValueError, DamagedValueError) as error:
            key = self._keys[2]
            _log.warning("tries_unreadable", key=key, entry_id=str(entry_id), error=str(error))
            return 0, 0, 0, 0
        return begun, failures, due_ms, asked_ms


def _parsed(raw: bytes) -> EntryId | None:
    try:
        return EntryId.parse(raw)
    except InvalidPositionError:
        return None
