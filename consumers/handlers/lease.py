"""The lease: which consumer of a handler group owns a partition, one at a time."""

from collections.abc import Iterable
from secrets import token_hex
from time import monotonic

from consumers.errors import LeaseLostError
from consumers.runtime.waiting_connections import connection_name
from events.entry.entry_id import EntryId
from events.log.keys import Keys
from events.server.reply import reply
from events.server.server import Server

NOT_THE_OWNER = -1
"""What the scripts of an owner answer to one that is none any more."""


class Lease:
    """One consumer's ownership of a partition, for as long as it is renewed.

    Whoever takes it becomes *owner*, with a token that rises each time; the scripts with which an
    owner reads, tries and ends entries compare it with the last owner that there was (the fence).
    So a consumer that stood still for longer than its lease changes nothing afterwards. Only the
    server's clock decides when the lease of another is over.

    Attributes:
        owner: `TOKEN HOLDER`, as the fence has it; empty while this consumer owns nothing.
        connection_name: What the connection is called on which this consumer waits.
    """

    def __init__(
        self, server: Server, keys: Keys, partition: int, of: tuple[str, str], lease_ms: int
    ) -> None:
        group, consumer = of
        self.owner = ""
        # Two that were given one name must not take each other for themselves.
        self._holder = f"{consumer}#{token_hex(4)}"
        self._server = server
        self._lease = keys.lease(partition, group)
        self._fence = keys.fence(partition, group)
        self._handover = keys.handover(partition, group)
        self._stream = keys.events(partition)
        self._of = of
        self.connection_name = connection_name(keys, partition, *of)
        self._lease_ms = lease_ms
        self._held_until = 0.0
        self._take = server.client.script("consumers.handlers", "take_lease")
        self._renew = server.client.script("consumers.handlers", "renew_lease")
        self._hand_over = server.client.script("consumers.handlers", "hand_over_lease")

    @property
    def left_s(self) -> float:
        """Seconds for which the lease holds at least, 0 or less when it may be over."""
        return self._held_until - monotonic()

    async def take(self) -> None:
        """Become the owner; wait until the one there is hands over, or its lease is over.

        A wait that is cut off takes nothing away from those that wait, too. Whoever waits is heard
        of in the group, after each lease at the latest.

        Raises:
            NoGroupError: The group is not there.
        """
        keys = [self._lease, self._fence, self._handover, self._stream]
        args = [self._holder, self._lease_ms, *self._of]
        async with self._server.blocking(self._lease_ms) as client:
            while True:
                asked_at = monotonic()
                raw = await self._take(keys, args)
                owner, *told = reply(raw, list[bytes | int | None])
                if owner is not None:
                    self.owner = reply(owner, bytes).decode()
                    self._held_until = asked_at + self._lease_ms / 1_000
                    return
                left_ms, handed = reply(told, tuple[int, bytes])
                await client.call("CLIENT SETNAME", self.connection_name)
                wait_ms = min(self._lease_ms, left_ms + 1)
                await client.call("XREAD", "BLOCK", wait_ms, "STREAMS", self._handover, handed)

    async def renew(self, held: Iterable[EntryId]) -> int:
        """Let the lease hold on and *held* stay fresh; say how many are pending with others.

        Raises:
            LeaseLostError: Another consumer has taken the ownership.
        """
        asked_at = monotonic()
        keys = [self._lease, self._fence, self._stream]
        args = [self.owner, self._lease_ms, *self._of, *map(str, held)]
        others = reply(await self._renew(keys, args), int)
        if others == NOT_THE_OWNER:
            raise LeaseLostError(f"{self.owner!r} was taken for gone, another consumer owns now")
        self._held_until = asked_at + self._lease_ms / 1_000
        return others

    async def hand_over(self) -> bool:
        """Let one of those that wait become the owner at once; say whether it was ours to give."""
        self.owner = ""
        return bool(await self._hand_over([self._lease, self._handover], [self._holder]))
