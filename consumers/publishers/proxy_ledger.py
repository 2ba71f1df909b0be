"""Keeps what each proxy has acknowledged, for `routestream proxies ls` and the metrics."""

from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager, suppress
from time import monotonic, time
from typing import Annotated, Literal

import anyio
import msgspec
from anyio.abc import TaskStatus
from msgspec import Meta
from msgspec.structs import replace

from consumers.publishers.table_snapshot import Revision
from events.background import in_background
from events.errors import ServerRefusedError, ServerUnavailableError
from events.log.keys import Keys
from events.log.log import EventLog
from events.server.reply import Ask, reply_or_none
from events.structured_logger import structured_logger

NOTED_EVERY_S = 5.0
"""Seconds between two signs of life of a proxy's publisher; a change is noted within a second."""

SILENT_S = 3 * NOTED_EVERY_S
"""Seconds without a sign after which what a publisher noted last may be old."""

FORGOTTEN_S = 86_400.0
"""Seconds without a sign after which a proxy is forgotten."""

REFUSALS_MAX = 20
"""Refusals that are noted of a proxy; the number of all of them is, too."""

_CHANGE_NOTED_WITHIN_S = 0.5
_FORGET_EVERY_S = 600.0
_PROXIES_MAX = 10_000

_log = structured_logger(__name__)


Condition = Literal["up to date", "behind", "refused", "unreachable", "silent"]


class Refusal(msgspec.Struct, frozen=True):
    """What a proxy, or the encoder for it, refused: of which endpoint or route, and why."""

    subject: Annotated[str, Meta(max_length=256)]
    why: Annotated[str, Meta(max_length=1_024)]


