"""Compares what a consumer knows of its group's history with what the server says."""

from collections import deque
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Self

import msgspec

from consumers.runtime.losses import KEPT_MAX, Loss, Losses, Why
from consumers.runtime.outcome import Delivery
from events.entry.entry_id import START, EntryId
from events.log.keys import Keys
from events.log.positions import group_holder
from events.server.reply import reply, reply_or_none
from events.server.server import Server
from events.streams.stream_state import StreamState, read_stream_state
from events.structured_logger import structured_logger

REMEMBERED_MAX = 10_000
"""Entries that are remembered: a failover loses what was written in the last seconds."""

_CHUNK = 1_000

_Remembered = tuple[EntryId, bytes]
"""An entry, and the id of its event; empty where another program gave it none."""

_Finding = tuple[bytes, bytes, bytes, int, bytes]
_Facts = tuple[bytes, bytes | None, bytes, bytes | None, int | None, int, int]


class Stand(msgspec.Struct, frozen=True):
    """Where a group stood at a look.

    Attributes:
        delivered: The newest entry that it was given.
        last: The newest entry that was ever appended.
        first: The oldest entry in the stream, `START` if there was none.
        given: How many entries in the stream it had been given, None if that is not known.
        added: How many entries were ever appended.
    """

    delivered: EntryId
    last: EntryId
    first: EntryId
    given: int | None
    added: int

    @classmethod
    def of(cls, facts: _Facts, before: Self | None) -> Self:
        """Return the stand that *facts* tell; *before* tells what is not known now."""
        delivered, _, last, first, given, _, added = facts
        return cls(
            EntryId.parse(delivered),
            EntryId.parse(last),
            START if first is None else EntryId.parse(first),
            given if given is not None else before.given if before else None,
            added,
        )


