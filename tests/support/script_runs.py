"""A run of each Lua script: its keys and arguments, on a partition where it has something to do."""

from collections.abc import Sequence
from typing import NamedTuple

from events.log.keys import Keys

_GROUP, _CONSUMER, _OWNER = "group", "consumer", "1 owner"
_ENDPOINT = "6f1b6c1e-52a0-4e0c-9a0a-0d9e3a3c2f11"
_OPERATION = (1_000, "group", _GROUP)

Word = str | int


class Run(NamedTuple):
    """One run: the script's package and name, its keys, its arguments."""

    package: str
    name: str
    keys: Sequence[str]
    args: Sequence[Word]


def partition_with_work(keys: Keys) -> list[tuple[Word, ...]]:
    """Return the commands that make the partition: four entries, two of them pending."""
    events, dead = keys.events(0), keys.dead(0, _GROUP)
    table = "route-table"
    return [
        *(("XADD", events, f"{n}-1", "name", "x") for n in (0, 1, 2, 3, 4)),
        ("XGROUP", "CREATE", events, _GROUP, "0-1"),
        ("XREADGROUP", "GROUP", _GROUP, _CONSUMER, "COUNT", 2, "STREAMS", events, ">"),
        ("XREADGROUP", "GROUP", _GROUP, "other", "COUNT", 1, "STREAMS", events, ">"),
        ("XACK", events, _GROUP, "3-1"),
        ("HSET", keys.positions(0), f"group:{_GROUP}", "0-2", "archive", "4-1"),
        ("HSET", keys.positions(0), "snapshot:route-table", "9-1"),
        ("HSET", keys.identity(0), "identity", "identity", "missing:other", "{}"),
        ("HSET", keys.errors(0, _GROUP), "1-1", "failed"),
        ("HSET", keys.tries(0, _GROUP), "1-1", "1 1 0", "3-1", "1 1 0"),
        ("SADD", keys.hand(0, _GROUP), "1-1"),
        ("HSET", keys.aside(0, _GROUP), "sorted", "9-9", _ENDPOINT, "2-1"),
        ("HSET", keys.requeues(0, _GROUP), "1-1", "1 failed"),
        ("HSET", keys.lost(0), _GROUP, 1),
        ("SET", keys.delivered(0, _GROUP), "1-1 0 1 1 -"),
        ("HSET", keys.event_ids(0), "an old id", "0-0", "counted", "3-1"),
        ("XADD", dead, "9-1", "id", "3-1"),
        ("SET", keys.fence(0, _GROUP), _OWNER),
        ("SET", keys.lease(0, _GROUP), _OWNER, "PX", 60_000),
        ("SET", keys.live(0, table), 1),
        ("HSET", keys.documents(0, table, 1), _ENDPOINT, '{"revision":1,"x":1}'),
        ("HSET", keys.documents(0, table, 2), _ENDPOINT, '{"revision":1,"x":2}'),
        ("HSET", keys.generations(0), f"{table}:documents", 1, f"{table}:kept", 0),
        ("ZADD", keys.checkers, 1, "a-dead-checker"),
        ("HSET", keys.requests(0), "old", "1 1"),
        ("HSET", keys.snapshots(0), "route-table\nold", "1\n9-1\n{}"),
        ("HSET", keys.processes, "old", f"1\n{_GROUP}\n{{}}"),
    ]


def runs(keys: Keys) -> list[Run]:
    """Return a run of every script that writes; some have several ways to go."""
    return [
        *_runs_of_the_log(keys),
        *_runs_of_groups(keys),
        *_runs_of_owners(keys),
        *_runs_by_hand(keys),
        *_runs_of_read_models(keys),
        *_runs_of_checkers(keys),
        *_runs_of_requests(keys),
        *_runs_of_processes(keys),
        *_runs_of_snapshots(keys),
    ]


def _runs_of_requests(keys: Keys) -> list[Run]:
    reported = [keys.requests(0), keys.failed_requests(0)]
    limits = (10_000, 30, 100, 10)
    return [
        Run("projections.requests", "report_requests", reported, [*limits, "endpoint:route", 1, 2])
    ]


def _runs_of_processes(keys: Keys) -> list[Run]:
    limits = (15_000, 3_600_000)
    return [
        Run("consumers.processes", "register", [keys.processes], ["new", _GROUP, "{}", *limits]),
        Run("consumers.processes", "register", [keys.processes], ["old", _GROUP, "{}", *limits]),
    ]


