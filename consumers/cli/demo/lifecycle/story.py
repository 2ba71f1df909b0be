"""The steps of the story of a route's life, and what must hold after each."""

from uuid import UUID

import anyio

from consumers.cli.demo.checks import LOOK_EVERY_S
from consumers.cli.demo.cluster import Cluster
from consumers.cli.demo.lifecycle.engine import Engine
from consumers.cli.demo.lifecycle.model_folder import ModelFolder, model_folder
from consumers.cli.demo.narrator import Narrator
from consumers.cli.demo.real_proxy import RunningRequests
from consumers.cli.demo.shell import Printed
from consumers.cli.demo.stage import Stage
from consumers.processes.supervisor import Supervisor, routestream_command
from events.catalogue.route_flapping import RouteFlappingEvent
from projections.route_table.phase import Phase, phase_of
from projections.route_table.route import Route
from projections.route_table.traffic import traffic_of

NAME = "chat"
OLD, NEW = "v1", "v2"

STAGE = Stage(
    replicas={NAME: 0},
    processes={
        "route-table-0": ("consume", "route-table", "--consumer", "route-table-0"),
        "health-state-0": ("consume", "health-state", "--consumer", "health-state-0"),
        "life-cycle-0": ("consume", "life-cycle"),
    },
    settings={
        "ROUTESTREAM_CHECKER_FAST_INTERVAL_S": "0.2",
        "ROUTESTREAM_CHECKER_WARM_UP_INTERVAL_S": "0.2",
        "ROUTESTREAM_CHECKER_REPORT_S": "0.5",
        "ROUTESTREAM_CHECKER_VERDICT_FLAPPING_CHANGES_MAX": "4",
        "ROUTESTREAM_CHECKER_VERDICT_FLAPPING_WINDOW_S": "8",
        "ROUTESTREAM_LIFE_CYCLE_DRAINING_S": "1.5",
        "ROUTESTREAM_LIFE_CYCLE_LOOK_EVERY_S": "0.1",
    },
)
"""The story starts its engines and checkers itself; nobody has to wait for what takes minutes."""

_CHECKERS = ("checker-0", "checker-1")
_TOLD_S = 30.0


