"""Notes which processes run, where, and how many shall, for whoever looks at the deployment."""

import os
import socket
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager

import anyio
import msgspec

from events.entry.age import span
from events.errors import EventsError
from events.log.keys import Keys
from events.log.log import EventLog
from events.server.reply import Ask, reply, reply_or_none, text
from events.structured_logger import structured_logger

SIGN_EVERY_S = 5.0
"""Seconds between two signs of life of a process."""

DEAD_S = 3 * SIGN_EVERY_S
"""Seconds without a sign of life after which a process that did not leave counts as dead."""

FORGOTTEN_S = 3_600.0
"""Seconds after which a dead process is forgotten."""

CHECKERS = "checkers"
"""The group of the health checkers among the processes."""

PUBLISHED = "publish:"
"""How the groups of the publishers' processes begin; then comes the publisher's name."""

_LEAVE_TIMEOUT_S = 2.0
_PROCESSES_MAX = 10_000

_log = structured_logger(__name__)


class ProcessFacts(msgspec.Struct, frozen=True):
    """What a process says of itself.

    Attributes:
        host: Its host.
        pid: Its process id there.
        supervisor: The process id of its supervisor, None where it runs alone.
        wanted: How many processes its supervisor is to keep running for the group; 1 alone.
        metrics: Where it serves its metrics, None for nowhere.
        connection: The server's id of a connection that is open while it lives, None for none.
    """

    host: str
    pid: int
    supervisor: int | None = None
    wanted: int = 1
    metrics: str | None = None
    connection: int | None = None


class KnownProcess(msgspec.Struct, frozen=True):
    """One process: its name, which is its consumer's, its group, its facts, its last sign's age."""

    name: str
    group: str
    facts: ProcessFacts
    silent_s: float

    @property
    def is_alive(self) -> bool:
        """Whether it gave a sign of life lately; one from the future says nothing."""
        return abs(self.silent_s) < DEAD_S


def own_facts(*, wanted: int | None, metrics: str | None) -> ProcessFacts:
    """Return the facts of this process; *wanted* is None where it has no supervisor."""
    return ProcessFacts(
        host=socket.gethostname(),
        pid=os.getpid(),
        supervisor=None if wanted is None else os.getppid(),
        wanted=wanted or 1,
        metrics=metrics,
    )


@asynccontextmanager
async def registered(
    log: EventLog, group: str, name: str, facts: ProcessFacts
) -> AsyncIterator[None]:
    """Note during the block that the process *name* of *group* runs."""
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(_give_signs, log, group, name, facts)
        try:
            yield
        finally:
            tasks.cancel_scope.cancel()
            with anyio.move_on_after(_LEAVE_TIMEOUT_S, shield=True):
                await sign_off(log, name)


async def _give_signs(log: EventLog, group: str, name: str, facts: ProcessFacts) -> None:
    is_heard = True
    while True:
        try:
            await give_sign(log, group, name, facts)
            is_heard = True
        except EventsError as error:
            if is_heard:
                _log.warning("process_not_registered", name=name, error=str(error))
            is_heard = False
        await anyio.sleep(SIGN_EVERY_S)


async def give_sign(
    log: EventLog, group: str, name: str, facts: ProcessFacts
) -> list[KnownProcess]:
    """Note that the process *name* of *group* lives; return what is known of the group."""
    limits_ms = [round(DEAD_S * 1_000), round(FORGOTTEN_S * 1_000)]
    script = log.server.client.script("consumers.processes", "register")
    arguments = [name, group, msgspec.json.encode(facts), *limits_ms]
    raw = await script([log.keys.processes], arguments)
    now_ms, held = reply(raw, tuple[int, list[bytes]])
    known = (_known(*pair, now_ms / 1_000) for pair in zip(held[::2], held[1::2], strict=True))
    return [one for one in known if one is not None]


async def sign_off(log: EventLog, name: str) -> None:
    """Note that the process *name* ends by itself."""
    try:
        await log.server.client.call("HDEL", log.keys.processes, name)
    except EventsError as error:
        _log.warning("process_not_unregistered", name=name, error=str(error))


async def read_processes(ask: Ask, keys: Keys, now_s: float) -> list[KnownProcess]:
    """Return the processes that are known, none where the server refuses to tell.

    What cannot be read is left out: other programs may write there.

    Args:
        ask: Sends a command.
        keys: The keys of the deployment.
        now_s: The server's clock, in seconds since 1970.
    """
    held = reply_or_none(await ask("HGETALL", keys.processes), dict[bytes, bytes]) or {}
    known = (_known(name, value, now_s) for name, value in list(held.items())[:_PROCESSES_MAX])
    return sorted((one for one in known if one is not None), key=lambda one: one.name)


def _known(name: bytes, value: bytes, now_s: float) -> KnownProcess | None:
    at, _, rest = value.partition(b"\n")
    group, _, facts = rest.partition(b"\n")
    try:
        said = msgspec.json.decode(facts, type=ProcessFacts)
        silent_s = now_s - int(at) / 1_000
    except (msgspec.DecodeError, ValueError, RecursionError):
        return None
    return KnownProcess(text(name), text(group), said, silent_s)


class Fleet(msgspec.Struct, frozen=True):
    """The processes of one group.

    Attributes:
        alive: Those that gave a sign lately.
        dead: Those that did not, and did not leave; the longest silent first.
        wanted: How many there are to be.
    """

    alive: Sequence[KnownProcess]
    dead: Sequence[KnownProcess]
    wanted: int


def fleets_of(processes: Iterable[KnownProcess]) -> Mapping[str, Fleet]:
    """Return the processes of each group, by the group."""
    by_group: dict[str, list[KnownProcess]] = {}
    for process in processes:
        by_group.setdefault(process.group, []).append(process)
    return {group: _fleet(members) for group, members in by_group.items()}


def _fleet(members: Sequence[KnownProcess]) -> Fleet:
    alone = [one for one in members if one.facts.supervisor is None]
    supervised: dict[tuple[str, int], list[KnownProcess]] = {}
    for one in members:
        if one.facts.supervisor is not None:
            supervised.setdefault((one.facts.host, one.facts.supervisor), []).append(one)
    wanted = sum(max(len(own), *(one.facts.wanted for one in own)) for own in supervised.values())
    dead = sorted((one for one in members if not one.is_alive), key=lambda one: -one.silent_s)
    alive = [one for one in members if one.is_alive]
    return Fleet(alive, dead, len(alone) + wanted)


def fleet_in_words(fleet: Fleet) -> str | None:
    """Return how many processes run of those that there are to be; None where none is known."""
    if not fleet.wanted:
        return None
    words = f"{len(fleet.alive)} of {fleet.wanted} run"
    if not fleet.dead:
        return words
    last = fleet.dead[-1]
    return f"{words}; {last.facts.pid} on {last.facts.host} is silent for {span(last.silent_s)}"
