"""Redis Cluster: which node has the slot of a key, by the nodes' own word."""

from bisect import bisect_right
from collections.abc import Awaitable, Callable, Iterable
from random import shuffle
from time import monotonic

import anyio
from redis.crc import key_slot

from events.errors import EventsError, ServerRefusedError, ServerUnavailableError
from events.server.places import ServerPlace
from events.server.pool import NeverSentError
from events.server.reply import reply, reply_or_none

_ASK_S = 0.5
_LOOK_HOLDS_S = 0.05

SlotRange = tuple[int, int, ServerPlace]
"""The first slot, the last slot, and their master."""

AskForSlots = Callable[[ServerPlace], Awaitable[object]]
"""Sends CLUSTER SLOTS to a node and returns the reply as it came."""


class ClusterPlaces:
    """Where the slots of a cluster are.

    A node that sends a command elsewhere is believed at once, for that slot. Everything is looked
    up again when a connection failed, or a node said that it cannot serve: by the first that asks
    then, the others wait for what it finds.

    Attributes:
        patience_s: Longer than a failover takes with the usual node timeouts, 5 s and less.
    """

    patience_s = 20.0
    is_spread = True

    def __init__(self, seeds: Iterable[ServerPlace], ask: AskForSlots) -> None:
        self._seeds = tuple(seeds)
        self._ask = ask
        self._ranges: list[SlotRange] = []
        self._moved: dict[int, ServerPlace] = {}
        self._doubted: ServerPlace | None = None
        self._in_doubt = True
        self._looking = anyio.Lock()
        self._looked_at = float("-inf")
        self._failure: EventsError | None = None

    async def of(self, key: str | bytes) -> ServerPlace:
        """Return the master that has *key*."""
        if self._in_doubt:
            await self._look()
        slot = slot_of(key)
        place = self._moved.get(slot) or self._listed(slot)
        if place is None:
            self._in_doubt = True
            raise unreachable(f"no node of the Redis Cluster serves slot {slot}, that of {key!s}")
        return place

    async def all(self) -> list[ServerPlace]:
        """Return all masters, in the order of their slots."""
        await self._look()
        return list(dict.fromkeys([place for _, _, place in self._ranges]))

    def share_a_command(self, one: str, other: str) -> bool:
        """Whether one command may name both keys: if they are of one slot."""
        return slot_of(one) == slot_of(other)

    def moved(self, slot: int, place: ServerPlace) -> None:
        """Believe a node that *slot* lies at *place*."""
        self._moved[slot] = place

    def doubt(self, place: ServerPlace) -> None:
        """Look again before the next answer, and ask *place* last."""
        self._doubted, self._in_doubt = place, True

    def is_left(self, _place: ServerPlace) -> bool:
        """Whether nothing is sent to a node any more: it says by itself where its slots went."""
        return False

    def _listed(self, slot: int) -> ServerPlace | None:
        at = bisect_right(self._ranges, slot, key=lambda listed: listed[0]) - 1
        if at < 0:
            return None
        _, last, place = self._ranges[at]
        return place if slot <= last else None

    async def _look(self) -> None:
        """Ask one node after another for the slots, until one tells them."""
        asked_at = monotonic()
        async with self._looking:
            if self._looked_at > asked_at - _LOOK_HOLDS_S:
                self._raise_failure()
                return  # somebody looked while this one waited, or just before
            why: EventsError | None = None
            for node in self._nodes():
                try:
                    with anyio.fail_after(_ASK_S):
                        ranges = slot_ranges(await self._ask(node), node)
                except TimeoutError:
                    why = ServerUnavailableError(f"{node} does not answer in {_ASK_S:g} s")
                except (ServerUnavailableError, ServerRefusedError) as error:
                    why = error
                else:
                    if not ranges:  # it belongs to no cluster, or not yet
                        why = ServerUnavailableError(f"{node} knows no slots")
                        continue
                    self._ranges = ranges
                    self._moved.clear()
                    self._in_doubt, self._doubted = False, None
                    self._looked_at, self._failure = monotonic(), None
                    return
            self._looked_at, self._failure = monotonic(), why
        self._raise_failure()

    def _raise_failure(self) -> None:
        """Raise why the last look found nothing, if so."""
        if isinstance(self._failure, ServerRefusedError):
            raise self._failure
        if self._failure is not None:
            why = self._failure
            raise unreachable(f"no node of the Redis Cluster tells where its slots are: {why}")

    def _nodes(self) -> list[ServerPlace]:
        """Return whom to ask, in an order by which not all ask the same one first."""
        known = list({*self._seeds, *(place for _, _, place in self._ranges)})
        shuffle(known)
        return sorted(known, key=lambda node: node == self._doubted)


def slot_of(key: str | bytes) -> int:
    """Return the slot of *key*, that of its hash tag if it has one."""
    raw = key.encode("utf-8", "surrogateescape") if isinstance(key, str) else key
    slot: int = key_slot(raw)
    return slot


def slot_ranges(raw: object, asked: ServerPlace) -> list[SlotRange]:
    """Return what CLUSTER SLOTS replied, ordered by slots.

    A node that does not know its own host, or by which name it is to be reached, leaves it empty
    or says "?": that of *asked* is meant.

    Raises:
        UnexpectedReplyError: The reply has another form.
    """
    ranges = []
    for first, last, *nodes in reply(raw, list[list[object]]):
        host, port, *_ = reply(nodes[0] if nodes else [b"", 0], list[object])
        told = reply_or_none(host, bytes) or b""
        known = told.decode() if told not in {b"", b"?"} else asked.host
        ranges.append((reply(first, int), reply(last, int), ServerPlace(known, reply(port, int))))
    return sorted(ranges, key=lambda listed: listed[:2])


def unreachable(sentence: str) -> ServerUnavailableError:
    """Return the error of a command that was never sent, for nobody knows where to."""
    error = ServerUnavailableError(sentence)
    error.__cause__ = NeverSentError(sentence)
    return error
