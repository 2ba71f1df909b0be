"""The cases: what is measured, in which rounds, and how much of it."""

from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import TypeVar
from uuid import uuid4

import anyio
from msgspec import Struct
from msgspec.structs import asdict

from benchmarks import groups, growth, handlers, latency, limits, one_reader, proxied, replay, start
from benchmarks.program import ROOT, FailedProgramError, Figures, figures_of, peer, python
from benchmarks.warm_projection import BEFORE, Backlog, filled, projected
from consumers.processes.embedded import embedded_server
from events.errors import EventsError

T = TypeVar("T")

Side = Callable[[str], Awaitable[Figures]]
"""Measures one side on the server of this URL."""

Sides = dict[str, Figures]


class Case(Struct, frozen=True):
    """Something that is measured in alternating rounds of its sides.

    Attributes:
        name: How goals and results call it.
        sides: Each is measured on a server of its own, in every other round in reverse order.
        rounds: How often.
    """

    name: str
    sides: dict[str, Side]
    rounds: int


class Joint(Struct, frozen=True):
    """A case that measures its sides together, on one server."""

    name: str
    measure: Callable[[str], Awaitable[Sides]]
    rounds: int


class Amount(Struct, frozen=True):
    """How much of everything is measured.

    Attributes:
        divisor: What counts of events are divided by.
        rounds: How often each case is measured.
        tables: Endpoints of the larger tables.
        lengths: Entries of a log that grows.
        timeout_s: The longest time for one side.
    """

    divisor: int
    rounds: int
    tables: tuple[int, ...]
    lengths: tuple[int, ...]
    timeout_s: float

    def of(self, events: int) -> int:
        """Return how many of *events* are measured."""
        return max(200, events // self.divisor)


FULL = Amount(1, 3, (20_000, 100_000), (10_000, 100_000, 1_000_000), 300.0)
SHORT = Amount(40, 1, (2_000,), (1_000, 3_000), 40.0)


async def measure_round(case: Case | Joint, number: int, timeout_s: float) -> Sides:
    """Measure all sides of a case once.

    Raises:
        FailedProgramError: One of them failed twice, or took longer than *timeout_s*.
    """
    if isinstance(case, Joint):
        return await _on_server(case.name, case.measure, timeout_s)
    names = list(case.sides) if number % 2 == 0 else list(reversed(case.sides))
    return {name: await _on_server(name, case.sides[name], timeout_s) for name in names}


async def _on_server(name: str, measure: Callable[[str], Awaitable[T]], timeout_s: float) -> T:
    """Measure on a server that nobody has used; once more where that fails."""
    for is_last in (False, True):
        try:
            with embedded_server() as server, anyio.fail_after(timeout_s):
                return await measure(server.url)
        except (FailedProgramError, TimeoutError, EventsError) as error:
            if is_last:
                raise FailedProgramError(f"{name}: {str(error) or 'no end in time'}") from error
    raise AssertionError("unreachable")


def cases(amount: Amount, before: Path | None, *, with_peers: bool) -> list[Case | Joint]:
    """Return all cases; *before* is the tree of an older commit, None for leaving that out."""
    made = [
        *_append(amount, with_peers=with_peers),
        *_project(amount, before, with_peers=with_peers),
        *_handlers(amount, with_peers=with_peers),
        *_latency(amount),
        *_tables(amount),
        *_growth(amount),
    ]
    if amount.divisor == 1:
        made.append(Joint("groups", groups.measured, 1))  # some of it is waiting
    return [case for case in made if isinstance(case, Joint) or case.sides]


def _append(amount: Amount, *, with_peers: bool) -> list[Case | Joint]:
    count, few = amount.of(20_000), amount.of(2_000)
    batches: dict[str, Side] = {
        "routestream": partial(_role, "append", "batches", count),
        "plain asyncio": partial(_role, "peers.plain_peer", "add-asyncio", count),
        "plain": partial(_role, "peers.plain_peer", "add", count),
    }
    if with_peers:
        batches["FastStream, pipeline"] = partial(
            _peer, "faststream_peer", "publish-pipelined", count
        )
        batches["FastStream"] = partial(_peer, "faststream_peer", "publish", few)
    one_by_one: dict[str, Side] = {
        "routestream": partial(_role, "append", "one-by-one", few),
        "plain": partial(_role, "append", "plain-one-by-one", few),
    }
    server = partial(limits.server_adds, count=amount.of(400_000))
    return [
        Case("append", batches, amount.rounds),
        Case("append one", one_by_one, amount.rounds),
        Joint("server", server, amount.rounds),
    ]


def _project(amount: Amount, before: Path | None, *, with_peers: bool) -> list[Case | Joint]:
    count = amount.of(60_000)
    small: dict[str, Side] = {
        "routestream": partial(projected, Backlog(1_000, count, "statuses")),
        "plain": partial(_plain_projected, count),
        "plain read": partial(_role, "peers.plain_peer", "read", count),
        "plain read, asyncio": partial(_role, "peers.plain_peer", "read-asyncio", count),
    }
    if with_peers:
        small["FastStream, batch"] = partial(_peer, "faststream_peer", "subscribe-batch", count)
    made: list[Case | Joint] = [Case("project 1,000", small, amount.rounds)]
    for endpoints in amount.tables:
        backlog = Backlog(endpoints, max(count, amount.of(endpoints)))
        large: dict[str, Side] = {"routestream": partial(projected, backlog)}
        if before:
            large[BEFORE] = partial(projected, backlog, tree=before)
        made.append(Case(f"project {endpoints:,}", large, min(amount.rounds, 2)))
    two = Backlog(amount.tables[0], count, partitions=2)
    sides: dict[str, Side] = {"routestream": partial(projected, two)}
    return [*made, Case("project, two partitions", sides, amount.rounds)]


def _handlers(amount: Amount, *, with_peers: bool) -> list[Case | Joint]:
    count, few = amount.of(20_000), amount.of(4_000)
    nothing: dict[str, Side] = {
        "routestream": partial(_role, "handlers", "nothing", count, "1000"),
        "routestream, one endpoint": partial(_role, "handlers", "nothing", few, "1"),
    }
    if with_peers:
        nothing["FastStream"] = partial(_peer, "faststream_peer", "subscribe", few)
        nothing["taskiq"] = partial(_peer, "taskiq_peer", "work", few)
        nothing["docket"] = partial(_peer, "docket_peer", "work", few)
    webhook: dict[str, Side] = {
        "routestream": partial(handlers.posted, "webhook", count=few),
        "aiohttp": partial(handlers.posted, "aiohttp", count=few),
    }
    return [
        Case("handler", nothing, amount.rounds),
        Case("webhook", webhook, amount.rounds),
    ]


def _latency(amount: Amount) -> list[Case | Joint]:
    async def ours(url: str, per_second: int, events: int) -> Figures:
        return asdict(await latency.ours(url, per_second, events))

    async def plain(url: str, per_second: int, events: int) -> Figures:
        return asdict(await latency.plain(url, per_second, events))

    made: list[Case | Joint] = []
    for per_second in (1_000, 5_000):
        count = amount.of(4 * per_second)
        sides: dict[str, Side] = {
            "routestream": partial(ours, per_second=per_second, events=count),
            "plain": partial(plain, per_second=per_second, events=count),
        }
        made.append(Case(f"latency {per_second:,}/s", sides, amount.rounds))
    return made


def _tables(amount: Amount) -> list[Case | Joint]:
    sizes = (max(200, 10_000 // amount.divisor), amount.tables[-1])
    made: list[Case | Joint] = [
        Case(f"reader {size:,}", {"routestream": partial(one_reader.measured, count=size)}, 1)
        for size in sizes
    ]
    many, requests = amount.tables[0], amount.of(4_000)
    proxy: dict[str, Side] = {
        "routestream": partial(proxied.ours, count=requests),
        "fixed list": partial(proxied.plain, count=requests),
    }
    return [
        *made,
        Case("start", {"routestream": partial(start.measured, many=many)}, amount.rounds),
        Case("proxy", proxy, min(amount.rounds, 2)),
    ]


def _growth(amount: Amount) -> list[Case | Joint]:
    count = amount.of(20_000)
    cost = partial(growth.cost_at, lengths=amount.lengths, events=count)
    memory = partial(growth.server_memory, count=amount.of(100_000))
    fold = partial(replay.compared, events=amount.lengths[-1])
    return [
        Joint("growth", cost, 1),
        Joint("server memory", memory, 1),
        Joint("rebuild", fold, 1),
    ]


async def _role(module: str, role: str, count: int, *last: str) -> Figures:
    """Run a program of ours, or a peer that needs no environment of its own; the URL is last."""
    *more, url = last
    place = (url, "bench", str(count)) if module.startswith("peers") else (url, str(count))
    return await figures_of(*python(f"benchmarks.{module}", role, *place, *more))


async def _peer(module: str, role: str, count: int, url: str) -> Figures:
    return await peer(module, role, url, "bench", str(count))


async def _plain_projected(count: int, url: str) -> Figures:
    namespace = f"bench-{uuid4()}"
    await filled(url, namespace, "statuses", Backlog(1_000, count), ROOT)
    return await figures_of(*python("benchmarks.project", url, namespace))
