"""Gives a partition to one consumer of a handler group at a time."""

from collections.abc import Iterable
from contextlib import suppress
from secrets import token_hex
from time import monotonic

from consumers.errors import LeaseLostError
from events.entry.entry_id import EntryId
from events.errors import ServerRefusedError
from events.log.keys import Keys
from events.server.reply import reply, reply_or_none, text
from events.server.server import Server
from events.streams.waiting_connections import connection_name

NOT_THE_OWNER = -1
"""The reply of an owner's scripts to a consumer that no longer owns the partition."""


class Lease:
    """One consumer's ownership of a partition, for as long as it is renewed.

    The consumer that takes it becomes *owner*, with a token that rises each time. The scripts that
    read, try and end entries for an owner compare it with the last owner (the fence). So a consumer
    that was paused for longer than its lease changes nothing afterwards. The server's clock alone
    decides when another consumer's lease has expired.

    Attributes:
        owner: `TOKEN HOLDER`, as in the fence; empty while this consumer owns nothing.
        connection_name: The name of the connection on which this consumer waits.
    """

    def __init__(
        self, server: Server, keys: Keys, partition: int, member: tuple[str, str], lease_ms: int
    ) -> None:
        group, consumer = member
        self.owner = ""
        # Two consumers that were given the same name must not be taken for one.
        self._holder = f"{consumer}#{token_hex(4)}"
        self._server = server
        self._lease = keys.lease(partition, group)
        self._fence = keys.fence(partition, group)
        self._handover = keys.handover(partition, group)
        self._stream = keys.events(partition)
        self._member = member
        self.connection_name = connection_name(keys, partition, *member)
        self._lease_ms = lease_ms
        self._held_until = 0.0
        self._take = server.client.script("consumers.handlers", "take_lease")
        self._renew = server.client.script("consumers.handlers", "renew_lease")
        self._hand_over = server.client.script("consumers.handlers", "hand_over_lease")

    @property
    def left_s(self) -> float:
        """Seconds for which the lease is still valid at least; 0 or less if it may have expired."""
        return self._held_until - monotonic()

    async def take(self) -> None:
        """Become the owner; wait until the current owner hands over or its lease expires.

        A cancelled wait takes nothing from other waiting consumers. A waiting consumer refreshes
        its idle time in the group at least once in the time of a lease.

        Raises:
            NoGroupError: The group is not there.
        """
        keys = [self._lease, self._fence, self._handover, self._stream]
        args = [self._holder, self._lease_ms, *self._member]
        async with self._server.blocking(self._handover, self._lease_ms) as client:
            while True:
                asked_at = monotonic()
                raw = await self._take(keys, args)
                owner, *state = reply(raw, list[bytes | int | None])
                if owner is not None:
                    self.owner = reply(owner, bytes).decode()
                    self._held_until = asked_at + self._lease_ms / 1_000
                    return
                left_ms, last_handover = reply(state, tuple[int, bytes])
                with suppress(ServerRefusedError):
                    await client.call("CLIENT SETNAME", self.connection_name)
                wait_ms = min(self._lease_ms, left_ms + 1)
                await client.call(
                    "XREAD", "BLOCK", wait_ms, "STREAMS", self._handover, last_handover
                )

    async def renew(self, held: Iterable[EntryId]) -> tuple[int, int]:
        """Renew the lease and the idle times of *held*.

        Returns how many entries are pending, and how many of them with other consumers.

        Raises:
            LeaseLostError: Another consumer has taken the ownership.
        """
        asked_at = monotonic()
        keys = [self._lease, self._fence, self._stream]
        args = [self.owner, self._lease_ms, *self._member, *map(str, held)]
        answer = await self._renew(keys, args)
        if answer == NOT_THE_OWNER:
            raise LeaseLostError(f"{self.owner!r} was taken for gone, another consumer owns now")
        self._held_until = asked_at + self._lease_ms / 1_000
        return reply(answer, tuple[int, int])

    async def hand_over(self) -> bool:
        """Let a waiting consumer become the owner at once; return whether the lease was ours."""
        self.owner = ""
        return bool(await self._hand_over([self._lease, self._handover], [self._holder]))


async def release_lease(
    server: Server, keys: Keys, partition: int, member: tuple[str, str]
) -> None:
    """Free the partition if *member*, a group and a consumer, has it: its process has ended."""
    group, consumer = member
    held = reply_or_none(await server.client.call("GET", keys.lease(partition, group)), bytes)
    holder = text(held or b"").partition(" ")[2].rpartition(" ")[0]
    if holder.rpartition("#")[0] == consumer:
        hand_over = server.client.script("consumers.handlers", "hand_over_lease")
        await hand_over([keys.lease(partition, group), keys.handover(partition, group)], [holder])
