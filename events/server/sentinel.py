"""Redis Sentinel: which server is the master, by the word of most sentinels."""

from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from time import monotonic

import anyio

from events.errors import EventsError, ServerRefusedError
from events.server.backoff import Backoff
from events.server.client import NodeClient
from events.server.cluster import unreachable
from events.server.places import ServerPlace
from events.server.reply import reply
from events.server.translation import translation
from events.structured_logger import structured_logger

_SWITCHED = "+switch-master"
_LOOK_EVERY_S = 5.0
_ASK_S = 0.5
_LOOK_HOLDS_S = 0.05
_RECONNECT = Backoff(first_s=0.2, most_s=5.0)

_log = structured_logger(__name__)


class SentinelPlaces:
    """The master that most of the named sentinels name.

    One sentinel is no witness: beside a master that was cut off from the others it goes on naming
    it. Where there is no majority, the last master that had one is kept.

    Attributes:
        patience_s: Longer than sentinels take with the usual `down-after-milliseconds`, 10 s.
    """

    patience_s = 25.0
    is_spread = False

    def __init__(
        self,
        name: str,
        sentinels: Iterable[ServerPlace],
        client_of: Callable[[ServerPlace], NodeClient],
        leave: Callable[[ServerPlace], Awaitable[None]],
    ) -> None:
        self._name = name
        self._clients = {sentinel: client_of(sentinel) for sentinel in sentinels}
        self._leave = leave
        self._master: ServerPlace | None = None
        self._in_doubt = True
        self._looking = anyio.Lock()
        self._looked_at = float("-inf")

    async def of(self, _key: str | bytes) -> ServerPlace:
        """Return the master."""
        if self._in_doubt or self._master is None:
            await self._look()
        if self._master is None:
            raise unreachable("the sentinels have named no master so far")
        return self._master

    async def all(self) -> list[ServerPlace]:
        """Return the master alone."""
        return [await self.of("")]

    def share_a_command(self, _one: str, _other: str) -> bool:
        """Whether one command may name both keys: always."""
        return True

    def moved(self, slot: int, place: ServerPlace) -> None:
        """Ignore it: a master that sentinels watch is no node of a cluster."""

    def doubt(self, _place: ServerPlace) -> None:
        """Ask the sentinels before the next answer."""
        self._in_doubt = True

    async def watch(self) -> None:
        """Listen to all sentinels until cancelled, and leave a master when it is one no more.

        The old one does not close its connections for ten seconds and more after a planned switch,
        takes writes meanwhile, and loses them.
        """
        async with anyio.create_task_group() as tasks:
            for sentinel in self._clients:
                tasks.start_soon(self._listen, sentinel)

    async def aclose(self) -> None:
        """Close the connections to the sentinels."""
        for client in self._clients.values():
            await client.aclose()

    async def _listen(self, sentinel: ServerPlace) -> None:
        failures = 0
        while True:
            try:
                with translation():
                    async with self._clients[sentinel].pubsub() as announced:
                        await announced.subscribe(_SWITCHED)
                        while True:
                            await announced.get_message(timeout=_LOOK_EVERY_S)
                            await self._look()
                            failures = 0
            except EventsError as error:
                failures += 1
                if failures == 1:
                    _log.warning("sentinel_away", sentinel=str(sentinel), error=str(error))
            await anyio.sleep(_RECONNECT.delay_s(failures))

    async def _look(self) -> None:
        """Ask all sentinels at once, and believe the master that most of them name."""
        asked_at = monotonic()
        async with self._looking:
            if self._looked_at > asked_at - _LOOK_HOLDS_S:
                return  # somebody looked while this one waited, or just before
            named: dict[ServerPlace, ServerPlace] = {}
            failed: dict[ServerPlace, str] = {}

            async def ask(sentinel: ServerPlace) -> None:
                try:
                    with anyio.fail_after(_ASK_S):
                        named[sentinel] = await self._master_by(sentinel)
                except TimeoutError:
                    failed[sentinel] = f"no answer in {_ASK_S:g} s"
                except EventsError as error:
                    failed[sentinel] = str(error)

            async with anyio.create_task_group() as tasks:
                for sentinel in self._clients:
                    tasks.start_soon(ask, sentinel)
            master = majority(named.values(), len(self._clients))
            if master is None:
                raise unreachable(_no_majority(named, failed))
            self._looked_at, self._in_doubt = monotonic(), False
            before, self._master = self._master, master
        if before is not None and before != master:
            _log.warning("master_switched", before=str(before), master=str(master))
            await self._leave(before)

    async def _master_by(self, sentinel: ServerPlace) -> ServerPlace:
        """Return the master that *sentinel* names."""
        client = self._clients[sentinel]
        raw = await client.call("SENTINEL GET-MASTER-ADDR-BY-NAME", self._name)
        if raw is None:
            raise ServerRefusedError(f"it knows no master {self._name!r}")
        host, port = reply(raw, tuple[bytes, bytes])
        return ServerPlace(host.decode(), int(port))


def majority(named: Iterable[ServerPlace], sentinels: int) -> ServerPlace | None:
    """Return what more than half of all *sentinels* name, None if there is no such master."""
    most = Counter(named).most_common(1)
    return most[0][0] if most and 2 * most[0][1] > sentinels else None


def _no_majority(named: dict[ServerPlace, ServerPlace], failed: dict[ServerPlace, str]) -> str:
    words = [f"{sentinel} names {master}" for sentinel, master in named.items()]
    words += [f"{sentinel}: {why}" for sentinel, why in failed.items()]
    return f"most sentinels must name one master: {'; '.join(words)}"
