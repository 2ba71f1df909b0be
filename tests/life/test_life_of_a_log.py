"""The life of a log: whatever is done to it in whatever order, nothing of it is lost or made up.

Producers, members of groups that die, trims, snapshots, the archive, rebuilds: each step is the
real thing on a real server. `tests/support/oracle.py` derives what is true from what the producers
were told; neither the log nor any fold of ours is asked.
"""

import os
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, ClassVar
from uuid import UUID, uuid4

import anyio
import pytest
from anyio.from_thread import BlockingPortal, start_blocking_portal
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from msgspec.structs import replace

from consumers.processes.embedded import EmbeddedServer, embedded_server
from consumers.runtime.losses import Losses
from events import EntryId
from events.catalogue.endpoint import EndpointDestroyedEvent
from events.catalogue.event import Event
from events.errors import ConflictError
from projections.catalogue import PROJECTIONS
from projections.errors import NothingKeptError, NotSwappedError, SnapshotError
from projections.replay.comparison import compare
from projections.replay.rebuild import Rebuild, Rebuilt, rollback
from projections.replay.replay import replay
from projections.snapshots.as_of import as_of
from tests.life.support.world import open_world
from tests.support.histories import happening
from tests.support.told import Told
from tests.support.waiting import wait_until

EXAMPLES = int(os.environ.get("LIFE_EXAMPLES", "20"))
"""Lives in a run of the tests; thousands where there is the time."""

STEPS = 30
ENDPOINTS = tuple(UUID(int=0xE0 + number) for number in range(4))

endpoints = st.sampled_from(ENDPOINTS)
read_models = st.sampled_from(list(PROJECTIONS))
names = st.sampled_from(["one", "other"])
batches = st.lists(st.tuples(endpoints, happening), min_size=1, max_size=6)


def happens_to(endpoint_id: UUID, event: Event) -> Event:
    return replace(event, endpoint_id=endpoint_id)


