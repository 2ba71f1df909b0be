"""What reading commands ask of the server: nothing whose cost grows with the log, unasked.

Every command of the tree that prints in forms (`-o`) is run on a long log, and everything that the
server was asked is looked at. Only those that are told to go through all of it may take long.
"""

import time
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import click
import pytest
import redis

from consumers.cli.command_tree import routestream
from consumers.processes.embedded import embedded_server
from docs.pages.cli_pages import root_context, walk
from tests.consumers.support.commands import Commands, end_of
from tests.consumers.support.long_log import NAMESPACE, make_long_log

ENTRIES = 1_000_000
ANSWER_MAX_S = 60.0
"""A deadline against hanging, no word about how fast this is: what is asked of the server tells."""

SERVER_MAX_MICROSECONDS = 500_000
"""For one command, which nobody else waits for longer; most of it is for a machine at work."""

PAGE_MAX = 2_000

SCANS = (
    *("routestream replay", "routestream archive", "routestream snapshot"),
    *("routestream events export", "routestream events import", "routestream events trace"),
    *("routestream config", "routestream model-definition"),
)
"""What begins like this is told to go through all of the log, or a file, or asks for nothing."""

READING = {
    context.command_path: command
    for command, context in walk(routestream, root_context())
    if not context.command_path.startswith(SCANS)
    and {parameter.name for parameter in command.params} & {"output", "yes"} == {"output"}
}

STREAM = f"{{{NAMESPACE}:0}}:events"
ARGUMENTS = {
    "endpoint": "chat",
    "group": "late",
    "stream": "0",
    "projection": "route-table",
    "pattern": "found nowhere",
    "position": "-1m",
    "route": "1b2c3d4e",
    "generation": "1",
    "dead_id": "1-1",
    "count": "1",
}

ENDS = {
    "routestream events grep": 1,
    "routestream dead show": 3,
    "routestream doctor": 1,
}
"""How those end on the long log that are not just done: nothing is found, or something wrong."""

FURTHER = [
    ("routestream streams ls", ("--all",)),
    ("routestream events tail", ("--where", "payload.consecutive_failures == 11")),
    ("routestream events tail", ("--endpoint", "ffff")),
    ("routestream events tail", ("--stream", f"{{{NAMESPACE}:0}}:other-1")),
    ("routestream events stats", ("--by", "endpoint")),
    ("routestream events grep", ("-E", "-i")),
]

HARMLESS = {
    *(
        "HELLO",
        "AUTH",
        "SELECT",
        "MULTI",
        "ACL",
        "EXEC",
        "CLIENT",
        "PING",
        "TIME",
        "INFO",
        "TYPE",
        "EXISTS",
        "COMMAND",
    ),
    *("GET", "HGET", "HMGET", "HLEN", "HEXISTS", "XLEN", "ZCARD", "ZSCORE", "MGET", "CONFIG"),
}
SMALL_HASHES = (
    ":positions",
    ":generations",
    ":lost",
    ":layout",
    ":identity",
    ":processes",
    ":proxies",
    ":snapshots",
)


@pytest.fixture(scope="module")
def long_log() -> Iterator[str]:
    with embedded_server() as server:
        make_long_log(server.url, ENTRIES)
        yield server.url


def objection(words: list[str]) -> str | None:  # noqa: PLR0911 - one for each rule
    """Say what is wrong with a command that the server was given; None: nothing."""
    name, said = words[0].upper(), [word.upper() for word in words[1:]]
    following = {option: value for option, value in pairwise(said) if value.isdigit()}
    page = int(following.get("COUNT", PAGE_MAX + 1))
    if name in HARMLESS or (name == "XINFO" and "FULL" not in said):
        return None
    match name:
        case "XRANGE" if said[1] == said[2]:
            return None
        case "HRANDFIELD":
            return None if 0 < int(said[1]) <= PAGE_MAX else "a large count"
        case "XRANGE" | "XREVRANGE" | "XREAD" | "SCAN" | "HSCAN" | "SSCAN" | "ZSCAN":
            if page > PAGE_MAX:
                return "no COUNT, or a large one"
            return "no TYPE" if name == "SCAN" and "TYPE" not in said else None
        case "XPENDING":
            return None if len(said) == 2 or said[-1].isdigit() else "no count"
        case "MEMORY":
            return None if 0 < int(following.get("SAMPLES", 5)) <= 5 else "too many samples"
        case "HGETALL" | "HKEYS":
            return None if words[1].endswith(SMALL_HASHES) else "a hash that can be large"
        case "ZREVRANGE" | "ZRANGE" | "ZRANGEBYSCORE" | "ZCOUNT":
            return _objection_to_set(words[1], said)
    return "not one of those that may be sent"


