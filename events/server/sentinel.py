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
_NO_MAJORITY_HOLDS_S = 1.0
"""While most sentinels are away, the known master may well be there: it is asked meanwhile."""
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
        self._holds_until = float("-inf")
        self._no_majority: Exception | None = None

    async def of(self, _key: str | bytes) -> ServerPlace:
        """Return the master."""
        if self._in_doubt and monotonic() > self._holds_until:
            await self._look()
        if self._master is None:
            raise self._no_majority or unreachable("the sentinels have named no master so far")
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

    def is_left(self, place: ServerPlace) -> bool:
        """Whether most sentinels name another master than *place*."""
        return self._master is not None and place != self._master

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
            await client.close_or_cut()

    async def _listen(self, sentinel: ServerPlace) -> None:
        failures = 0
        while True:
            try:
                with translation():
                    async with self._clients[sentinel].pubsub() as announced:
                        await announced.subscribe(_SWITCHED)
                        while True:
                            await announced.get_message(timeout=_LOOK_EVERY_S)
                            failures = 0
                            await self._look()
            except EventsError as error:
                failures += 1
                if failures == 1:
                    _log.warning("sentinel_away", sentinel=str(sentinel), error=str(error))
            await anyio.sleep(_RECONNECT.delay_s(failures))

    async def _look(self) -> None:
        """Ask all sentinels at once, and believe the master that most of them name."""
        asked_at = monotonic()
        async with self._looking:
            if self._looked_at > asked_at:
                return  # somebody has begun to look since, and is done
            begun_at = monotonic()
            named: dict[ServerPlace, ServerPlace | None] = {}
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
            self._looked_at = begun_at
            master = majority(named.values(), len(self._clients))
            before = self._master
            if master is None:
                self._holds_until = monotonic() + _NO_MAJORITY_HOLDS_S
                self._note_no_majority(named, failed)
                return
            self._master, self._no_majority = master, None
            self._in_doubt, self._holds_until = False, monotonic() + _LOOK_HOLDS_S
        if before is not None and before != master:
            _log.warning("master_switched", before=str(before), master=str(master))
            await self._leave(before)

    def _note_no_majority(
        self, named: dict[ServerPlace, ServerPlace | None], failed: dict[ServerPlace, str]
    ) -> None:
        if not failed and not any(named.values()):
            self._no_majority = ServerRefusedError(f"the sentinels know no master {self._name!r}")
            return
        words = [f"{sentinel} names {master or 'none'}" for sentinel, master in named.items()]
        words += [f"{sentinel}: {why}" for sentinel, why in failed.items()]
        sentence = f"most sentinels must name one master: {'; '.join(words)}"
        if self._no_majority is None and self._master is not None:
            _log.warning("no_majority_of_sentinels", kept=str(self._master), error=sentence)
        self._no_majority = unreachable(sentence)

    async def _master_by(self, sentinel: ServerPlace) -> ServerPlace | None:
        """Return the master that *sentinel* names, None if it does not know the name."""
        client = self._clients[sentinel]
        raw = await client.call("SENTINEL GET-MASTER-ADDR-BY-NAME", self._name)
        if raw is None:
            return None
        host, port = reply(raw, tuple[bytes, bytes])
        return ServerPlace(host.decode(), int(port))


def majority(named: Iterable[ServerPlace | None], sentinels: int) -> ServerPlace | None:
    """Return what more than half of all *sentinels* name, None if there is no such master."""
    most = Counter(named).most_common(1)
    return most[0][0] if most and 2 * most[0][1] > sentinels else None
