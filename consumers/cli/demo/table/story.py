"""The steps of the demo: what happens to the cluster, and what must hold after each step."""

import os
import signal
from contextlib import nullcontext
from uuid import UUID

import anyio
import msgspec

from consumers.cli.demo.checks import LOOK_EVERY_S, STEP_TIMEOUT_S
from consumers.cli.demo.cluster import Cluster
from consumers.cli.demo.narrator import Narrator
from consumers.cli.demo.real_proxy import RealProxy
from consumers.cli.demo.replica import Replica
from consumers.cli.demo.stage import Stage
from consumers.cli.demo.table.change_over import ChangeOver
from consumers.cli.demo.table.proxied_steps import ProxiedSteps
from consumers.runtime.dead_letters import DeadLetters
from events.entry.entry_id import START
from events.server.reply import reply
from events.streams.stream_group import read_groups
from projections.health_state.health_state import HEALTH_STATE
from projections.read_model.store import ReadModelStore
from projections.route_table.endpoint import Endpoint
from projections.route_table.route_table import ROUTE_TABLE

STAGE = Stage(
    replicas={"chat": 4, "embed": 3, "rerank": 2},
    processes={
        "route-table-0": ("consume", "route-table", "--consumer", "route-table-0"),
        "route-table-1": ("consume", "route-table", "--consumer", "route-table-1"),
        "health-state-0": ("consume", "health-state", "--consumer", "health-state-0"),
        "checker-0": ("checkers", "run"),
        "checker-1": ("checkers", "run"),
    },
)
"""The endpoints are those in `examples/`."""

REQUESTS = 300
"""Requests that are sent to measure where traffic goes."""


class _ShownRoute(msgspec.Struct, frozen=True):
    kernel_port: int
    routable: bool


class _Shown(msgspec.Struct, frozen=True):
    """The fields that are checked of an endpoint that a command shows."""

    routes: list[_ShownRoute]