def _objection_to_set(key: str, said: list[str]) -> str | None:
    """Say what is wrong with asking for a part of a sorted set, by rank or by score."""
    if "LIMIT" in said:
        return None if 0 < int(said[said.index("LIMIT") + 2]) <= PAGE_MAX else "a large page"
    return None if key.endswith(":checkers") else "a set that can be large"


def arguments_of(command: click.Command, client: redis.Redis, stream: str = STREAM) -> list[str]:
    newest: Any = client.xrevrange(stream, count=100)
    last, earlier = (entry_id.decode() for entry_id, _ in (newest[0], newest[-1]))
    known = {**ARGUMENTS, "entry_id": last, "event": last, "span": f"{earlier}.."}
    given = []
    for parameter in command.params:
        if not parameter.required:
            continue
        if parameter.name not in known:
            pytest.fail(f"say in ARGUMENTS what {parameter.name} is")
        is_option = isinstance(parameter, click.Option)
        given += [*parameter.opts[:1]] if is_option else []
        given.append(known[parameter.name])
    return given


def _said(one: str | tuple[str, ...]) -> str:
    return one if isinstance(one, str) else " ".join(one)


@pytest.mark.parametrize(("path", "more"), [*((path, ()) for path in READING), *FURTHER], ids=_said)
async def test_a_reading_command_asks_for_nothing_that_grows_with_the_log(
    long_log: str, path: str, more: tuple[str, ...]
) -> None:
    with redis.Redis.from_url(long_log) as client:
        arguments = [*arguments_of(READING[path], client), *more]
        client.config_set("slowlog-max-len", 10_000)
        client.config_set("slowlog-log-slower-than", 0)
        client.slowlog_reset()
        began = time.monotonic()
        result = await Commands(long_log, NAMESPACE)(READING[path], *arguments)
        took_s = time.monotonic() - began
        client.config_set("slowlog-log-slower-than", -1)
        asked: Any = client.execute_command("SLOWLOG GET", 10_000)
    assert end_of(result) == ENDS.get(path, 0), result.output
    sent = [
        ([word.decode("utf-8", "replace") for word in one["command"].split()], one["duration"])
        for one in asked
    ]
    ours = [one for one in sent if one[0][0].upper() not in {"SLOWLOG", "CONFIG"}]
    assert any(words[0].startswith("X") or words[0].startswith("H") for words, _ in ours)
    refused = [(words, objection(words)) for words, _ in ours if objection(words)]
    assert refused == [], refused
    assert took_s < ANSWER_MAX_S
    assert [one for one in ours if one[1] > SERVER_MAX_MICROSECONDS] == []


def test_every_reading_command_is_looked_at() -> None:
    assert READING.keys() >= {
        *(f"routestream events {verb}" for verb in ("tail", "range", "show", "stats", "grep")),
        *("routestream streams ls", "routestream streams show", "routestream groups ls"),
        *("routestream dead ls", "routestream endpoints ls", "routestream endpoints show"),
    }


@pytest.mark.parametrize(
    "sent",
    [
        "KEYS *",
        "XINFO STREAM s FULL",
        "XRANGE s - +",
        "XRANGE s - + COUNT 100000",
        "SMEMBERS s",
        "HGETALL {a:0}:route-table:1",
        "SCAN 0 COUNT 100",
        "MEMORY USAGE s SAMPLES 0",
        "XPENDING s g - +",
    ],
)
def test_what_grows_with_the_log_is_objected_to(sent: str) -> None:
    assert objection(sent.split())
