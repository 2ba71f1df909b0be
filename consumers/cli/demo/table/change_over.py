"""The change-over: the demo rebuilds the route table under live changes and rolls it back."""

from consumers.cli.demo.cluster import Cluster
from consumers.cli.demo.narrator import Narrator
from consumers.cli.demo.table.live_changes import LiveChanges, Witness, live_changes
from projections.read_model.store import ReadModelStore
from projections.route_table.route_table import ROUTE_TABLE


class ChangeOver:
    """Changes to a new generation of the route table, and back to the previous one."""

    def __init__(self, cluster: Cluster, narrator: Narrator) -> None:
        self._cluster = cluster
        self._checks, self._tell, self._pause, self._shell = narrator
        self._store = ReadModelStore(cluster.log.server, cluster.log.keys, ROUTE_TABLE, 0)

    async def play(self) -> None:
        """Rebuild, verify and roll back, while weights and health change all the time."""
        async with live_changes(self._cluster) as (changes, witness):
            before = await self._store.live_generation()
            await self._rebuild(changes, before)
            await self._pause()
            await self._verify(changes)
            await self._pause()
            await self._go_back(witness, before)

    async def _rebuild(self, changes: LiveChanges, before: int | None) -> None:
        self._tell("the route table is rebuilt while weights and health go on changing")
        weights = changes.weights
        printed = await self._shell.run("replay", "rebuild", ROUTE_TABLE.name, "--yes")
        weights = changes.weights - weights
        self._checks.note(
            f"{weights} weights changed while it ran",
            held=not printed.exit_code and weights > 0,
        )
        live, kept = await self._store.live_generation(), await self._store.kept()
        self._checks.note(f"generation {live} is live, no longer {before}", held=live != before)
        self._checks.note(
            f"generation {before} is kept", held=kept is not None and kept.generation == before
        )
        await self._until_read("the reader has taken it over", live)

    async def _verify(self, changes: LiveChanges) -> None:
        self._tell("what is live now is compared with the log, and still changes")
        healths = changes.healths
        printed = await self._shell.run("replay", "verify", ROUTE_TABLE.name)
        self._checks.note("no document differs", held=not printed.exit_code)
        await self._checks.until(
            "a replica's health changed meanwhile", lambda: changes.healths > healths
        )

    async def _go_back(self, witness: Witness, before: int | None) -> None:
        self._tell("back to the generation before, with all that came since")
        await self._shell.run("replay", "rollback", ROUTE_TABLE.name, "--yes")
        await self._until_read(f"generation {before} is live, and the reader has it", before)
        self._checks.note(
            f"nothing that the reader had went back ({witness.looks} looks)",
            held=witness.looks > 1 and not witness.went_back,
        )

    async def _until_read(self, what: str, generation: int | None) -> None:
        await self._checks.until(what, lambda: self._cluster.reader.generations == (generation,))