class TableStory:
    """Plays the steps in order, with a pause after each."""

    def __init__(self, cluster: Cluster, narrator: Narrator) -> None:
        self._cluster = cluster
        self._checks, self._tell, self._pause, self._shell = narrator
        self._change_over = ChangeOver(cluster, narrator)
        self._proxied: ProxiedSteps | None = None
        if isinstance(cluster.proxy, RealProxy):
            self._proxied = ProxiedSteps(cluster, narrator, cluster.proxy)
        self._dead_at = START

    async def play(self) -> None:
        """Play all steps."""
        await self._all_become_healthy()
        await self._pause()
        async with nullcontext() if self._proxied is None else self._proxied.running():
            await self._play_on()

    async def _play_on(self) -> None:
        """Play the steps of a cluster that serves."""
        for step in (
            self._a_replica_dies,
            self._the_replica_comes_back,
            self._a_replica_is_drained,
            self._a_weight_changes,
            self._a_replica_gets_more,
            self._an_endpoint_scales_to_zero,
            self._the_endpoint_scales_up,
            self._the_route_table_is_deleted,
            self._a_projector_is_killed,
            self._change_over.play,
            self._everything_agrees_with_the_log,
            self._the_past_is_looked_at,
        ):
            await step()
            await self._pause()

    async def _all_become_healthy(self) -> None:
        self._tell("nine model servers start, three endpoints are recorded")
        await self._cluster.start_replicas()
        await self._cluster.record_endpoints()
        for name, replicas in self._cluster.replicas.items():
            what = f"all {len(replicas)} routes of {name} are healthy"
            await self._until_routable(name, replicas, what)

    async def _a_replica_dies(self) -> None:
        dying, *others = self._cluster.replicas["chat"]
        self._tell(f"a replica of chat dies: SIGKILL to the model server on port {dying.port}")
        await dying.kill()
        await self._until_routable("chat", others, "the dead replica has left the table")
        chat = self._cluster.reader.endpoint(self._cluster.endpoints["chat"])
        self._dead_at = START if chat is None else chat.version
        await self._send("chat", others, "every request is answered, none by the dead replica")
        if self._proxied is not None:
            self._proxied.check_the_kill()

    async def _the_replica_comes_back(self) -> None:
        dying, *others = self._cluster.replicas["chat"]
        self._tell("it comes back on the same port")
        await dying.start()
        await self._until_routable("chat", [dying, *others], "the replica is back in the table")

    async def _a_replica_is_drained(self) -> None:
        if self._proxied is None:
            return
        await self._proxied.drain("chat", self._cluster.replicas["chat"][1])
        replicas = self._cluster.replicas["chat"]
        await self._until_routable("chat", replicas, "the new replica is in the table")

    async def _a_weight_changes(self) -> None:
        light, *others = self._cluster.replicas["embed"]
        self._tell("one replica of embed gets the weight 0.25")
        endpoint_id = self._cluster.endpoints["embed"]
        await self._cluster.service.set_traffic_ratio(endpoint_id, light.route_id, 0.25)
        await self._checks.until(
            "the reader has the weight",
            lambda: 0.25 in (r.traffic_ratio for r in self._cluster.reader.routable(endpoint_id)),
        )
        answers = await self._send("embed", [light, *others], "all replicas of embed answer")
        if isinstance(self._cluster.proxy, RealProxy) and not self._cluster.proxy.has_weights:
            return
        share = answers.get(light.port, 0) / REQUESTS
        fair = 0.25 / (0.25 + len(others))
        self._checks.note(
            f"its share of {REQUESTS} requests is {share:.0%}, fair is {fair:.0%}",
            held=abs(share - fair) < 0.08,
        )

    async def _a_replica_gets_more(self) -> None:
        if self._proxied is not None:
            await self._proxied.weigh("rerank")

    async def _an_endpoint_scales_to_zero(self) -> None:
        self._tell("rerank scales to zero: a list of no routes")
        cluster = self._cluster
        for replica in cluster.replicas["rerank"]:
            await replica.kill()
        cluster.replicas["rerank"] = []
        await cluster.list_routes("rerank")
        await self._until_routable("rerank", [], "rerank has no routes, and is still known")
        if self._proxied is not None:
            await self._proxied.check_no_routes("rerank")

    async def _the_endpoint_scales_up(self) -> None:
        self._tell("rerank scales up to two new replicas")
        cluster = self._cluster
        cluster.replicas["rerank"] = [Replica("rerank"), Replica("rerank")]
        for replica in cluster.replicas["rerank"]:
            await replica.start()
        await cluster.list_routes("rerank")
        await self._until_routable("rerank", cluster.replicas["rerank"], "both are healthy")

    async def _the_route_table_is_deleted(self) -> None:
        self._tell("the whole route table is deleted from Redis")
        cluster, client = self._cluster, self._cluster.log.server.client
        before = await self._documents()
        generation = cluster.reader.generations
        raw = await client.call("KEYS", f"{{demo:0}}:{ROUTE_TABLE.read_model}:*")
        keys = reply(raw, list[bytes])
        await client.call("DEL", *keys)
        routable = [len(cluster.reader.routable(one)) for one in cluster.endpoints.values()]
        self._checks.note(
            f"{len(keys)} keys are gone, the reader keeps its last good table of"
            f" {sum(routable)} routable routes",
            held=routable == [4, 3, 2],
        )
        await self._checks.until(
            "the projectors have folded it anew from the log, the reader has taken it over",
            lambda: cluster.reader.generations != generation,
        )
        self._checks.note("it equals the table before", held=await self._documents() == before)

    async def _a_projector_is_killed(self) -> None:
        cluster, name = self._cluster, "route-table-0"
        pid = cluster.supervisor.pids[name]
        self._tell(f"a projector is killed: SIGKILL to {name}, process {pid}")
        os.kill(pid, signal.SIGKILL)
        light = cluster.replicas["embed"][0]
        endpoint_id = cluster.endpoints["embed"]
        await cluster.service.set_traffic_ratio(endpoint_id, light.route_id, 1.0)
        await self._checks.until(
            "a weight recorded meanwhile reaches the reader",
            lambda: {r.traffic_ratio for r in cluster.reader.routable(endpoint_id)} == {1.0},
        )
        await self._checks.until(
            "the supervisor has replaced it",
            lambda: cluster.supervisor.pids.get(name, pid) != pid,
        )

    async def _everything_agrees_with_the_log(self) -> None:
        self._tell("everything is folded once more from the log, and compared")
        cluster = self._cluster
        await self._until_settled()
        folded: dict[UUID, Endpoint] = {}
        async for recorded in cluster.log.read():
            endpoint_id = recorded.endpoint_id
            before = folded.get(endpoint_id) or ROUTE_TABLE.initial(endpoint_id)
            folded[endpoint_id] = ROUTE_TABLE.evolve(before, recorded)
        self._checks.note("Redis has what the log says", held=await self._documents() == folded)
        held = {endpoint.endpoint_id: endpoint for endpoint in cluster.reader.endpoints()}
        self._checks.note("the reader has what the log says", held=held == folded)
        dead = [
            entry
            for group in (ROUTE_TABLE.read_model, HEALTH_STATE.read_model)
            async for entry in DeadLetters(cluster.log.server, cluster.log.keys, 0, group).read()
        ]
        self._checks.note("there are no dead letters", held=not dead)
        if self._proxied is not None:
            self._proxied.check_the_rest()

    async def _the_past_is_looked_at(self) -> None:
        self._tell("what was routed where when the replica of chat was dead?")
        cluster, replica = self._cluster, self._cluster.replicas["chat"][0]
        command = ("endpoints", "show", "chat", "--as-of", str(self._dead_at))
        async with anyio.create_task_group() as showing:
            showing.start_soon(self._shell.run, *command)
            asked = await self._shell.ask(*command, "-o", "json")
        shown = msgspec.json.decode(asked, type=_Shown)
        self._checks.note(
            "the dead replica got no traffic then, the others did",
            held={route.kernel_port for route in shown.routes if not route.routable}
            == {replica.port},
        )
        present = cluster.reader.routable(cluster.endpoints["chat"])
        self._checks.note(
            f"all {len(present)} do at present",
            held=len(present) == len(shown.routes)
            and replica.route_id in {route.route_id for route in present},
        )

    async def _until_routable(self, name: str, replicas: list[Replica], what: str) -> None:
        wanted = {replica.route_id for replica in replicas}
        endpoint_id = self._cluster.endpoints[name]
        reader = self._cluster.reader
        await self._checks.until(
            what,
            lambda: (
                reader.endpoint(endpoint_id) is not None
                and {route.route_id for route in reader.routable(endpoint_id)} == wanted
            ),
        )

    async def _send(self, name: str, replicas: list[Replica], what: str) -> dict[int | None, int]:
        await self._cluster.proxy.until_current(self._cluster.endpoints[name])
        answers = await self._cluster.proxy.send(self._cluster.endpoints[name], REQUESTS)
        ports: set[int | None] = {replica.port for replica in replicas}
        self._checks.note(f"{what} ({REQUESTS} sent)", held=answers.keys() == ports)
        return dict(answers)

    async def _documents(self) -> dict[UUID, Endpoint]:
        store = ReadModelStore(self._cluster.log.server, self._cluster.log.keys, ROUTE_TABLE, 0)
        generation = await store.live_generation() or 0
        return {state.endpoint_id: state async for _, state in store.load_all(generation)}

    async def _until_settled(self) -> None:
        """Wait until the groups have handled all that is in the log."""
        stream = self._cluster.log.keys.events(0)
        client = self._cluster.log.server.client
        backlog = None
        with anyio.move_on_after(STEP_TIMEOUT_S):
            while backlog != 0:
                groups = await read_groups(client.call, stream)
                lags = [group.lag for group in groups if group.lag is not None]
                pending = sum(group.pending for group in groups)
                backlog = sum(lags) + pending if len(lags) == len(groups) else None
                await anyio.sleep(LOOK_EVERY_S)
        self._checks.note("the groups have no backlog", held=backlog == 0)


async def play_table_story(cluster: Cluster, narrator: Narrator) -> None:
    """Play the story on *cluster*."""
    await TableStory(cluster, narrator).play()
