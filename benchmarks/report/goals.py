"""The goals: what is asked of each figure, beside which other, and what bounds it now."""

from typing import Literal

from msgspec import Struct

from benchmarks.report.run import Run, ratios

Kind = Literal["at least", "at most"]

OURS = "routestream"


class Goal(Struct, frozen=True):
    """One thing that is asked.

    Attributes:
        row: Which row of the table it belongs to.
        case: Where it is measured.
        figure: What is measured there.
        bound: What is asked of it, or of its ratio.
        kind: On which side of the bound it should lie.
        side: Whose figure it is.
        beside: The side that it is a ratio to, None for a figure of its own.
        unit: Of a figure of its own.
        scale: What a figure is multiplied by for that unit.
        bounded_by: What bounds it now, as profiles show; told beside it.
    """

    row: str
    case: str
    figure: str
    bound: float
    kind: Kind
    side: str = OURS
    beside: str | None = None
    unit: str = ""
    scale: float = 1.0
    bounded_by: str = ""

    def asked(self) -> str:
        """Return in words what is asked."""
        if self.beside is None:
            return f"{self.kind} {self.bound:,g}{self.unit}"
        return f"{self.kind} {self.bound:g} times {self.beside}"

    def reached(self, run: Run) -> list[float]:
        """Return the figure of each round, or its ratio; none where it was not measured."""
        own = run.values(self.case, self.side, self.figure)
        if self.beside is None:
            return [value * self.scale for value in own]
        return ratios(own, run.values(self.case, self.beside, self.figure))

    def by_cpu(self, run: Run) -> list[float]:
        """Return a ratio of rates by the CPU time of an event, of process and server together.

        None where that was not measured. It varies less than the clock on a busy machine.
        """
        if self.figure != "per_second" or self.beside is None:
            return []
        own, beside = (
            [
                client + server
                for client, server in zip(
                    run.values(self.case, side, "client_us"),
                    run.values(self.case, side, "server_us"),
                    strict=True,
                )
            ]
            for side in (self.side, self.beside)
        )
        return ratios(beside, own)

    def missed_by(self, value: float) -> float:
        """Return by which share of the bound *value* misses it; 0 for not at all."""
        off = self.bound - value if self.kind == "at least" else value - self.bound
        return max(0.0, off / self.bound)


_APPEND = "append, one process, batches of 100"
_ONE = "append, one at a time, awaited"
_PROJECT = "project, 1,000 endpoints x 4 routes"
_LARGE = "project changes, each on another endpoint"
_HANDLER = "handler group that does nothing"
_LATENCY = "append to `routable()` in another process"
_READER = "reader, x 4 routes, each endpoint asked once"
_START = "start of a command"
_CLIENT_LIBRARY = (
    "the client library's path for one command, about half of the time; then the script, the "
    "encoding and the check of the head"
)
_COLD = (
    "cold memory: at this size a document is evolved, encoded and freed from outside the "
    "processor's cache"
)
_HANDLERS = (
    "two scripts for a batch of tries, one that notes them and one that ends them, and an asyncio "
    "task for each try"
)
_FOLDING = (
    "reading and decoding (6 µs), folding and encoding (5 µs), the write's script (3 µs of the "
    "server); FastStream's handler does nothing of it but read and decode"
)
_DECODING = "each document is decoded: struct, stamps and ids of four routes"
_IMPORTS = "imports: redis.asyncio half of it, then rich, asyncio, msgspec"
_HOPS = "three hops through asyncio and the server; each read compares the group's history, too"

