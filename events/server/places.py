"""Places: at which address of a deployment of Redis a key lies."""

from typing import Protocol

import msgspec


class ServerPlace(msgspec.Struct, frozen=True):
    """The address of one server; with a socket, *host* is its path and *port* 0."""

    host: str
    port: int

    def __str__(self) -> str:
        if not self.port:
            return self.host
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class Places(Protocol):
    """Knows where keys lie, and hears from every connection what speaks against it.

    Attributes:
        patience_s: How long another server may take to become the master, and some more: for so
            long it is worth trying again.
        is_spread: Whether keys may lie on several servers, so that a command needs a key.
    """

    patience_s: float
    is_spread: bool

    async def of(self, key: str | bytes) -> ServerPlace:
        """Return where *key* lies.

        Raises:
            ServerUnavailableError: Nobody who could tell is there, or it lies nowhere.
        """

    async def all(self) -> list[ServerPlace]:
        """Return where any key may lie: every master.

        Raises:
            ServerUnavailableError: Nobody who could tell is there.
        """

    def share_a_command(self, one: str, other: str) -> bool:
        """Whether one command may name both keys."""

    def moved(self, slot: int, place: ServerPlace) -> None:
        """Take the word of a server that *slot* lies at *place*."""

    def doubt(self, place: ServerPlace) -> None:
        """Look again before the next answer: *place* does not answer as a master does."""

    def is_left(self, place: ServerPlace) -> bool:
        """Whether nothing is sent to *place* any more: another server has taken over from it."""


class OnePlace:
    """One server that has all keys."""

    patience_s = 0.0
    is_spread = False

    def __init__(self, place: ServerPlace) -> None:
        self._place = place

    async def of(self, _key: str | bytes) -> ServerPlace:
        """Return the only place."""
        return self._place

    async def all(self) -> list[ServerPlace]:
        """Return the only place."""
        return [self._place]

    def share_a_command(self, _one: str, _other: str) -> bool:
        """Whether one command may name both keys: always."""
        return True

    def moved(self, slot: int, place: ServerPlace) -> None:
        """Keep to the one server that was named: it is no cluster to us."""

    def doubt(self, place: ServerPlace) -> None:
        """Keep to the one server that was named: there is no other."""

    def is_left(self, _place: ServerPlace) -> bool:
        """Whether another server has taken over: there is no other."""
        return False
