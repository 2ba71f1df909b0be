"""The soak: appends and faults for a while, then quiet, then the verdict."""

from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from time import monotonic
from uuid import UUID

import aiohttp
import anyio
from msgspec.structs import replace
from redis.exceptions import RedisError

from events import open_log
from projections.read_model.reader import ReaderSettings, RouteTableReader, open_reader
from tests.soak.deployment import MODELS, NAMESPACE, Deployment, deployed
from tests.soak.faults import FAULTS, Fault
from tests.soak.journal import Journal, read_journals
from tests.soak.lost_history import LOSSES, LostHistory
from tests.soak.producer import Producer
from tests.soak.proxy_watch import ProxyWatch, servers_wanted
from tests.soak.table_watch import TableWatch
from tests.soak.verdict import ROUTE_TABLE, Documents, EndedHistory, Verdict, histories_in, judge
from tests.support.histories import observed

_TOGETHER = 0.25
"""How often a fault does not come alone."""

_PAUSE_MAX_S = 0.8
_EPOCH_S = 60.0
_SMALL = 300
_BEGIN_S = 60.0
_QUIET_S = 90.0
_PROXY_S = 20.0
_LOOK_EVERY_S = 0.1

Watches = tuple[TableWatch, ProxyWatch]


class Soak:
    """One run.

    Attributes:
        faults: How many have happened.
        complaints: What is wrong besides what the verdict says.
    """

    def __init__(
        self,
        random: Random,
        seconds: float,
        say: Callable[[str], None],
        *,
        tampering: str | None = None,
    ) -> None:
        self._random = random
        self._seconds = seconds
        self._say = say
        self._tampering = tampering
        self._began_at = monotonic()
        self._deck: list[Fault] = []
        self.faults = 0
        self.complaints: list[str] = []

    async def run(self, folder: Path, seed: int) -> Verdict:
        """Run it in *folder*, and return the verdict."""
        async with deployed(folder, seed) as deployment:
            await self._until(deployment, lambda left: self._flows(folder, left), _BEGIN_S)
            async with (
                open_log(deployment.proxy.url, namespace=NAMESPACE) as log,
                open_reader(log, ReaderSettings(block_ms=500, audit_s=5.0)) as reader,
                aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=_PROXY_S)) as session,
                anyio.create_task_group() as tasks,
            ):
                watches = TableWatch(reader), ProxyWatch(session, deployment.traefik.api)
                for watch in watches:
                    tasks.start_soon(watch.run)
                self._began_at = monotonic()
                ended = await self._live_through_epochs(deployment, reader, watches)
                await deployment.producers.stop()
                await self._close(deployment)
                await self._until(deployment, lambda left: not any(left.values()), _QUIET_S)
                documents = {model: await deployment.read_documents(model) for model in MODELS}
                await self._compare(reader, documents[ROUTE_TABLE])
                await self._compare_proxy(watches[1], documents[ROUTE_TABLE])
                tasks.cancel_scope.cancel()
            await deployment.consumers.stop()
            await self._tamper(deployment)
            last = await deployment.read_log()
            requests = read_journals(folder)
            verdict = judge(requests, ended, last, documents, deployment.receiver.taken)
            histories = [histories_in(one) for one in (*(was.log for was in ended), last)]
            verdict.table = [one for watch in watches for one in watch.judge(histories)]
            verdict.crashes = [*deployment.crashes()]
            self.complaints += deployment.complaints
            return verdict

    def _flows(self, folder: Path, left: dict[str, int]) -> bool:
        """Whether all have begun: producers were told of appends, groups are not far behind."""
        acknowledged = sum(one.is_acknowledged for one in read_journals(folder).values())
        return acknowledged >= 10 and max(left.values()) < acknowledged

    async def _live_through_epochs(
        self, deployment: Deployment, reader: RouteTableReader, watches: Watches
    ) -> list[EndedHistory]:
        """Let faults happen; between two epochs the history is lost. Return those that ended."""
        count = max(2, round(self._seconds / _EPOCH_S)) if self._seconds else 1
        ended: list[EndedHistory] = []
        for epoch in range(count):
            await self._do_harm(deployment, self._seconds / count)
            if epoch < count - 1:
                began_s = monotonic() - self._began_at
                lose = self._random.choice(LOSSES)
                loss = LostHistory(deployment, reader, watches)
                ended.append(await loss.run(lose))
                self._say(
                    f"{began_s:7.1f} s  history {lose.__name__.replace('_', ' ')}:"
                    f" {len(ended[-1].log)} entries, accepted after"
                    f" {monotonic() - self._began_at - began_s:.1f} s"
                )
                for note in loss.notes:
                    self._say(f"{'':19}{note}")
                await self._until(deployment, self._is_small, _BEGIN_S)
        return ended

    def _is_small(self, left: dict[str, int]) -> bool:
        return max(left.values()) < _SMALL

    async def _do_harm(self, deployment: Deployment, seconds: float) -> None:
        began_at = monotonic()
        for faults in self._hands():
            if seconds <= monotonic() - began_at:
                return
            async with anyio.create_task_group() as tasks:
                for fault in faults:
                    tasks.start_soon(self._let_happen, fault, deployment)
            await anyio.sleep(self._random.uniform(0.0, _PAUSE_MAX_S))

    def _hands(self) -> Iterator[list[Fault]]:
        """Deal all faults there are in any order, one or two at once, and again."""
        while True:
            if not self._deck:
                self._deck = self._random.sample(FAULTS, len(FAULTS))
            count = 2 if self._random.random() < _TOGETHER else 1
            yield self._deck[:count]
            del self._deck[:count]

    async def _let_happen(self, fault: Fault, deployment: Deployment) -> None:
        self.faults += 1
        number, began_s = self.faults, monotonic() - self._began_at
        what = await fault(deployment, Random(self._random.random()))
        self._say(f"{began_s:7.1f} s  {number:4}  {fault.__name__.replace('_', ' ')}: {what}")

    async def _close(self, deployment: Deployment) -> None:
        """Append one last event to every endpoint: a document is looked at when it changes."""
        endpoints = {one.asked.endpoint_id for one in read_journals(deployment.folder).values()}
        journal = Journal(deployment.folder / "closing.journal")
        producer = Producer(deployment.log, journal, "closing", self._random)
        for endpoint_id in sorted(endpoints):
            last = replace(observed("healthy", reason="closing"), endpoint_id=endpoint_id)
            while not await producer.append([last]):  # noqa: ASYNC110 - nobody tells when
                await anyio.sleep(_LOOK_EVERY_S)
        journal.close()

    async def _until(
        self, deployment: Deployment, enough: Callable[[dict[str, int]], bool], timeout_s: float
    ) -> None:
        """Wait until the groups have so little left; complain where that takes too long."""
        left: dict[str, int] = {}
        with anyio.move_on_after(timeout_s) as patience:
            while not left or not enough(left):
                await anyio.sleep(_LOOK_EVERY_S)
                try:
                    left = await deployment.backlog()
                except (RedisError, OSError):
                    continue
        if patience.cancelled_caught:
            self.complaints.append(f"after {timeout_s:g} s the groups still have {left} to do")

    async def _compare(self, reader: RouteTableReader, documents: Documents) -> None:
        """Complain where the reader does not come to have what the documents say."""
        wanted = {one: document.get("version") for one, document in documents.items()}
        held: dict[UUID, list[int]] = {}
        with anyio.move_on_after(_QUIET_S) as patience:
            while held != wanted:
                await anyio.sleep(_LOOK_EVERY_S)
                held = {one.endpoint_id: list(one.version) for one in reader.endpoints()}
        if patience.cancelled_caught:
            differing = sum(held.get(one) != version for one, version in wanted.items())
            self.complaints.append(f"the reader has {differing} endpoints of {len(wanted)} wrong")

    async def _compare_proxy(self, watch: ProxyWatch, documents: Documents) -> None:
        """Complain where the proxy does not come to route by what the documents say."""
        wanted = servers_wanted(documents)
        with anyio.move_on_after(_QUIET_S) as patience:
            await watch.until(wanted)
        if patience.cancelled_caught:
            self.complaints.append(
                f"the proxy has {watch.differing(wanted)} endpoints of {len(wanted)} wrong"
            )

    async def _tamper(self, deployment: Deployment) -> None:
        """Do what must not go unnoticed, where it is asked for: `delete` or `invent`."""
        [*_, last] = await deployment.read_log()
        stream = deployment.keys.events(last.partition)
        if self._tampering == "delete":
            await deployment.redis.xdel(stream, str(last.entry_id))
        elif self._tampering == "invent":
            await deployment.redis.xadd(stream, dict(last.fields))
        elif self._tampering:
            self.complaints.append(f"there is no tampering {self._tampering!r}")