class GroupHistory:
    """The history of one group in one partition, as one of its consumers knows it.

    Every loss is found here: at each (re)connect, by `compare`; at each look and before each read,
    by a script that sees log, group and what is kept of both at once. Groups, positions and
    documents go back together with the log when a server loses its last writes; only the memory of
    the consumers then knows what had been read.

    Attributes:
        losses: The losses that were noted.
    """

    def __init__(self, server: Server, keys: Keys, partition: int, member: tuple[str, str]) -> None:
        group, consumer = member
        self.losses = Losses(server, keys, partition, group)
        self._client = server.client
        self._group = group
        self._stream = keys.events(partition)
        self._look = server.client.script("consumers.runtime", "look")
        self._missing = server.client.script("consumers.runtime", "missing")
        self._names = (group, group_holder(group), consumer)
        delivered = keys.delivered(partition, group)
        self._look_keys = [
            *(self._stream, keys.positions(partition), delivered),
            *(keys.losses(partition), keys.lost(partition)),
        ]
        self._identity_key = keys.identity(partition)
        self._remembered: deque[_Remembered] = deque(maxlen=REMEMBERED_MAX)
        self._stand: Stand | None = None
        self._identity: bytes | None = None
        self._log = structured_logger(__name__).bind(group=group, partition=partition)

    def note(self, deliveries: Iterable[Delivery]) -> None:
        """Remember entries that were delivered for the first time."""
        self._remembered.extend(
            (delivery.entry_id, delivery.entry.event_id) for delivery in deliveries
        )

    @property
    def look_arguments(self) -> Sequence[str | bytes | int]:
        """What a script is given that compares the histories: names, what is remembered, when."""
        newest = _word(self._remembered[-1]) if self._remembered else b""
        return (*self._names, newest, KEPT_MAX, datetime.now(UTC).isoformat())

    def look_command(self) -> tuple[str | bytes | int, ...]:
        """Return the command to send right before and right after a read; see `take_look`."""
        return self._look.by_digest(self._look_keys, self.look_arguments)

    async def look(self) -> None:
        """Note what the group will not be given, and refresh the consumer's idle time.

        Raises:
            NoGroupError: The group is not there.
        """
        await self.take_look(await self._look(self._look_keys, self.look_arguments))

    async def take_look(self, raw: object) -> None:
        """Tell what a look has found; compare the histories if the group or the log went back."""
        findings, facts = reply(raw, tuple[list[_Finding], _Facts])
        now = datetime.now(UTC)
        for why, first, last, entries, counted in findings:
            known = msgspec.convert(why.decode(), Why)
            ends = (EntryId.parse(first), EntryId.parse(last))
            loss = Loss(self._group, known, entries, *ends, now, is_least=counted == b"least")
            self.losses.tell(loss)
        stand, before = Stand.of(facts, self._stand), self._stand
        went_back = before and (stand.last < before.last or stand.delivered < before.delivered)
        if went_back or not facts[-2]:
            await self.compare()
        if facts[1] is not None and EntryId.parse(facts[1]) > stand.delivered:
            at, was = str(stand.delivered), facts[1].decode()
            self._log.warning("group_moved", at=at, was=was, why="it reads again from there on")
        self._stand = stand

    async def compare(self) -> None:
        """Note as lost what the group was given and the log no longer has, and then forget it.

        An entry that was trimmed or deleted after it had been read is no loss. What cannot be noted
        now, since the server goes away again, is kept for the next comparison.
        """
        stream = await read_stream_state(self._client.call, self._stream)
        stream = stream or StreamState.absent(self._stream)
        found = await self._client.call("HGET", self._identity_key, "identity")
        identity = reply_or_none(found, bytes)
        gone, stand = await self._gone(self._remembered), self._stand
        is_another = stand is not None and _is_another(stream, stand)
        if stand is not None and self._identity is not None and identity != self._identity:
            # A person may have given another identity to what is there: it alone does not say so.
            ends = sorted({stand.first, stand.delivered} - {START})
            is_another = is_another or await self._gone((end, b"") for end in ends) == ends
        rewound = [one for one in gone if is_another or stream.never_had(one)]
        if stand and stand.given and is_another:
            await self._note_all_given(stand)
            rewound = [one for one in rewound if one > stand.delivered]
        elif not rewound and stand and stream.last < stand.delivered:
            await self._note_shorter(stream, stand)
        if rewound:
            # Of another history nothing is left that tells what the others were given of it.
            is_least = stand is None or (is_another and not stand.given)
            await self.losses.note("rewound", rewound, is_least=is_least)
        if is_another or rewound or (stand and stream.last < stand.delivered):
            self._stand = None
        self._identity = identity or self._identity
        self._forget(gone)

    async def _gone(self, remembered: Iterable[_Remembered]) -> list[EntryId]:
        """Return those of *remembered* that are not in the log, in ascending order.

        An entry that is another event now is gone, too: two masters may have given the same ids.
        """
        gone: list[EntryId] = []
        ordered = sorted(set(remembered))
        for at in range(0, len(ordered), _CHUNK):
            chunk = [_word(one) for one in ordered[at : at + _CHUNK]]
            raw = await self._missing([self._stream], chunk)
            gone += map(EntryId.parse, reply(raw, list[bytes]))
        return gone

    def _forget(self, gone: Iterable[EntryId]) -> None:
        forgotten = set(gone)
        kept = (one for one in self._remembered if one[0] not in forgotten)
        self._remembered = deque(kept, maxlen=REMEMBERED_MAX)

    async def _note_all_given(self, stand: Stand) -> None:
        """Note what all consumers were given up to the last look: each of them knows that.

        What others were given since then, and did not live to tell, is not known.
        """
        await self.losses.note_loss(
            Loss(
                *(self._group, "rewound", stand.given or 0, stand.first, stand.delivered),
                *(datetime.now(UTC), True, "group"),
            )
        )

    async def _note_shorter(self, stream: StreamState, stand: Stand) -> None:
        """Note what other consumers or earlier processes were given after the log's present end."""
        gone = max(1, (stand.given or 0) - stream.length)
        ends = (stream.last.after(), stand.delivered)
        now = datetime.now(UTC)
        await self.losses.note_loss(Loss(self._group, "rewound", gone, *ends, now, is_least=True))


def _word(remembered: _Remembered) -> bytes:
    entry_id, event_id = remembered
    return b"%s %s" % (str(entry_id).encode(), event_id)


def _is_another(stream: StreamState, stand: Stand) -> bool:
    """Whether the ids in *stream* alone tell that nothing is left of the history of *stand*."""
    if stream.last < stand.first:
        return True
    is_after = (stream.first or stream.last.after()) > stand.delivered
    return is_after and (stream.is_whole or (stream.entries_added or 0) < stand.added)
