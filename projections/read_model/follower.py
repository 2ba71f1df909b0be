"""Follow one partition of a read model: a copy in memory, in step with the change feed."""

from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from typing import Any, Literal, Protocol, TypeVar
from uuid import UUID

import anyio

from events.entry.entry_id import START, EntryId
from events.entry.entry_line import RawEntry
from events.errors import DamagedValueError, ServerRefusedError, ServerUnavailableError
from events.server.backoff import Backoff
from events.server.client import Client
from events.server.reply import reply_streams, text
from events.server.server import Server
from events.structured_logger import structured_logger
from projections.errors import HistoryMissingError, NoLiveGenerationError, ProjectionsError
from projections.read_model.audit import Audit
from projections.read_model.change_feed import feed_entry_of, position_after
from projections.read_model.known_history import KnownHistory
from projections.read_model.log_distance import LogDistance
from projections.read_model.store import DamagedDocument, ReadModelStore

_READ_COUNT = 500
_EVENTS = {"history_missing": "history_missing", "held_back": "table_held_back"}
_RECONNECT = Backoff(first_s=0.05, most_s=2.0)

_log = structured_logger(__name__)


class OfOneEndpoint(Protocol):
    """What the follower needs to know of a state."""

    @property
    def version(self) -> EntryId:
        """The newest event in the state."""

    @property
    def endpoint_id(self) -> UUID:
        """The endpoint of the state."""


State = TypeVar("State", bound=OfOneEndpoint)


class HeldBackError(Exception):
    """What is live lacks most of the table, and no event says why."""


class OutOfStepError(Exception):
    """The feed does not continue after the cursor: all documents must be loaded again."""


_AWAY = (ServerUnavailableError, ServerRefusedError, ProjectionsError, HeldBackError)


Guard = Callable[[Mapping[UUID, tuple[int, Any]], Mapping[UUID, tuple[int, Any]]], str | None]
"""Returns why the second table must not replace the first, None if it may."""

FollowerState = Literal["loading", "following", "away", "history_missing", "held_back"]
"""What a follower does.

Loading: it has no table yet. Following: it has what is live. Away: the server or the live
generation is not there. History missing: what was read is no longer in the log. Held back: what is
live lacks most of the table, and no event says why. In the last three it keeps the table it has.
"""


