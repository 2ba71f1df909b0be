"""Watches by Traefik's API until it has the newest revision, and that it keeps it."""

from collections.abc import Sequence
from time import monotonic

import anyio
from aiohttp import ClientSession
from anyio.abc import TaskStatus

from consumers.errors import UnreachableProxyError
from consumers.publishers.proxy_ledger import ProxyNotes, Refusal
from consumers.publishers.table_snapshot import Revision
from consumers.publishers.traefik.traefik_api import applied_revision

LATE_S = 5.0
"""Seconds after which a revision that Traefik does not have is a refusal."""

_LOOK_FIRST_S = 0.02
_LOOK_MOST_S = 1.0
_KEEP_LOOKING_S = 5.0


class AppliedWatch:
    """Looks whether one Traefik has the revision that it was given last."""

    def __init__(self, notes: ProxyNotes, api: str, provider: str) -> None:
        self._notes, self._api, self._provider = notes, api, provider
        self._revision: Revision | None = None
        self._refusals: Sequence[Refusal] = ()
        self._given_at = 0.0
        self._given = anyio.Event()

    @property
    def is_late(self) -> bool:
        """Whether Traefik should have the revision by now, and has not."""
        return self._notes.state.is_behind and monotonic() - self._given_at > LATE_S

    def given(self, revision: Revision, refusals: Sequence[Refusal]) -> None:
        """Note that Traefik was given *revision*, or can fetch it."""
        self._notes.sent(revision)
        if revision != self._revision:
            self._given_at = monotonic()
        self._revision, self._refusals = revision, refusals
        self._given.set()

    def suspend(self) -> None:
        """Look no longer, until a revision is given again."""
        self._revision = None

    async def run(
        self, session: ClientSession, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED
    ) -> None:
        """Look, often after a new revision and rarely later, until cancelled."""
        task_status.started()
        while True:
            await self._given.wait()
            pause_s = _LOOK_FIRST_S
            while not await self._look(session):
                self._given = anyio.Event()
                with anyio.move_on_after(pause_s):
                    await self._given.wait()
                pause_s = min(2 * pause_s, _LOOK_MOST_S)
            await self._until_next_look()

    async def _look(self, session: ClientSession) -> bool:
        """Note whether Traefik has the newest revision."""
        revision, refusals = self._revision, self._refusals
        if revision is None:
            return True
        try:
            applied = await applied_revision(session, self._api, self._provider)
        except UnreachableProxyError as error:
            self._notes.unreachable(str(error))
            return False
        if applied == str(revision):
            self._notes.acknowledged(revision, refusals)
            return revision is self._revision
        if self.is_late:
            has = applied or "none"
            why = (
                f"it has revision {has} and does not take {revision}; its log says why:"
                " a key or field that it cannot read stops all that this provider brings"
            )
            self._notes.refused([Refusal("configuration", why)])
        return False

    async def _until_next_look(self) -> None:
        self._given = anyio.Event()
        with anyio.move_on_after(_KEEP_LOOKING_S):
            await self._given.wait()
        self._given.set()
