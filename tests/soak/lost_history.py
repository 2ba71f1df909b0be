"""A history that goes away on purpose, under load and under a reader, until a person decides.

What was acknowledged before is lost then, and has to be told: the reader keeps its table and says
why, `check` is critical, nothing is built by itself, `groups losses` counts, `log accept-loss` goes
on.
"""

import json
import shutil
from collections.abc import Awaitable, Callable
from time import monotonic
from typing import Any

import anyio
from redis.asyncio import Redis

from events.entry.entry_id import EntryId
from projections.read_model.reader import RouteTableReader
from tests.soak.deployment import GROUPS, MODELS, PARTITIONS, Deployment
from tests.soak.proxy_watch import ProxyWatch
from tests.soak.soak_server import SoakServer
from tests.soak.table_watch import TableWatch
from tests.soak.verdict import EndedHistory, entry_of

Losing = Callable[[Deployment], Awaitable[EndedHistory]]
"""Takes the history away."""

_NOTICED_S = 45.0
_WAITING_S = 2.0
_FOLLOWED_S = 60.0
_TOLD_S = 15.0
_LOOK_EVERY_S = 0.1
_CRITICAL = 2


async def flushed(deployment: Deployment) -> EndedHistory:
    """FLUSHALL, in one step with a look at the log."""
    async with (
        deployment.server_lock,
        Redis.from_url(deployment.server.url, protocol=2) as patient,
        patient.pipeline(transaction=True) as step,
    ):
        _ask(step, deployment)
        step.flushall()
        ended_at = monotonic()
        return _ended(await step.execute(), ended_at)


async def restarted_empty(deployment: Deployment) -> EndedHistory:
    """A server that has lost its disk; its file is read elsewhere first."""
    async with deployment.server_lock:
        ended_at = monotonic()
        deployment.server.kill()
        elsewhere = SoakServer(deployment.folder)
        await anyio.to_thread.run_sync(elsewhere.start)
        try:
            async with (
                Redis.from_url(elsewhere.url, protocol=2) as patient,
                patient.pipeline(transaction=True) as step,
            ):
                _ask(step, deployment)
                ended = _ended(await step.execute(), ended_at)
        finally:
            await anyio.to_thread.run_sync(elsewhere.stop)
        shutil.rmtree(deployment.folder / "appendonlydir")
        await deployment.start_server()
    return ended


def _ask(step: Any, deployment: Deployment) -> None:  # noqa: ANN401 - a pipeline has no types
    for partition in range(PARTITIONS):
        step.xrange(deployment.keys.events(partition))
        step.xinfo_groups(deployment.keys.events(partition))


def _ended(replies: list[Any], ended_at: float) -> EndedHistory:
    log, given = [], {}
    for partition in range(PARTITIONS):
        raw, groups = replies[2 * partition : 2 * partition + 2]
        entries = [entry_of(entry_id, fields, partition) for entry_id, fields in raw]
        for group in groups:
            last = EntryId.parse(group["last-delivered-id"])
            count = sum(entry.entry_id <= last for entry in entries)
            given[group["name"].decode(), partition] = count
        log += entries
    return EndedHistory(log, given, ended_at)


LOSSES: tuple[Losing, ...] = (flushed, restarted_empty)


