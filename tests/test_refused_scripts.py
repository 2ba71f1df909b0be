"""A Lua script that the server refuses has written nothing, whatever command it is refused."""

import re
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import pytest
from redis.asyncio import Redis
from redis.exceptions import ResponseError

from consumers.processes.embedded import EmbeddedServer
from events.entry.entry_id import END
from events.log.keys import Keys
from events.server.script import script_text
from tests.support.script_runs import Run, partition_with_work, runs
from tests.test_architecture import SCRIPTS

KEYS = Keys(f"refused-{uuid4().hex[:8]}")
RUNS = runs(KEYS)
WRITES_NOTHING = {"missing", "redate"}
"""One only reads; the other changes idle times alone, by a single command."""

WRITES_ELSEWHERE = {"write_keys", "write_handoff"}
"""These write what a proxy reads, on its server; after any failure all of it is written again."""

LAST_ID = f"{END}"
_COMMAND = re.compile(r"[({]'([A-Z]{3,})'")


class Partition:
    """A partition with work to do, made anew for each trial."""

    def __init__(self, port: int, user: str) -> None:
        self.all_rights: Any = Redis(port=port)
        self.fewer_rights: Any = Redis.from_url(f"redis://{user}:secret@127.0.0.1:{port}")
        self._user = user

    async def forbid(self, command: str | None) -> None:
        rights = ["reset", "on", ">secret", "~*", "+@all"]
        forbidden = [] if command is None else [f"-{command.lower()}"]
        await self.all_rights.execute_command("ACL", "SETUSER", self._user, *rights, *forbidden)

    async def make(self, *damage: tuple[str, ...]) -> None:
        """Make the partition, then deal *damage* to it."""
        names = await self.all_rights.keys(f"*{KEYS.namespace}*")
        async with self.all_rights.pipeline() as pipeline:
            if names:
                pipeline.delete(*names)
            for command in partition_with_work(KEYS):
                pipeline.execute_command(*command)
            for command in damage:
                pipeline.execute_command(*command)
            await pipeline.execute(raise_on_error=not damage)

    async def is_refused(self, run: Run) -> bool:
        """Whether the server refuses the run, after which everything must be as it was."""
        before = await self._values()
        try:
            await self.run(run)
        except ResponseError:
            assert await self._values() == before
            return True
        return False

    async def writes(self, run: Run) -> bool:
        before = await self._values()
        await self.run(run)
        return await self._values() != before

    async def run(self, run: Run) -> None:
        text = script_text(run.package, run.name)
        await self.fewer_rights.eval(text, len(run.keys), *run.keys, *run.args)

    async def _values(self) -> dict[bytes, bytes | None]:
        names = sorted(await self.all_rights.keys(f"*{KEYS.namespace}*"))
        return {name: await self.all_rights.dump(name) for name in names}

    async def aclose(self) -> None:
        await self.all_rights.execute_command("ACL", "DELUSER", self._user)
        await self.all_rights.aclose()
        await self.fewer_rights.aclose()


@pytest.fixture
async def partition(shared_server: EmbeddedServer) -> AsyncIterator[Partition]:
    opened = Partition(shared_server.port, f"user-{uuid4().hex[:8]}")
    await opened.forbid(None)
    await opened.make()
    yield opened
    await opened.aclose()


def commands_of(run: Run) -> set[str]:
    return set(_COMMAND.findall(script_text(run.package, run.name)))


def name_of(run: Run) -> str:
    return f"{run.package}-{run.name}"


def test_every_script_that_writes_is_refused_in_its_turn() -> None:
    assert {path.stem for path in SCRIPTS} == (
        {run.name for run in RUNS} | WRITES_NOTHING | WRITES_ELSEWHERE
    )


@pytest.mark.parametrize("run", RUNS, ids=name_of)
async def test_a_script_without_the_right_to_a_command_has_written_nothing(
    partition: Partition, run: Run
) -> None:
    assert await partition.writes(run)
    refused = 0
    for command in commands_of(run):
        await partition.make()
        await partition.forbid(command)
        refused += await partition.is_refused(run)
    assert refused


@pytest.mark.parametrize("run", RUNS, ids=name_of)
async def test_a_script_that_finds_a_key_of_another_type_has_written_nothing(
    partition: Partition, run: Run
) -> None:
    refused = 0
    for key in run.keys:
        await partition.make(("DEL", key), ("RPUSH", key, "stray"))
        refused += await partition.is_refused(run)
    assert refused


@pytest.mark.parametrize("run", [run for run in RUNS if "XADD" in commands_of(run)], ids=name_of)
async def test_a_script_that_finds_a_stream_at_its_last_id_has_written_nothing(
    partition: Partition, run: Run
) -> None:
    refused = 0
    for key in run.keys:
        await partition.make(("XADD", key, LAST_ID, "name", "x"))
        refused += await partition.is_refused(run)
    assert refused