class LifeOfALog(RuleBasedStateMachine):
    """Everything that is ever done to a log, its groups, and what is kept of it."""

    server: ClassVar[EmbeddedServer]
    portal: ClassVar[BlockingPortal]

    def __init__(self) -> None:
        super().__init__()
        self._folder = TemporaryDirectory()
        self._begun: dict[str, tuple[Rebuild[Any], int, int | None]] = {}
        namespace = f"life-{uuid4().hex[:12]}"
        opened = open_world(self.server.url, self.server.port, namespace, Path(self._folder.name))
        self._opened = self.portal.wrap_async_context_manager(opened)
        self._world, self._watching = self._opened.__enter__()

    def _call(self, what: Callable[..., Coroutine[Any, Any, Any]], *args: object) -> Any:  # noqa: ANN401
        return self.portal.call(what, *args)

    @property
    def _told(self) -> Told:
        return self._world.told

    def _at(self, part: float) -> EntryId:
        """Return one of the ids that a producer was told."""
        ids = self._told.ids
        return ids[int(part * (len(ids) - 1))]

    # Producers.

    @initialize(events=st.lists(st.tuples(endpoints, happening), min_size=10, max_size=20))
    def begin(self, events: list[tuple[UUID, Event]]) -> None:
        self._call(self._append, [happens_to(*one) for one in events])

    @rule(events=batches)
    def append(self, events: list[tuple[UUID, Event]]) -> None:
        self._call(self._append, [happens_to(*one) for one in events])

    async def _append(self, events: list[Event]) -> None:
        self._told.note(events, (await self._world.log.append(*events)).entry_ids)

    @rule(events=batches)
    def append_with_a_reply_lost(self, events: list[tuple[UUID, Event]]) -> None:
        async def append() -> None:
            self._world.proxy.lose_next_reply_to(b"EVALSHA")
            given = [happens_to(*one) for one in events]
            self._told.note(given, (await self._world.far.append(*given)).entry_ids)

        self._call(append)

    @rule(endpoint_id=endpoints, one=happening, other=happening)
    def two_producers_append_at_one_head(self, endpoint_id: UUID, one: Event, other: Event) -> None:
        async def append_both() -> None:
            head = self._told.head(endpoint_id)
            landed: list[tuple[Event, EntryId]] = []

            async def append(event: Event) -> None:
                try:
                    done = await self._world.log.append(event, expected=head)
                except ConflictError:
                    return
                landed.append((event, done.entry_ids[0]))

            async with anyio.create_task_group() as producers:
                for event in (one, other):
                    producers.start_soon(append, happens_to(endpoint_id, event))
            assert len(landed) == 1
            self._told.note([landed[0][0]], [landed[0][1]])

        self._call(append_both)

    @precondition(lambda self: self._told.events)
    @rule(endpoint_id=endpoints, event=happening)
    def append_at_a_head_of_the_past(self, endpoint_id: UUID, event: Event) -> None:
        async def append() -> None:
            past = self._told.head(endpoint_id).after()
            with pytest.raises(ConflictError):
                await self._world.log.append(happens_to(endpoint_id, event), expected=past)

        self._call(append)

    @precondition(lambda self: len(self._told.events) > 40)
    @rule(endpoint_id=endpoints)
    def destroy_an_endpoint(self, endpoint_id: UUID) -> None:
        self._call(self._append, [EndpointDestroyedEvent(endpoint_id=endpoint_id)])

    # Members of the groups.

    @rule(of=read_models, name=names, count=st.integers(1, 8))
    def a_member_is_given_entries(self, of: str, name: str, count: int) -> None:
        self._call(self._world.member(of, name).take, count)

    @rule(of=read_models, name=names)
    def a_member_folds_what_it_was_given(self, of: str, name: str) -> None:
        self._call(self._world.member(of, name).fold)

    @rule(of=read_models, name=names)
    def a_member_dies(self, of: str, name: str) -> None:
        self._world.kill(of, name)

    @rule(of=read_models, name=names)
    def a_member_claims(self, of: str, name: str) -> None:
        self._call(self._world.member(of, name).claim)

    @rule(of=read_models, name=names)
    def a_member_has_nothing_to_do(self, of: str, name: str) -> None:
        self._call(self._world.member(of, name).look)

    @rule(of=read_models)
    def a_group_is_destroyed(self, of: str) -> None:
        self._call(self._world.destroy, of)

    # What is kept of the log.

    @rule(part=st.floats(0, 1))
    def run_the_archive(self, part: float) -> None:
        self._call(self._world.run_archive, self._at(part))

    @rule(of=read_models, is_caught_up=st.booleans())
    def take_a_snapshot(self, of: str, *, is_caught_up: bool) -> None:
        async def take() -> None:
            if is_caught_up:
                await self._world.catch_up(of)
            is_verified = await self._world.take_snapshot(of)
            assert is_verified or not is_caught_up

        self._call(take)

    @rule(without=st.sampled_from([(), ("snapshot",)]))
    def trim(self, without: tuple[Any, ...]) -> None:
        self._call(self._world.trim, without)

    @rule(part=st.floats(0.6, 1), behind=st.sampled_from([None, None, *PROJECTIONS]))
    def trim_after_all_that_it_needs(self, part: float, behind: str | None) -> None:
        async def trim() -> None:
            await self._world.run_archive(self._at(part))
            for of in PROJECTIONS:
                if of != behind:
                    await self._world.catch_up(of)
                await self._world.take_snapshot(of)
            await self._world.trim(())

        self._call(trim)

    @rule(how=st.sampled_from(["lost", "damaged"]))
    def snapshots_are_no_good_any_more(self, how: str) -> None:
        world = self._world
        (world.lose_snapshots if how == "lost" else world.damage_newest_snapshot)()

    @rule(of=read_models)
    def restore_a_snapshot(self, of: str) -> None:
        async def restore() -> None:
            snapshots, projection = self._world.snapshots, PROJECTIONS[of]
            try:
                folding = await snapshots.load(snapshots.find(projection, None), projection)
            except SnapshotError:
                return
            _agrees(await Rebuild(self._world.history, self._world.store(of), folding).run())

        self._call(restore)

    # Generations.

    @rule(of=read_models)
    def begin_a_rebuild(self, of: str) -> None:
        self._call(self._begin_rebuild, of)

    async def _begin_rebuild(self, of: str) -> None:
        store = self._world.store(of)
        folding = await self._world.snapshots.newest(PROJECTIONS[of])
        rebuild = Rebuild(self._world.history, store, folding)
        seen = await store.live_generation()
        await rebuild._fold_all()
        generation = await store.new_generation()
        await rebuild._write_all(generation)
        self._begun[of] = rebuild, generation, seen

    @rule(of=read_models)
    def rebuild(self, of: str) -> None:
        self._call(self._rebuild, of)

    async def _rebuild(self, of: str) -> None:
        """End the rebuild that was begun, or do one as a whole."""
        if of not in self._begun:
            await self._begin_rebuild(of)
        rebuild, generation, seen = self._begun.pop(of)
        store = self._world.store(of)
        try:
            _agrees(await rebuild._change_over(generation, seen))
        except NotSwappedError:
            assert await store.live_generation() != seen
            await store.discard(generation)

    @rule(of=read_models)
    def go_back(self, of: str) -> None:
        async def go_back() -> None:
            store = self._world.store(of)
            if await store.kept() is None:
                await self._rebuild(of)
            try:
                _agrees(await rollback(self._world.history, store))
            except NothingKeptError:
                assert await store.kept() is None

        self._call(go_back)

    @rule(of=read_models)
    def nobody_knows_which_generation_is_live(self, of: str) -> None:
        async def lose() -> None:
            keys = self._world.log.keys
            await self._world.log.server.client.call("DEL", keys.live(0, of))

        self._call(lose)

    @rule(of=read_models, how_many=st.sampled_from(["one", "all"]))
    def documents_are_lost(self, of: str, how_many: str) -> None:
        async def lose() -> None:
            there = await self._world.documents(of)
            if not there:
                return
            live = await self._world.store(of).live_generation()
            assert live is not None
            key = self._world.log.keys.documents(0, of, live)
            some = list(there)[: 1 if how_many == "one" else None]
            await self._world.log.server.client.call("HDEL", key, *map(str, some))
            await self._world.catch_up(of)

        self._call(lose)

    # What has to be so.

    @rule(of=read_models)
    def once_all_is_settled_it_says_what_happened(self, of: str) -> None:
        self._call(self._world.check_settled, of)

    @rule(of=read_models)
    def verify(self, of: str) -> None:
        async def verify() -> None:
            store = self._world.store(of)
            if await store.live_generation() is None:
                return
            folding = await self._world.snapshots.newest(PROJECTIONS[of])
            await replay(self._world.history, folding)
            found = await compare(self._world.history, store, folding, patience_s=0.0)
            assert found.mismatches == []

        self._call(verify)

    @rule(of=read_models, part=st.floats(0, 1))
    def look_at_a_moment_of_the_past(self, of: str, part: float) -> None:
        until = self._at(part)

        async def look() -> None:
            world = self._world
            projection = PROJECTIONS[of]
            found = await as_of(world.history, projection, world.snapshots, until)
            documents = {one: projection.encode(state, 1) for one, state in found.states.items()}
            assert world.told.wrong(of, documents, until) == []

        self._call(look)

    @invariant()
    def nothing_acknowledged_is_lost(self) -> None:
        self._call(self._world.check_history)

    @invariant()
    def what_a_group_has_ended_is_in_what_is_live(self) -> None:
        self._call(self._world.check_live)

    @invariant()
    def no_reader_saw_anything_go_back(self) -> None:
        self._call(self._check_reader)

    async def _check_reader(self) -> None:
        self._watching.look()
        assert self._watching.went_back == []

    def teardown(self) -> None:
        try:
            if sys.exc_info()[0] is None:
                self._call(self._check_the_end)
        finally:
            self._opened.__exit__(None, None, None)
            self._folder.cleanup()

    async def _check_the_end(self) -> None:
        for of in PROJECTIONS:
            await self._world.check_settled(of)
            losses = Losses(self._world.log.server, self._world.log.keys, 0, of)
            assert await losses.total() == 0
        await self._world.check_live()
        heads = self._told.heads()

        def has_all() -> bool:
            return self._watching.versions() == heads

        await wait_until(has_all, "the reader has all")
        await self._check_reader()


def _agrees(done: Rebuilt) -> None:
    assert done.comparison is None or done.comparison.mismatches == []


@pytest.mark.timeout(900)  # where it fails, it looks for the shortest life that does
# Some of the events drawn have many labels; what is long to print is no error.
@pytest.mark.filterwarnings("ignore:Generating overly large repr")
def test_the_life_of_a_log_is_what_its_producers_were_told(monkeypatch: pytest.MonkeyPatch) -> None:
    # What is pending for good is not waited for: it is left undecided at once.
    monkeypatch.setattr("projections.replay.rebuild.COMPARE_PATIENCE_S", 0.0)
    monkeypatch.setattr("projections.snapshots.snapshot_store.PATIENCE_S", 0.0)
    with embedded_server() as server, start_blocking_portal() as portal:
        LifeOfALog.server, LifeOfALog.portal = server, portal
        machine = LifeOfALog.TestCase
        machine.settings = settings(
            max_examples=EXAMPLES,
            stateful_step_count=STEPS,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        )
        machine("runTest").runTest()