class Follower:
    """Loads a partition's documents, then follows the changes, and audits its copy.

    The feed's entries are chained: each names the one before, so a missing entry is noticed at
    once. The last copy is kept while Redis or the live generation is away.

    Attributes:
        held: Endpoint -> (revision, state).
        distance: How far the copy is behind the log.
        state: What it does.
        reason: Why it does not follow; "" while it does.
        generation: The generation of the copy; 0: none yet.
        loaded: Set when everything was loaded for the first time.
        repairs: Documents that audits had to repair.
    """

    def __init__(
        self,
        server: Server,
        store: ReadModelStore[Any],
        note: Callable[[Iterable[UUID] | None], None],
        guard: Guard,
        *,
        block_ms: int,
        audit_s: float,
    ) -> None:
        self.held: dict[UUID, tuple[int, Any]] = {}
        self.distance = LogDistance(server, store.keys, store.read_model, store.partition)
        self.state: FollowerState = "loading"
        self.reason = ""
        self.loaded = anyio.Event()
        self.repairs = 0
        self._server = server
        self._store = store
        self._note = note
        self._guard = guard
        self._block_ms = block_ms
        self._audit: Audit[Any] = Audit(store, audit_s)
        self.generation = 0
        self._cursor = self._position = b""
        self._followed = False
        self._history = KnownHistory(
            server.client.call, store.keys, store.partition, store.read_model
        )
        self._accepted: str | None = None

    async def run(self) -> None:
        """Stay in step until cancelled, however often Redis goes away."""
        failures = 0
        is_logged = False
        while True:
            try:
                async with self._server.blocking(self._store.changes, self._block_ms) as client:
                    await self._load()
                    self._followed = False
                    await self._follow(client)
            except OutOfStepError as gap:
                _log.info("table_reloaded", projection=self._store.projection.name, why=str(gap))
                failures = 0 if self._followed else failures + 1
                is_logged = False  # there was a generation: if it is missing now, that is logged
                if failures:
                    await anyio.sleep(_RECONNECT.delay_s(failures))
            except _AWAY as error:
                failures = 1 if self._followed else failures + 1
                if self._followed or not is_logged:
                    self._log_away(error)
                self.state, self.reason = _state_of(error), str(error)
                self._followed, is_logged = False, True
                await anyio.sleep(_RECONNECT.delay_s(failures))

    async def _load(self) -> None:
        """Load all documents; the feed is then read from where it stood before the load."""
        state, reason = await self._compare_history()
        generation = await self._store.live_generation()
        if generation is None:
            raise await self._store.not_live()
        cursor = await self._store.last_change()
        position = await position_after(self._store.client.call, self._store.changes, cursor)
        held = {
            state.endpoint_id: (revision, state)
            async for revision, state in self._store.load_all(generation)
        }
        if await self._store.live_generation() != generation:
            raise OutOfStepError("another generation went live while this one was loaded")
        await self._store.check_whole(generation)
        held |= await self._unseen(generation, held)
        if self._history.accepted == self._accepted and (gone := self._guard(self.held, held)):
            raise HeldBackError(f"partition {self._store.partition}: {gone}")
        self.held, self._accepted = held, self._history.accepted
        self.generation, self._cursor, self._position = generation, cursor, position
        self._history.note(max((state.version for _, state in held.values()), default=START))
        self._audit.begin_anew()
        self._note(None)
        await self.distance.measure(self._history.seen)
        self.state, self.reason = state, reason
        self.loaded.set()

    async def _compare_history(self) -> tuple[FollowerState, str]:
        """Compare the log with what was read of it; who has no table takes what is live anyway.

        Raises:
            HistoryMissingError: There is a table, and what was read of the log is gone.
        """
        try:
            await self._history.check()
        except HistoryMissingError as error:
            if self.held:
                raise
            return "history_missing", str(error)
        return "following", ""

    async def _unseen(
        self, generation: int, loaded: Container[UUID]
    ) -> dict[UUID, tuple[int, Any]]:
        """Return what was mended while all was *loaded*, and what is held of what is damaged."""
        names = [str(endpoint_id) for endpoint_id in self.held if endpoint_id not in loaded]
        found = await self._store.look_up(generation, names) if names else {}
        return {
            UUID(name): self.held[UUID(name)] if isinstance(each, DamagedDocument) else each
            for name, each in found.items()
        }

    async def _follow(self, client: Client) -> None:
        while True:
            arrived = await self._read(client, self._block_ms)
            if arrived:
                await self._take(arrived)
            elif await self._store.live_generation() != self.generation:
                raise OutOfStepError(f"generation {self.generation} is no longer live")
            if self.distance.is_due:
                await self._history.check()
                await self.distance.measure(self._history.seen)
            self._followed = True
            if self._audit.is_due:
                await self._take_missed(client)

    async def _read(self, client: Client, block_ms: int | None) -> Sequence[RawEntry]:
        block = () if block_ms is None else ("BLOCK", block_ms)
        words = ("COUNT", _READ_COUNT, *block, "STREAMS", self._store.changes, self._position)
        found = reply_streams(await client.call("XREAD", *words))
        return found[0][1] if found else ()

    async def _take(self, arrived: Sequence[RawEntry]) -> None:
        """Load the documents that the entries of the feed name, where our revisions differ.

        A document that was lost and folded again begins with revision 1, so a lower revision is
        newer, too.
        """
        wanted: dict[UUID, int] = {}
        is_damaged = False
        for raw in arrived:
            self._position = raw[0]
            try:
                entry = feed_entry_of(raw)
            except DamagedValueError as error:
                is_damaged = True
                _log.warning("feed_entry_unreadable", feed=self._store.changes, error=str(error))
                continue
            if entry.previous != self._cursor:
                after = text(self._cursor) or "its start"
                raise OutOfStepError(f"the change feed has a gap after {after}")
            if entry.generation != self.generation:
                raise OutOfStepError(f"generation {entry.generation} went live")
            wanted |= entry.changes
            self._cursor = raw[0]
        if is_damaged and await self._store.last_change() != self._cursor:
            raise OutOfStepError("the change feed has an entry that cannot be read")
        changed = [str(each) for each, newest in wanted.items() if self._revision(each) != newest]
        if changed:
            loaded = await self._store.look_up(self.generation, changed)
            self._forget(each for each in wanted if not wanted[each] and str(each) not in loaded)
            self._hold(each for each in loaded.values() if not isinstance(each, DamagedDocument))

    async def _take_missed(self, client: Client) -> None:
        """Find some documents in Redis that are newer than the held ones, and take them over."""
        found = await self._audit.step(self.generation, self._revision)
        while found and (arrived := await self._read(client, None)):
            await self._take(arrived)
        missed = [
            (revision, state)
            for revision, state in found
            if revision > self._revision(state.endpoint_id)
        ]
        if missed:
            self.repairs += len(missed)
            self._hold(missed)
            _log.error(
                "table_repaired",
                projection=self._store.projection.name,
                endpoints=[str(state.endpoint_id) for _, state in missed[:10]],
                documents=len(missed),
            )

    def _forget(self, endpoints: Iterable[UUID]) -> None:
        """Drop endpoints that were destroyed long ago, and are forgotten by now."""
        gone = [each for each in endpoints if self.held.pop(each, None) is not None]
        if gone:
            self._note(gone)

    def _hold(self, documents: Iterable[tuple[int, Any]]) -> None:
        changed = {
            state.endpoint_id: (revision, state)
            for revision, state in documents
            if revision != self._revision(state.endpoint_id)
        }
        self.held.update(changed)
        if changed:
            self._history.note(max(state.version for _, state in changed.values()))
            self._note(changed)

    def _revision(self, endpoint_id: UUID) -> int:
        held = self.held.get(endpoint_id)
        return 0 if held is None else held[0]

    def _log_away(self, error: Exception) -> None:
        event = _EVENTS.get(_state_of(error), "redis_away")
        if isinstance(error, NoLiveGenerationError):
            event = "generation_missing"
        _log.warning(
            event, projection=self._store.projection.name, kept=len(self.held), error=str(error)
        )


def _state_of(error: Exception) -> FollowerState:
    if isinstance(error, HistoryMissingError):
        return "history_missing"
    return "held_back" if isinstance(error, HeldBackError) else "away"
