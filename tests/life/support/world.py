"""The world of one life: a log with all that is kept of it, its readers, and its producers."""

import json
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

import anyio
import zstandard

from consumers.retention.snapshot_looks import SnapshotLooks
from events import EntryId, EventLog, open_log
from events.archive import Archive
from events.history.history import History
from events.retention.retention import KEEP_MIN_S, Kind, RetentionRule
from events.retention.trim import Trim
from events.server.server import now_of
from events.server.settings import ServerSettings
from projections.catalogue import PROJECTIONS
from projections.read_model.reader import ReaderSettings, open_reader
from projections.read_model.store import ReadModelStore
from projections.snapshots.snapshot import SnapshotSettings
from projections.snapshots.snapshot_store import Snapshots
from tests.events.support.archives import archive_in, in_stream, run
from tests.life.support.member import BATCH, Member
from tests.support.running_consumer import is_settled
from tests.support.tcp_proxy import TcpProxy, tcp_proxy
from tests.support.told import Told
from tests.support.watching import Watching

REQUIRED = ("archive", *(f"snapshot:{name}" for name in PROJECTIONS))
_LATER_MS = 86_400_000


class World:
    """One partition, from its first event on; the truth is what the producers were `told`.

    Attributes:
        told: What was acknowledged.
        verified: Up to where each projection has a snapshot that agreed with what was live.
        ended: What a group had ended when it was destroyed; it is taken out when it is back.
    """

    def __init__(self, log: EventLog, far: EventLog, proxy: TcpProxy, folder: Path) -> None:
        self.log = log
        self.far = far
        self.proxy = proxy
        self.archive: Archive = archive_in(folder / "archive", log, entries_max=5)
        self.archived_in = folder / "archive"
        self.history = History(log, self.archive)
        self.snapshots = Snapshots(self.history, 0, SnapshotSettings(str(folder / "snapshots")))
        self.told = Told()
        self.verified: dict[str, EntryId] = {}
        self.ended: dict[str, set[EntryId]] = {}
        self._members: dict[tuple[str, str], Member] = {}

    def member(self, group: str, name: str) -> Member:
        """Return the living member of that name."""
        if (group, name) not in self._members:
            of = PROJECTIONS[group]
            self._members[group, name] = Member(self.log, of, name, self.snapshots)
        return self._members[group, name]

    def kill(self, group: str, name: str) -> None:
        """Let a member be gone with all that it held; what it was given stays pending."""
        self._members.pop((group, name), None)

    def store(self, read_model: str) -> ReadModelStore[Any]:
        return ReadModelStore(self.log.server, self.log.keys, PROJECTIONS[read_model], 0)

    async def catch_up(self, group: str) -> None:
        """Let a member do all there is to do."""
        member = self.member(group, "catching up")
        for _ in range(10):
            await member.claim()
            while await member.take(BATCH):
                await member.fold()
            await member.look()
            if await is_settled(self.log, group):
                return
        raise AssertionError(f"group {group} is never done")

    async def documents(self, read_model: str) -> dict[UUID, bytes] | None:
        """Return what is live as Redis has it, None where nothing is."""
        call, keys = self.log.server.client.execute_command, self.log.keys
        live = await call("GET", keys.live(0, read_model))
        if live is None:
            return None
        raw = await call("HGETALL", keys.documents(0, read_model, int(live)))
        return {UUID(endpoint.decode()): document for endpoint, document in raw.items()}

    async def settled(self, group: str) -> set[EntryId] | None:
        """Return what the group was given and has ended, by Redis; None: there is no such group."""
        call, stream = self.log.server.client.execute_command, self.log.keys.events(0)
        groups = {one["name"].decode(): one for one in await call("XINFO GROUPS", stream)}
        if group not in groups:
            return None
        delivered = EntryId.parse(groups[group]["last-delivered-id"])
        raw = await call("XPENDING", stream, group, "-", "+", 1_000_000)
        pending = {EntryId.parse(one[0]) for one in raw}
        return {one for one in self.told.ids if one <= delivered and one not in pending}

    async def destroy(self, group: str) -> None:
        """Let Redis know nothing of the group any more."""
        settled = await self.settled(group)
        if settled is not None:
            self.ended[group] = settled
            await self.log.server.client.call("XGROUP", "DESTROY", self.log.keys.events(0), group)

    async def trim(self, without: tuple[Kind, ...]) -> None:
        """Trim a day later; what goes must be nobody's any more."""
        ended = {}
        for name in PROJECTIONS:
            settled = await self.settled(name)
            ended[name] = self.ended.get(name, set()) if settled is None else settled
        before = await self._ids()
        rule = RetentionRule(KEEP_MIN_S, REQUIRED, without)
        later_ms = round((await now_of(self.log.server)).timestamp() * 1_000) + _LATER_MS
        async for _ in Trim(self.log, 0, rule).steps(later_ms):
            pass
        gone = before - await self._ids()
        assert gone <= self._archived(), "a trim cut what is not archived"
        for name in PROJECTIONS:
            assert gone <= ended[name], f"a trim cut what group {name} has not ended"
            if "snapshot" not in without:
                at = self.verified.get(name, EntryId(0, 0))
                assert all(one <= at for one in gone), f"a trim cut what no snapshot of {name} has"

    async def take_snapshot(self, of: str) -> bool:
        """Take a snapshot; say whether what is live was found to agree."""
        manifest, comparison = await self.snapshots.take(self.store(of))
        assert comparison is None or comparison.mismatches == []
        if manifest.verified:
            self.verified[of] = manifest.at
            await SnapshotLooks(self.log, PROJECTIONS[of], "any", [self.snapshots]).look()
        return bool(manifest.verified)

    async def run_archive(self, up_to: EntryId) -> None:
        """Archive up to an entry, which is included."""
        await run(self.log, self.archive, up_to)

    def lose_snapshots(self) -> None:
        """Let the disk on which the snapshots lie be gone; that they were taken is still known."""
        shutil.rmtree(self.snapshots.folder, ignore_errors=True)

    def damage_newest_snapshot(self) -> None:
        """Change a byte in the newest snapshot's file."""
        for manifest in self.snapshots.manifests()[:1]:
            path = self.snapshots.folder / manifest.file
            data = bytearray(path.read_bytes())
            data[len(data) // 2] ^= 0xFF
            path.write_bytes(data)

    async def check_history(self) -> None:
        """Archive and stream are what was told: once, in order, from either end."""
        read = [one async for one in self.history.read()]
        assert [one.entry_id for one in read] == self.told.ids
        assert [one.event for one in read] == [one.event for one in self.told.events]
        back = [one async for some in self.history.read_entries_back(0, count=3) for one in some]
        assert [one.entry_id for one in back] == self.told.ids[::-1]

    async def check_live(self) -> None:
        """What a group has ended is in what is live, and nothing that did not happen."""
        for of, projection in PROJECTIONS.items():
            settled, documents = await self.settled(of), await self.documents(of)
            if settled is None or documents is None:
                continue
            versions = {one: projection.decode(raw)[1].version for one, raw in documents.items()}
            for endpoint_id, newest in self.told.heads(settled).items():
                assert versions[endpoint_id] >= newest, f"{of} lacks what its group has ended"
            heads = self.told.heads()
            assert all(version <= heads[one] for one, version in versions.items())

    async def check_settled(self, of: str) -> None:
        """Once a group has done all, its documents say what happened."""
        await self.catch_up(of)
        documents = await self.documents(of)
        assert documents is not None
        assert self.told.wrong(of, documents) == []

    async def _ids(self) -> set[EntryId]:
        return {EntryId.parse(entry_id) for entry_id, _ in await in_stream(self.log)}

    def _archived(self) -> set[EntryId]:
        """Return what lies in the archive's files, read as any program could."""
        return {
            EntryId.parse(json.loads(line)["id"])
            for path in self.archived_in.rglob("*.zst")
            for line in zstandard.ZstdDecompressor()
            .stream_reader(path.read_bytes())
            .read()
            .splitlines()
        }


@asynccontextmanager
async def open_world(
    url: str, port: int, namespace: str, folder: Path
) -> AsyncIterator[tuple[World, Watching]]:
    """Begin a log, with a producer near, one far away, and a reader that is watched."""
    async with (
        open_log(url, namespace=namespace, source="near") as log,
        tcp_proxy(port) as proxy,
        open_log(
            ServerSettings(url=proxy.url, timeout_s=2.0), namespace=namespace, source="far"
        ) as far,
    ):
        world = World(log, far, proxy, folder)
        for group in PROJECTIONS:
            await world.catch_up(group)
        settings = ReaderSettings(block_ms=20, audit_s=0.2)
        async with open_reader(log, settings) as reader, anyio.create_task_group() as tasks:
            watching = Watching(reader)
            tasks.start_soon(watching.run)
            yield world, watching
            tasks.cancel_scope.cancel()