class ProxyState(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of one proxy; times are seconds since 1970.

    Attributes:
        publisher: Which publisher feeds it.
        proxy: Its name: an address, or what it calls itself.
        identity: The log of the revisions.
        sent: The newest revision that it was given, None for none.
        sent_at: When.
        acknowledged: The newest revision of which it is proved that it has it, None for none.
        acknowledged_at: When that was last proved.
        refusals: What it refused of the newest revision, the first `REFUSALS_MAX` of them.
        refused: How many there are.
        problem: Why it cannot be fed now, as a sentence; None while it can.
        noted_at: The last sign of life of its publisher.
    """

    publisher: str
    proxy: str
    identity: str = ""
    sent: str | None = None
    sent_at: float | None = None
    acknowledged: str | None = None
    acknowledged_at: float | None = None
    refusals: tuple[Refusal, ...] = ()
    refused: int = 0
    problem: str | None = None
    noted_at: float = 0.0

    @property
    def is_behind(self) -> bool:
        """Whether it was given a revision that it has not acknowledged."""
        return self.sent is not None and self.sent != self.acknowledged

    def condition(self, now: float) -> Condition:
        """Return in a word how the proxy is at *now*."""
        if now - self.noted_at > SILENT_S:
            return "silent"
        if self.problem is not None:
            return "unreachable"
        if self.refused:
            return "refused"
        return "behind" if self.is_behind or self.acknowledged is None else "up to date"

    @property
    def why(self) -> str | None:
        """Why it cannot be fed, or what it refused; None where neither is so."""
        first = next(iter(self.refusals), None)
        if self.problem is not None or first is None:
            return self.problem
        more = f", and {self.refused - 1} more" if self.refused > 1 else ""
        return f"{first.subject}: {first.why}{more}"


class ProxyNotes:
    """Notes what happens to one proxy."""

    def __init__(self, state: ProxyState, on_change: Callable[[ProxyState], None]) -> None:
        self._state = state
        self._on_change = on_change

    @property
    def state(self) -> ProxyState:
        """What is known of the proxy."""
        return self._state

    def sent(self, revision: Revision) -> None:
        """Note that the proxy was given *revision*; the same one again keeps its time."""
        if self._state.sent != str(revision):
            self._change(sent=str(revision), sent_at=time())

    def acknowledged(self, revision: Revision, refusals: Iterable[Refusal] = ()) -> None:
        """Note that the proxy has *revision*, apart from what *refusals* name."""
        named = tuple(refusals)
        self._tell(named)
        self._change(
            acknowledged=str(revision),
            acknowledged_at=time(),
            refusals=named[:REFUSALS_MAX],
            refused=len(named),
            problem=None,
        )

    def refused(self, refusals: Iterable[Refusal]) -> None:
        """Note that the proxy did not take the revision that it was given last, and why."""
        named = tuple(refusals)
        self._tell(named)
        self._change(refusals=named[:REFUSALS_MAX], refused=len(named))

    def unreachable(self, why: str) -> None:
        """Note that the proxy cannot be fed now."""
        if self._state.problem != why:
            _log.warning("proxy_unreachable", proxy=self._state.proxy, why=why)
        self._change(problem=why)

    def _tell(self, refusals: Sequence[Refusal]) -> None:
        for refusal in refusals:
            if refusal not in self._state.refusals:
                _log.warning(
                    "proxy_refused",
                    proxy=self._state.proxy,
                    subject=refusal.subject,
                    why=refusal.why,
                )

    def _change(self, **changes: object) -> None:
        self._state = replace(self._state, **changes)
        self._on_change(self._state)


class ProxyLedger:
    """The proxies of one publisher, written down in Redis."""

    def __init__(self, log: EventLog, publisher: str) -> None:
        self._server, self._key = log.server, log.keys.proxies
        self._identity = log.layout.identity or ""
        self._publisher = publisher
        self._notes: dict[str, ProxyNotes] = {}
        self._changed = anyio.Event()

    def proxy(self, name: str) -> ProxyNotes:
        """Return the notes of the proxy *name*."""
        if name not in self._notes:
            state = ProxyState(publisher=self._publisher, proxy=name, identity=self._identity)
            self._notes[name] = ProxyNotes(state, lambda _: self._changed.set())
            self._changed.set()
        return self._notes[name]

    def forget(self, name: str) -> None:
        """Stop giving signs for a proxy that has left."""
        self._notes.pop(name, None)

    @property
    def states(self) -> Sequence[ProxyState]:
        """What is known of each proxy."""
        return [notes.state for notes in self._notes.values()]

    async def run(self, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        """Write down what changed, and give signs of life, until cancelled."""
        task_status.started()
        forget_at = monotonic()
        while True:
            self._changed = anyio.Event()
            with suppress(ServerUnavailableError, ServerRefusedError):
                await self._write()
                if monotonic() >= forget_at:
                    await self._forget_silent()
                    forget_at = monotonic() + _FORGET_EVERY_S
            await anyio.sleep(_CHANGE_NOTED_WITHIN_S)
            with anyio.move_on_after(NOTED_EVERY_S - _CHANGE_NOTED_WITHIN_S):
                await self._changed.wait()

    async def _write(self) -> None:
        now = time()
        fields: list[str | bytes] = []
        for state in self.states:
            noted = replace(state, noted_at=now)
            fields += [f"{self._publisher} {state.proxy}", msgspec.json.encode(noted)]
        if fields:
            await self._server.client.call("HSET", self._key, *fields)

    async def _forget_silent(self) -> None:
        """Drop the notes of proxies whose publisher gave no sign for `FORGOTTEN_S`."""
        now = time()
        forgotten = [
            f"{one.publisher} {one.proxy}"
            for one in await _read(self._server.client.call, self._key)
            if now - one.noted_at > FORGOTTEN_S
        ]
        if forgotten:
            await self._server.client.call("HDEL", self._key, *forgotten)


@asynccontextmanager
async def open_ledger(log: EventLog, publisher: str) -> AsyncIterator[ProxyLedger]:
    """Write down during the block what the publisher's proxies acknowledge."""
    ledger = ProxyLedger(log, publisher)
    async with in_background(ledger.run):
        yield ledger


async def read_proxies(log: EventLog) -> list[ProxyState]:
    """Return what is known of each proxy, by publisher and name; what is damaged is left out."""
    return await proxies_of(log.server.client.call, log.keys)


async def proxies_of(ask: Ask, keys: Keys) -> list[ProxyState]:
    """Return the proxies as `read_proxies` does; none where the server refuses to tell."""
    found = await _read(ask, keys.proxies)
    return sorted(found, key=lambda one: (one.publisher, one.proxy))


async def _read(ask: Ask, key: str) -> list[ProxyState]:
    held = reply_or_none(await ask("HGETALL", key), dict[bytes, bytes]) or {}
    found = []
    for value in list(held.values())[:_PROXIES_MAX]:
        with suppress(msgspec.DecodeError, RecursionError):
            found.append(msgspec.json.decode(value, type=ProxyState))
    return found