class LostHistory:
    """One loss: it happens, is noticed, is accepted by a person, and has been told.

    Attributes:
        notes: Where a group tells nothing: all who had known it were killed just then.
    """

    def __init__(
        self,
        deployment: Deployment,
        reader: RouteTableReader,
        watches: tuple[TableWatch, ProxyWatch],
    ) -> None:
        self._deployment = deployment
        self._reader = reader
        self._watch, self._proxy_watch = watches
        self.notes: list[str] = []

    async def run(self, lose: Losing) -> EndedHistory:
        """Return what ended, when events flow again; complain of what is not as it should."""
        restarts = dict(self._deployment.restarts)
        ended = await lose(self._deployment)
        await self._until(lambda: self._is("history_missing"), _NOTICED_S, "the reader waits")
        await self._until(self._is_critical, _NOTICED_S, "check is critical")
        await anyio.sleep(_WAITING_S)
        await self._complain_of_builds()
        async with self._watch.another_history(), self._proxy_watch.another_history():
            await self._accept()
            await self._until(lambda: self._is("following"), _FOLLOWED_S, "the reader follows")
        for name, count in self._deployment.restarts.items():
            # Whoever had just been killed was refused to begin in between.
            self._deployment.signalled[name] += count - restarts[name]
        for group in GROUPS:
            await self._until_told(group, ended)
        self._deployment.set_back.clear()
        return ended

    async def _is(self, state: str) -> bool:
        return self._reader.state == state

    async def _is_critical(self) -> bool:
        return (await self._deployment.routestream("check")).returncode == _CRITICAL

    async def _until(self, is_so: Callable[[], Awaitable[bool]], seconds: float, what: str) -> None:
        with anyio.move_on_after(seconds) as patience:
            while not await is_so():  # noqa: ASYNC110 - nobody tells when
                await anyio.sleep(_LOOK_EVERY_S)
        if patience.cancelled_caught:
            self._complain(f"not within {seconds:g} s: {what} ({self._reader.state})")

    def _complain(self, what: str) -> None:
        self._deployment.complaints.append(f"lost history: {what}")

    async def _complain_of_builds(self) -> None:
        """What is gone is never a new truth: nothing goes live by itself."""
        keys = self._deployment.keys
        for partition in range(PARTITIONS):
            for model in MODELS:
                if await self._deployment.insist("EXISTS", keys.live(partition, model)):
                    self._complain(f"{model} of partition {partition} was built by itself")
        if not await self._is("history_missing"):
            self._complain(f"the reader no longer waits: {self._reader.state}")

    async def _accept(self) -> None:
        """Do what is documented for a history that nothing brings back."""
        command = ("log", "accept-loss", "--partitions", str(PARTITIONS), "--yes")
        done = await self._deployment.routestream(*command)
        if done.returncode:
            self._complain(f"log accept-loss ended with {done.returncode}: {done.stderr!r}")

    async def _until_told(self, group: str, ended: EndedHistory) -> None:
        """Complain where `groups losses` does not come to tell what *group* had been given."""
        given = {p: ended.given.get((group, p), 0) for p in range(PARTITIONS)}
        told: dict[int, tuple[int, bool]] = {}
        with anyio.move_on_after(_TOLD_S):
            while not all(_is_told(count, *told.get(p, (0, False))) for p, count in given.items()):
                told = await self._told(group)
        for partition, count in given.items():
            entries, at_least = told.get(partition, (0, False))
            words = (
                f"{group} had been given {count} entries of partition {partition}, it tells the"
                f" loss of {'at least ' * at_least}{entries}"
            )
            if (group, partition) in self._deployment.set_back:
                # Who has not looked since counts what it was given before it was set back.
                if entries > sum(entry.partition == partition for entry in ended.log):
                    self._complain(words)
            elif entries > count or (entries and not at_least and entries != count):
                self._complain(words)
            elif not _is_told(count, entries, at_least):
                self.notes.append(words)

    async def _told(self, group: str) -> dict[int, tuple[int, bool]]:
        """Return for each partition how many entries were lost, and whether at least so many."""
        done = await self._deployment.routestream("groups", "losses", group, "-o", "json")
        told: dict[int, tuple[int, bool]] = {}
        for loss in json.loads(done.stdout or "[]"):
            entries, at_least = told.get(loss["partition"], (0, False))
            entries, at_least = entries + loss["entries"], at_least or loss["at_least"]
            told[loss["partition"]] = (entries, at_least)
        return told


def _is_told(given: int, told: int, at_least: bool) -> bool:  # noqa: FBT001 - part of the count
    return 0 < told <= given if at_least and given else told == given