def _runs_of_snapshots(keys: Keys) -> list[Run]:
    limits = (20_000, 3_600_000)
    script = ("events.retention", "note_snapshot", [keys.positions(0), keys.snapshots(0)])
    return [
        Run(*script, ["route-table", process, at, "{}", *limits])
        for process, at in (("new", "8-1"), ("new", ""), ("", "9-9"))
    ]


def _runs_of_checkers(keys: Keys) -> list[Run]:
    probed: list[Word] = ["endpoint:route", 100, '{"duration_ms":1.0}']
    reported = [keys.probed(0), keys.probe_results(0)]
    return [
        Run("producers.checker", "heartbeat", [keys.checkers], ["checker", 10_000, 86_400_000]),
        Run("producers.checker", "leave", [keys.checkers], ["a-dead-checker", 10_000]),
        Run("producers.checker", "report_probes", reported, [120_000, 100, 600_000, *probed]),
    ]


def _runs_of_the_log(keys: Keys) -> list[Run]:
    events, positions = keys.events(0), keys.positions(0)
    fields = (_ENDPOINT, "an id", 2, "name", "x")
    appended = keys.of_append(0)
    new = [word for n in (1, 2) for word in (_ENDPOINT, f"id {n}", "name", "1", "{}")]
    return [
        Run("events.log", "append", appended, ["", "source", "", 2, *new]),
        Run("producers.endpoints", "claim_name", [keys.names], ["chat", _ENDPOINT, ""]),
        Run("events.move", "seal", [keys.seal(0)], ["another", "seal", 30_000]),
        Run("events.log", "head", appended, [_ENDPOINT]),
        Run("events.log", "keep_layout", [keys.layout], [1, "identity", "another"]),
        Run("events.log", "accept_loss", [keys.identity(0), positions, events], ["new", "today"]),
        Run("events.log", "advance", [positions], ["archive", "5-1"]),
        Run("events.retention", "trim", [events, positions], ["2-1", 100, 0]),
        Run("events.retention", "forget", appended[::2], ["0", 10]),
        Run(
            *("events.transfer", "copy", [*appended, keys.copied(0)]),
            ["4-1", 1, 1, 2, "7-1", "5-1", *fields],
        ),
    ]


def _runs_of_groups(keys: Keys) -> list[Run]:
    package, events, holder = "consumers.runtime", keys.events(0), f"group:{_GROUP}"
    positions, errors = keys.positions(0), keys.errors(0, _GROUP)
    dead = [events, keys.dead(0, _GROUP), errors, positions]
    noted = [keys.losses(0), keys.lost(0)]
    lost: list[Word] = ["10", _GROUP, "trimmed", "1-1", "2-1", 2, "least", "group", "today"]
    delivered = keys.delivered(0, _GROUP)
    look: list[Word] = [_GROUP, holder, "new", "", 10, "today"]
    return [
        Run(package, "acknowledge", [events, errors, positions], [_GROUP, holder, "1-1"]),
        Run(package, "begin", [events, positions, delivered], ["new", "group:new", "0-0"]),
        Run(package, "dead_letter", dead, [_GROUP, holder, "1-1", "reason", "failed"]),
        Run(package, "hand_back", [events], [_GROUP, _CONSUMER, 9_000, "-", 10]),
        Run(package, "join", [events], [_GROUP, "new"]),
        Run(package, "keep_errors", [events, errors], [_GROUP, "2-1", "failed"]),
        Run(package, "leave", [events], [_GROUP, "other"]),
        Run(package, "look", [events, positions, delivered, *noted], look),
        Run(package, "lose", noted, lost),
        Run(package, "prune", [events], [_GROUP, 0]),
        Run(package, "stand", [events, positions], [_GROUP, holder]),
    ]


