"""Decide which of the living health checkers probes which endpoint."""

from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from typing import Annotated
from uuid import UUID

import anyio
from msgspec import Meta

from events.errors import EventsError
from events.limits import Limited
from events.log.keys import Keys
from events.rendezvous import weight
from events.server.reply import reply, text
from events.server.server import Server
from events.structured_logger import structured_logger

_log = structured_logger(__name__)

FORGOTTEN_S = 86_400.0
"""Seconds after which the living checkers forget a dead one that no other has replaced."""


def owner_of(endpoint_id: UUID, checkers: Collection[str]) -> str | None:
    """Return which of *checkers* owns the endpoint, None if there are none.

    The same *checkers* always give the same owner. A checker that joins takes an equal share from
    each of the others; a checker that leaves passes an equal share to each of them.
    """
    key = endpoint_id.bytes
    return max(checkers, key=lambda checker: (weight(key, checker), checker), default=None)


class MembershipSettings(Limited, frozen=True):
    """How a checker shows that it lives.

    Attributes:
        heartbeat_s: Time between two signs of life.
        lifetime_s: Time without a sign after which a checker is dead and its endpoints move. The
            others know within one more heartbeat: with the defaults 4 s after its death.
        leave_timeout_s: The longest wait for the server at a clean stop.
    """

    heartbeat_s: Annotated[float, Meta(ge=0.01, le=3_600)] = 0.5
    lifetime_s: Annotated[float, Meta(ge=0.02, le=86_400)] = 3.5
    leave_timeout_s: Annotated[float, Meta(ge=0.01, le=60)] = 2.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.lifetime_s < 2 * self.heartbeat_s:
            raise ValueError(
                f"lifetime_s must be at least twice heartbeat_s ({self.heartbeat_s}),"
                f" got {self.lifetime_s}: one sign may be lost"
            )


class Membership:
    """One checker among the living; made by `join`.

    Attributes:
        checker: Its id; no two checkers of a deployment may have the same.
        living: The checkers that lived at the last answered heartbeat; none before the first, so
            that a checker that the server does not know yet takes nothing from the others.
        is_heard: Whether the server answered the last heartbeat.
    """

    def __init__(
        self, server: Server, keys: Keys, checker: str, settings: MembershipSettings
    ) -> None:
        self.checker = checker
        self.living: frozenset[str] = frozenset()
        self._key = keys.checkers
        self._settings = settings
        self._lifetime_ms = int(settings.lifetime_s * 1_000)
        self._script = server.client.script("producers.checker", "heartbeat")
        self._leave_script = server.client.script("producers.checker", "leave")
        self._changed = anyio.Event()
        self.is_heard = True

    def owns(self, endpoint_id: UUID) -> bool:
        """Whether this checker probes the endpoint's routes, as far as it knows."""
        return owner_of(endpoint_id, self.living) == self.checker

    async def changed(self) -> None:
        """Wait until the living checkers have changed since the last call; for one caller."""
        await self._changed.wait()
        self._changed = anyio.Event()

    async def run(self) -> None:
        """Send a heartbeat every `heartbeat_s` until cancelled, then leave."""
        try:
            while True:
                await anyio.sleep(self._settings.heartbeat_s)
                await self.heartbeat()
        finally:
            await self._leave()

    async def heartbeat(self) -> None:
        """Send one heartbeat; while the server is away, the last answer holds."""
        forgotten_ms = max(self._lifetime_ms, int(FORGOTTEN_S * 1_000))
        try:
            raw = await self._script([self._key], [self.checker, self._lifetime_ms, forgotten_ms])
            living = frozenset(map(text, reply(raw, list[bytes])))
        except EventsError as error:
            if self.is_heard:
                _log.warning("heartbeat_failed", checker=self.checker, error=str(error))
            self.is_heard = False
            return
        if not self.is_heard:
            _log.info("heartbeat_resumed", checker=self.checker)
        self.is_heard = True
        if living != self.living:
            _log.info("checkers_changed", checker=self.checker, living=sorted(living))
            self.living = living
            self._changed.set()

    async def _leave(self) -> None:
        """Let the others take over at once instead of after `lifetime_s`."""
        with anyio.move_on_after(self._settings.leave_timeout_s, shield=True):
            try:
                await self._leave_script([self._key], [self.checker, self._lifetime_ms])
            except EventsError as error:
                _log.warning("leave_failed", checker=self.checker, error=str(error))


@asynccontextmanager
async def join(
    server: Server, keys: Keys, checker: str, settings: MembershipSettings
) -> AsyncIterator[Membership]:
    """Join the living checkers, and leave them at the end of the block."""
    membership = Membership(server, keys, checker, settings)
    await membership.heartbeat()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(membership.run)
        yield membership
        tasks.cancel_scope.cancel()