class LifeStory:
    """Plays the steps in order, with a pause after each."""

    def __init__(
        self, cluster: Cluster, checkers: Supervisor, folder: ModelFolder, narrator: Narrator
    ) -> None:
        self._cluster, self._checkers, self._folder = cluster, checkers, folder
        self._checks, self._tell, self._pause, self._shell = narrator
        self._endpoint_id = cluster.endpoints[NAME]
        self._engines: list[Engine] = []
        self._known: dict[UUID, Route] = {}

    async def play(self) -> None:
        """Play all steps."""
        for step in (
            self._the_model_definition_is_read,
            self._the_engines_warm_up,
            self._an_engine_hangs,
            self._an_engine_is_drained,
            self._a_canary_goes_back,
            self._an_engine_flaps,
            self._all_checkers_die,
            self._the_model_folder_is_gone,
        ):
            await step()
            await self._pause()

    async def _the_model_definition_is_read(self) -> None:
        self._tell("the definition of a model is read from behind a storage proxy")
        await self._shell.run("model-definition", "check", self._folder.url)
        created = await self._shell.run(
            *("endpoints", "create", NAME, "--id", str(self._endpoint_id)),
            *("--model", "tiny-llama", "--model-folder", self._folder.url, "--yes"),
        )
        self._checks.note("the endpoint is created", held=created.exit_code == 0)
        await self._checks.until("it has a deep check beside the cheap one", self._has_deep_check)

    async def _the_engines_warm_up(self) -> None:
        self._tell("two engines start, and load their weights: they answer 503 to everything")
        self._engines = [Engine(NAME, revision=OLD), Engine(NAME, revision=OLD)]
        for engine in self._engines:
            await engine.start()
        await self._list_engines()
        await self._checks.until("both are in the table", lambda: len(self._routes()) == 2)
        await self._checks.until(
            "both are warming up", lambda: set(map(self._phase, self._engines)) == {"warming_up"}
        )
        await self._shell.run("endpoints", "show", NAME)
        healths = {route.health for route in self._routes()}
        self._checks.note(
            "they get no traffic, and are not called unhealthy",
            held=not self._routable() and healths == {"not_checked"},
        )
        self._tell("their weights are loaded")
        for engine in self._engines:
            await engine.become("ready")
        await self._until_routable("both get traffic", *self._engines)

    async def _an_engine_hangs(self) -> None:
        hung, other = self._engines
        self._tell("one engine hangs: /health says 200, and no token ever comes")
        await hung.become("hung")
        await self._until_routable("the deep check has taken it out of the traffic", other)
        reason = self._route(hung).health_reason or ""
        self._checks.note(f"the log says why: {reason}", held="deep check" in reason)
        await hung.become("ready")
        await self._until_routable("it is back when it answers", hung, other)

    async def _an_engine_is_drained(self) -> None:
        leaving, staying = self._engines
        self._tell("one engine's session ends: no new request, those in flight are answered")
        requests = RunningRequests(self._cluster.proxy, self._endpoint_id)
        async with anyio.create_task_group() as running:
            running.start_soon(requests.run)
            await requests.until_sent(20)
            session = str(leaving.record.session_id)
            await self._shell.run("sessions", "terminating", session, "--yes")
            await self._until_routable("it gets no new traffic", staying)
            await self._checks.until(
                "its drain is over, and is recorded",
                lambda: self._phase(leaving) == "terminating",
            )
            await self._shell.run("sessions", "terminated", session, "--yes")
            await leaving.kill()
            await self._checks.until("its route is gone", lambda: len(self._routes()) == 1)
            await requests.until_sent(requests.sent + 20)
            running.cancel_scope.cancel()
        self._checks.note(
            f"{requests.failed} of {requests.sent} requests failed meanwhile",
            held=requests.failed == 0,
        )
        self._engines = [staying]

    async def _a_canary_goes_back(self) -> None:
        [old] = self._engines
        self._tell("revision v2 gets a quarter of the traffic, then is to get more, step by step")
        canary = Engine(NAME, revision=NEW)
        await canary.start()
        await canary.become("ready")
        self._engines = [old, canary]
        await self._list_engines()
        await self._until_routable("the engine of v2 is healthy", old, canary)
        async with anyio.create_task_group() as rollout:
            ended: list[Printed] = []

            async def roll_out() -> None:
                steps = ("--steps", "25,50,100", "--every", "4s", "--yes")
                ended.append(
                    await self._shell.run("endpoints", "rollout", NAME, "--to", NEW, *steps)
                )

            rollout.start_soon(roll_out)
            await self._checks.until("it has a quarter", lambda: self._share_of(NEW) == 0.25)
            await canary.become("broken")
            self._tell("the engine of v2 breaks")
        self._checks.note(
            "the rollout has gone back by itself, and said so", held=ended[0].exit_code == 1
        )
        await self._checks.until("v1 has all of the traffic", lambda: self._share_of(OLD) == 1)
        await canary.kill()
        self._engines = [old]
        await self._list_engines()

    async def _an_engine_flaps(self) -> None:
        [flapping] = self._engines
        self._tell("the engine breaks and recovers, again and again")
        await flapping.become("flapping")
        await self._checks.until(
            "it is called flapping, and held unhealthy",
            lambda: self._route(flapping).flapping and not self._routable(),
            timeout_s=30,
        )
        await self._shell.run("endpoints", "show", NAME)
        await flapping.become("ready")
        await self._until_routable("it is back once it is steady", flapping)
        told = [
            recorded.event.flapping
            async for recorded in self._cluster.log.read()
            if isinstance(recorded.event, RouteFlappingEvent)
        ]
        self._checks.note("it was said once, and once when it ended", held=told == [True, False])

    async def _all_checkers_die(self) -> None:
        self._tell("all health checkers are killed, and nobody starts them again")
        [engine] = self._engines
        self._checkers.kill()
        await self._until_told("checker")
        self._checks.note(
            "traffic goes on by what was last known", held=self._routable() == {engine.route_id}
        )

    async def _the_model_folder_is_gone(self) -> None:
        self._tell("the model folder is deleted: the storage proxy answers 410")
        self._folder.is_gone = True
        other = ("--model", "tiny-llama", "--model-folder", self._folder.url, "--yes")
        created = await self._shell.run("endpoints", "create", "other", *other)
        self._checks.note(
            "another endpoint is refused, and why is said", held=created.exit_code != 0
        )
        destroyed = await self._shell.run("endpoints", "destroy", NAME, "--yes")
        self._checks.note("the endpoint is destroyed all the same", held=destroyed.exit_code == 0)
        await self._checks.until("its routes are gone", lambda: not self._routes())

    async def _until_told(self, word: str) -> None:
        """Wait until `check` is no longer all right, and names *word*."""
        with anyio.move_on_after(_TOLD_S):
            while word not in await self._shell.try_out("check"):  # noqa: ASYNC110 - nobody tells when
                await anyio.sleep(LOOK_EVERY_S)
        printed = await self._shell.run("check")
        held = printed.exit_code != 0 and word in printed.output + printed.talk
        self._checks.note(f"`check` is not OK (exit code {printed.exit_code})", held=held)

    async def _list_engines(self) -> None:
        self._cluster.replicas[NAME] = [*self._engines]
        await self._cluster.list_routes(NAME)

    async def _until_routable(self, what: str, *engines: Engine) -> None:
        wanted = {engine.route_id for engine in engines}
        await self._checks.until(what, lambda: self._routable() == wanted)
        await self._cluster.proxy.until_current(self._endpoint_id)

    def _routable(self) -> set[UUID]:
        return {route.route_id for route in self._cluster.reader.routable(self._endpoint_id)}

    def _routes(self) -> list[Route]:
        endpoint = self._cluster.reader.endpoint(self._endpoint_id)
        return [] if endpoint is None else endpoint.present_routes

    def _route(self, engine: Engine) -> Route:
        """Return the route to *engine* as the reader has it, or had it last."""
        for route in self._routes():
            if route.route_id == engine.route_id:
                self._known[engine.route_id] = route
        return self._known[engine.route_id]

    def _phase(self, engine: Engine) -> Phase | None:
        endpoint = self._cluster.reader.endpoint(self._endpoint_id)
        route = None if endpoint is None else endpoint.routes.get(engine.route_id)
        return None if endpoint is None or route is None else phase_of(endpoint, route)

    def _share_of(self, revision: str) -> float:
        endpoint = self._cluster.reader.endpoint(self._endpoint_id)
        if endpoint is None:
            return 0.0
        traffic = traffic_of(endpoint)
        own = [route for route in endpoint.present_routes if route.revision == revision]
        return sum(traffic[route.route_id].share for route in own)

    def _has_deep_check(self) -> bool:
        endpoint = self._cluster.reader.endpoint(self._endpoint_id)
        check = None if endpoint is None else endpoint.health_check
        return check is not None and check.deep is not None


async def play_life_story(cluster: Cluster, narrator: Narrator) -> None:
    """Play the story on *cluster*, with health checkers of its own, which it kills."""
    command = routestream_command("checkers", "run", "--supervised", str(len(_CHECKERS)))
    checkers = Supervisor(
        dict.fromkeys(_CHECKERS, command), environment=cluster.environment, stderr=cluster.output
    )
    async with model_folder() as folder, anyio.create_task_group() as tasks:
        tasks.start_soon(checkers.keep_running)
        try:
            await LifeStory(cluster, checkers, folder, narrator).play()
        finally:
            checkers.kill()
            with anyio.CancelScope(shield=True):
                await checkers.stop()