def _runs_of_owners(keys: Keys) -> list[Run]:
    package, events, fence = "consumers.handlers", keys.events(0), keys.fence(0, _GROUP)
    lease, handover = keys.lease(0, _GROUP), keys.handover(0, _GROUP)
    errors, positions = keys.errors(0, _GROUP), keys.positions(0)
    owned = [fence, events, keys.tries(0, _GROUP), errors, positions]
    owned += (keys.hand(0, _GROUP), keys.aside(0, _GROUP))
    end = [_OWNER, _GROUP, f"group:{_GROUP}", "1-1"]
    round_: list[Word] = [_OWNER, _GROUP, f"group:{_GROUP}", _CONSUMER]
    dead = [*owned, keys.dead(0, _GROUP)]
    tried: list[Word] = [_OWNER, _GROUP, _CONSUMER]
    hands: list[Word] = [_OWNER, "4-1", 1, "2-1", 1, "1-1", _ENDPOINT, "", "another", "3-1"]
    looked = [keys.delivered(0, _GROUP), keys.losses(0), keys.lost(0)]
    read: list[Word] = [_OWNER, 10, _GROUP, f"group:{_GROUP}", _CONSUMER, "", 10, "today"]
    free = [keys.lease(0, "free"), fence, handover, events]
    return [
        Run(package, "hand_over_lease", [lease, handover], ["owner"]),
        Run(package, "owned_dead_letter", dead, [*end, "reason", "failed"]),
        Run(package, "owned_hands", owned, hands),
        Run(package, "owned_pending", owned, [_OWNER, _GROUP, "new", 10, "-", "+"]),
        Run(package, "owned_read", [*owned, *looked], read),
        Run(package, "owned_round", owned, [*round_, 0, "1-1", 2, 1, 100, "failed"]),
        Run(package, "owned_round", owned, [*round_, 1, "1-1", "3-1", 2, 1, 100, ""]),
        Run(package, "renew_lease", [lease, fence, events], [_OWNER, 9_000, *tried[1:], "1-1"]),
        Run(package, "take_lease", free, ["new", 9_000, _GROUP, "new"]),
        Run(package, "take_lease", [lease, *free[1:]], ["new", 9_000, _GROUP, "new"]),
    ]


def _runs_by_hand(keys: Keys) -> list[Run]:
    package, events, holder = "consumers.groups", keys.events(0), f"group:{_GROUP}"
    positions, operations, dead = keys.positions(0), keys.operations(0), keys.dead(0, _GROUP)
    requeued = [events, dead, keys.requeues(0, _GROUP), positions, operations]
    removed = [events, positions, keys.lost(0), operations, keys.snapshots(0)]
    removed.append(keys.errors(0, _GROUP))
    requeue: list[Word] = [_GROUP, "by hand", 1_000, 100, holder, 1, "9-1", "3-1", "failed"]
    return [
        Run(
            *(package, "mark_losses_seen", [keys.losses_seen(0, _GROUP), operations]),
            [3, "9-1", *_OPERATION],
        ),
        Run(package, "drop", [dead, operations], [1, "9-1", *_OPERATION]),
        Run(package, "remove", removed, [_GROUP, holder, "", 0, "", *_OPERATION]),
        Run(
            *(package, "remove", removed),
            ["route-table", holder, "snapshot:route-table", 0, "", *_OPERATION],
        ),
        Run(package, "requeue", requeued, [*requeue, *_OPERATION]),
        Run(
            *(package, "reset", [events, positions, operations, keys.delivered(0, _GROUP)]),
            [_GROUP, holder, "2-1", "3-1", 0, "", *_OPERATION],
        ),
    ]


def _runs_of_read_models(keys: Keys) -> list[Run]:
    package, table, events = "projections.read_model", "route-table", keys.events(0)
    live, changes = keys.live(0, table), keys.changes(0, table)
    documents = [keys.documents(0, table, generation) for generation in (0, 1, 2)]
    generations, pause = keys.generations(0), keys.pause(0, table)
    applied = [live, documents[1], changes, generations, events, pause]
    applied += (keys.errors(0, _GROUP), keys.identity(0), keys.positions(0))
    change = (_ENDPOINT, 1, "", '{"revision":2}', 1, "1-1")
    swapped = [live, changes, generations, documents[2], events, documents[0], pause]
    swapped.append(keys.identity(0))
    forgotten = [live, documents[1], changes, generations, events, keys.heads(0)]
    entries: list[Word] = [1, table, _GROUP, 100, "0", "identity", "2-1", 1, *change, 1, "2-1"]
    written: list[Word] = [1, 2, table, 100, "", "", 0, 2, "identity", 1, "another", "{}"]
    return [
        Run(package, "apply", applied, entries),
        Run(package, "swap", swapped, written),
        Run(package, "new_generation", [generations], [table]),
        Run(package, "retire", [live, documents[1]], [1, 60]),
        Run(package, "forget", forgotten, [1, table, 100, _ENDPOINT, 1]),
    ]
