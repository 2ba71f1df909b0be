"""Whatever is done to a log and its read model, in whatever order: it says what happened.

The truth is what the appends were told, never the log: entries may be trimmed from that.
"""

from collections.abc import Callable, Coroutine
from tempfile import TemporaryDirectory
from typing import Any, ClassVar
from uuid import uuid4

from anyio.from_thread import BlockingPortal, start_blocking_portal
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from consumers.processes.embedded import embedded_server
from consumers.runtime.consumer import Consumer
from consumers.runtime.projector import Projector
from events import EntryId, EventLog, open_log
from projections.errors import NothingKeptError
from projections.replay.comparison import compare
from projections.replay.rebuild import Rebuild, rollback
from projections.replay.replay import replay
from projections.route_table.route_table import ROUTE_TABLE
from projections.snapshots.snapshot import SnapshotSettings
from projections.snapshots.snapshot_store import Snapshots
from tests.support import oracle
from tests.support.appending import Appending, truth
from tests.support.projectors import store_of
from tests.support.running_consumer import (
    QUICK,
    consuming,
    deliver,
    documents,
    dying,
    states,
    until_settled,
)

GROUP = ROUTE_TABLE.read_model


class ReplayMachine(RuleBasedStateMachine):
    """Appends, settles, crashes, trims, takes snapshots, rebuilds, and goes back."""

    url: ClassVar[str]
    portal: ClassVar[BlockingPortal]

    def __init__(self) -> None:
        super().__init__()
        self._folder = TemporaryDirectory()
        self._newest: EntryId | None = None
        self._kept_lacks_trimmed = False
        self._seed = 0
        self._call(self._open)

    def _call(self, what: Callable[[], Coroutine[Any, Any, Any]]) -> Any:  # noqa: ANN401
        return self.portal.call(what)

    async def _open(self) -> None:
        opened = open_log(self.url, namespace=f"machine-{uuid4().hex[:12]}")
        self._log: EventLog = await opened.__aenter__()
        self._opened = opened
        self._appending = Appending(self._log, 0, [uuid4() for _ in range(3)])
        self._snapshots = Snapshots(self._log, 0, SnapshotSettings(self._folder.name))
        await self._settle()

    def teardown(self) -> None:
        async def close() -> None:
            await self._opened.__aexit__(None, None, None)

        self._call(close)
        self._folder.cleanup()

    def _member(self, name: str) -> Consumer:
        projector = Projector(self._log, ROUTE_TABLE, 0, QUICK.policy, self._snapshots)
        return Consumer(self._log, 0, (GROUP, name), projector, QUICK)

    async def _settle(self) -> None:
        async with consuming(self._member("settling")):
            await until_settled(self._log, GROUP)

    @rule(count=st.integers(1, 4))
    def append(self, count: int) -> None:
        self._call(lambda: self._appending.run(count))

    @rule()
    def settle(self) -> None:
        self._call(self._settle)

    @rule(count=st.integers(1, 3))
    def leave_some_pending(self, count: int) -> None:
        self._call(lambda: deliver(self._log, "gone", count, GROUP))

    @rule()
    def crash(self) -> None:
        async def crash() -> None:
            async with dying(self._member("dying")):
                await self._appending.run(2)

        self._call(crash)

    @rule()
    def lose_the_read_model(self) -> None:
        async def lose() -> None:
            await self._settle()
            await self._log.server.client.call("DEL", self._log.keys.live(0, GROUP))
            await self._settle()

        self._call(lose)

    @rule()
    def take_a_snapshot(self) -> None:
        async def take() -> None:
            await self._settle()
            manifest, comparison = await self._snapshots.take(store_of(self._log))
            assert comparison is not None
            assert comparison.agrees
            self._newest = manifest.at

        self._call(take)

    @precondition(lambda self: self._newest is not None)
    @rule()
    def trim_what_the_snapshot_has(self) -> None:
        async def trim() -> None:
            assert self._newest is not None
            await self._settle()
            cut = str(self._newest.after())
            await self._log.server.client.call("XTRIM", self._log.keys.events(0), "MINID", cut)
            kept = await store_of(self._log).kept()
            self._kept_lacks_trimmed = kept is not None and kept.since <= self._newest

        self._call(trim)

    @rule()
    def rebuild(self) -> None:
        async def rebuild() -> None:
            folding = await self._snapshots.newest(ROUTE_TABLE)
            done = await Rebuild(self._log, store_of(self._log), folding).run()
            self._kept_lacks_trimmed = False
            assert done.comparison is not None
            assert done.comparison.mismatches == []

        self._call(rebuild)

    @precondition(lambda self: not self._kept_lacks_trimmed)
    @rule()
    def go_back(self) -> None:
        async def back() -> None:
            try:
                done = await rollback(self._log, store_of(self._log))
            except NothingKeptError:
                return
            assert done.comparison is not None
            assert done.comparison.mismatches == []

        self._call(back)

    @rule()
    def verify(self) -> None:
        async def verify() -> None:
            folding = await self._snapshots.newest(ROUTE_TABLE)
            await replay(self._log, folding)
            found = await compare(self._log, store_of(self._log), folding, patience_s=0.0)
            assert found.mismatches == []

        self._call(verify)

    @invariant()
    def no_live_document_is_newer_than_what_happened(self) -> None:
        async def check() -> None:
            acknowledged = self._appending.acknowledged
            newest = acknowledged[-1].entry_id if acknowledged else EntryId(0, 0)
            for _, state in (await documents(self._log, ROUTE_TABLE)).values():
                assert state.version <= newest

        self._call(check)

    @rule()
    def once_all_is_settled_it_says_what_happened(self) -> None:
        async def check() -> None:
            async with consuming(self._member("claiming")):
                await until_settled(self._log, GROUP)
            found = await states(self._log, ROUTE_TABLE)
            assert found == truth(ROUTE_TABLE, [self._appending])
            for endpoint_id, state in found.items():
                history = [
                    one for one in self._appending.acknowledged if one.endpoint_id == endpoint_id
                ]
                assert state.name == oracle.name(history)
                assert {one.route_id for one in state.present_routes} == set(
                    oracle.present_routes(history)
                )

        self._call(check)


def test_whatever_is_done_the_read_model_says_what_happened() -> None:
    with embedded_server() as server, start_blocking_portal() as portal:
        ReplayMachine.url, ReplayMachine.portal = server.url, portal
        machine = ReplayMachine.TestCase
        machine.settings = settings(
            max_examples=8,
            stateful_step_count=14,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        )
        machine("runTest").runTest()
