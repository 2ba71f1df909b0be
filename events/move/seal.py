"""The seal of a partition: while it is there, nothing can be appended to the partition."""

from typing import Literal

from events.log.keys import Keys
from events.server.client import Client
from events.server.reply import reply

SEALED_MS = 30_000
"""How long a seal lasts that is not renewed: as long as producers wait if a move is killed."""

Step = Literal["seal", "renew", "keep", "lift"]
"""Seal it for a while; make that longer; make it last for good; end it where it does not."""


class Seal:
    """The seal with which one log moves to another.

    Args:
        client: The server that has the log which moves.
        keys: That log.
        identity: The identity of the log that it moves to.
    """

    def __init__(self, client: Client, keys: Keys, identity: str) -> None:
        self._keys = keys
        self._identity = identity
        self._script = client.script("events.move", "seal")

    async def take(self, partition: int, step: Step) -> bool:
        """Take *step* in one partition; return whether it was taken.

        Only a partition without a seal, or with this one, can be sealed; the other steps need it.
        """
        key = self._keys.seal(partition)
        return reply(await self._script([key], [self._identity, step, SEALED_MS]), int) == 1