GOALS = (
    Goal(_APPEND, "append", "per_second", 1.0, "at least", beside="plain asyncio"),
    Goal(_APPEND, "append", "per_second", 1.5, "at least", beside="FastStream, pipeline"),
    Goal(_ONE, "append one", "p50_ms", 1.6, "at most", beside="plain", bounded_by=_CLIENT_LIBRARY),
    Goal(_ONE, "append one", "p99_ms", 3, "at most", unit=" ms, p99 at 1,000/s"),
    Goal(
        _PROJECT,
        "project 1,000",
        "per_second",
        1.4,
        "at least",
        beside="FastStream, batch",
        bounded_by=_FOLDING,
    ),
    Goal(
        _PROJECT,
        "project 1,000",
        "per_second",
        2.0,
        "at least",
        beside="plain",
        bounded_by="the same; the plain loop writes only what it was told, and checks nothing",
    ),
    Goal(
        _LARGE, "project 20,000", "per_second", 1.8, "at least", beside="6d327f0", bounded_by=_COLD
    ),
    Goal(
        _LARGE, "project 100,000", "per_second", 1.6, "at least", beside="6d327f0", bounded_by=_COLD
    ),
    Goal(
        _LARGE,
        "project, two partitions",
        "per_second",
        50_000,
        "at least",
        unit="/s, two processes",
        bounded_by="two cores: two projectors and the server share them",
    ),
    Goal(_HANDLER, "handler", "per_second", 20_000, "at least", unit="/s", bounded_by=_HANDLERS),
    Goal(
        _HANDLER, "handler", "per_second", 7, "at least", beside="FastStream", bounded_by=_HANDLERS
    ),
    Goal(
        _HANDLER,
        "handler",
        "per_second",
        4_000,
        "at least",
        side="routestream, one endpoint",
        unit="/s, one endpoint",
        bounded_by="the two scripts, one after the other: the tries of one endpoint do not overlap",
    ),
    Goal(
        "webhook to a server that answers in 5 ms",
        "webhook",
        "per_second",
        0.9,
        "at least",
        beside="aiohttp",
        bounded_by=_HANDLERS,
    ),
    Goal(
        _LATENCY,
        "latency 1,000/s",
        "p50_ms",
        1.2,
        "at most",
        unit=" ms, p50 at 1,000/s",
        bounded_by=_HOPS,
    ),
    Goal(
        _LATENCY,
        "latency 1,000/s",
        "p99_ms",
        4,
        "at most",
        unit=" ms, p99 at 1,000/s",
        bounded_by=_HOPS,
    ),
    Goal(
        _LATENCY,
        "latency 5,000/s",
        "p50_ms",
        3,
        "at most",
        unit=" ms, p50 at 5,000/s",
        bounded_by=_HOPS,
    ),
    Goal(
        _LATENCY,
        "latency 5,000/s",
        "p99_ms",
        15,
        "at most",
        unit=" ms, p99 at 5,000/s",
        bounded_by=_HOPS,
    ),
    Goal("`routable(endpoint_id)`", "reader 10,000", "routable_ns", 150, "at most", unit=" ns"),
    Goal("weighted choice", "reader 10,000", "choose_ns", 1_000, "at most", unit=" ns"),
    Goal(
        _READER,
        "reader 10,000",
        "start_s",
        0.2,
        "at most",
        unit=" s, 10,000 endpoints",
        bounded_by=_DECODING,
    ),
    Goal(
        _READER,
        "reader 10,000",
        "kb_an_endpoint",
        3.0,
        "at most",
        unit=" KB an endpoint, of 10,000",
    ),
    Goal(
        _READER,
        "reader 100,000",
        "start_s",
        2,
        "at most",
        unit=" s, 100,000 endpoints",
        bounded_by=_DECODING,
    ),
    Goal(
        _READER,
        "reader 100,000",
        "kb_an_endpoint",
        3.0,
        "at most",
        unit=" KB an endpoint, of 100,000",
    ),
    Goal(
        "projector's memory, 100,000 endpoints",
        "project 100,000",
        "memory_mb",
        400,
        "at most",
        unit=" MB",
    ),
    Goal(
        "growth: CPU time of an event, 1,000,000 entries beside 10,000",
        "growth",
        "cpu_us",
        1.1,
        "at most",
        side="1000000",
        beside="10000",
    ),
    Goal(
        "server memory for an event",
        "server memory",
        "bytes",
        1.3,
        "at most",
        beside="plain XADD",
        bounded_by="what an entry has beside its payload: name, version, event id and source",
    ),
    Goal(_START, "start", "help_ms", 80, "at most", unit=" ms, `--help`", bounded_by=_IMPORTS),
    Goal(
        _START,
        "start",
        "few_ms",
        280,
        "at most",
        unit=" ms, `endpoints ls`, 10 endpoints",
        bounded_by=_IMPORTS,
    ),
    Goal(
        _START,
        "start",
        "first_page_ms",
        400,
        "at most",
        unit=" ms, its first page, 20,000",
        bounded_by=_IMPORTS,
    ),
)
