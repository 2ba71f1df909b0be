"""Owners and labels: given on the command line, and shown by it."""

from uuid import UUID

import pytest

from consumers.cli.endpoints.endpoints import endpoints
from consumers.cli.endpoints.record import create
from consumers.cli.endpoints.routes import routes
from consumers.cli.endpoints.why import why
from consumers.cli.events.tail import events
from events import EventLog, InvalidEventError
from projections.read_model.store import ReadModelStore
from projections.replay.build import build
from projections.route_table.route_table import ROUTE_TABLE
from tests.consumers.cli.test_endpoints_commands import shown
from tests.consumers.support.commands import Commands

CHAT = UUID("7ccd26ec-0000-4000-8000-000000000001")
CREATE = ("chat", "--model", "llama-3", "--id", str(CHAT))
OWNER = ("--owner-domain", "default", "--owner-user", "kim@example.com")
LABELS = ("--label", "tier=gold", "--label", "note=a=b")
ROUTE = ("--route", "10.0.0.1:8000")


async def done(run: Commands, *arguments: str) -> str:
    """Record facts, and return what that said."""
    group = create if arguments[0] == "chat" else routes
    result = await run(group, *arguments, "--yes")
    assert result.exit_code == 0, result.output
    return result.stderr


async def keys_of(log: EventLog) -> set[bytes]:
    """Return the keys of this log alone: others share the server."""
    found = (await log.server.at("")).scan_iter(f"*{log.keys.namespace}*", count=1_000)
    return {name async for name in found}


async def go_live(log: EventLog) -> None:
    await build(log, ReadModelStore(log.server, log.keys, ROUTE_TABLE, 0))


async def test_owner_and_labels_are_in_the_plan_and_in_what_is_shown(
    log: EventLog, run: Commands
) -> None:
    plan = await done(run, *CREATE, *OWNER, *LABELS)
    assert "owner: none -> domain default, user kim@example.com\n" in plan
    assert "labels: none -> note=a=b, tier=gold\n" in plan
    plan = await done(run, "set", str(CHAT), *ROUTE, "--label", "zone=a", "--label", "role=decode")
    assert "weight 1, role=decode, zone=a\n" in plan
    await go_live(log)

    chat = await shown(run, "show", str(CHAT), "-o", "json")
    assert chat["owner"] == {"domain": "default", "project": None, "user": "kim@example.com"}
    assert chat["labels"] == {"tier": "gold", "note": "a=b"}
    [route] = chat["routes"]
    assert route["labels"] == {"zone": "a", "role": "decode"}
    assert route["labels_at"] != route["listed_at"]  # the list also started the route
    lines = await run.lines(endpoints, "show", str(CHAT))
    assert "owner  domain default, user kim@example.com" in lines
    assert "labels  note=a=b, tier=gold" in lines
    assert any("role=decode, zone=a" in line for line in lines), lines
    reasons = [line for line in await run.lines(why, str(CHAT)) if "  labels  " in line]
    assert [line.partition("  labels  ")[2].partition("  ")[0] for line in reasons] == [
        "role=decode, zone=a"
    ]


async def test_an_event_is_summarised_with_owner_and_labels(log: EventLog, run: Commands) -> None:
    await done(run, *CREATE, *OWNER, *LABELS)
    await done(run, "set", str(CHAT), *ROUTE, "--label", "zone=a")
    told = (await run(events, "tail")).stdout
    assert "domain default, user kim@example.com, note=a=b, tier=gold" in " ".join(told.split())
    assert "at 10.0.0.1:8000, zone=a" in " ".join(told.split())
    assert log.partitions == 1


async def test_an_endpoint_without_owner_and_labels_shows_none(
    log: EventLog, run: Commands
) -> None:
    await done(run, *CREATE)
    await done(run, "set", str(CHAT), *ROUTE)
    await go_live(log)
    chat = await shown(run, "show", str(CHAT), "-o", "json")
    assert (chat["owner"], chat["labels"], chat["routes"][0]["labels"]) == (None, {}, {})
    lines = await run.lines(endpoints, "show", str(CHAT))
    assert not [line for line in lines if "LABELS" in line or line.startswith(("owner", "labels"))]


async def test_a_route_keeps_its_labels_where_none_are_given(log: EventLog, run: Commands) -> None:
    await done(run, *CREATE)
    await done(run, "set", str(CHAT), *ROUTE, "--label", "zone=a")
    await done(run, "set", str(CHAT), *ROUTE, "--route", "10.0.0.2:8000")
    await go_live(log)
    first, second = sorted(
        (await shown(run, "show", str(CHAT), "-o", "json"))["routes"],
        key=lambda route: route["kernel_host"],
    )
    assert (first["labels"], second["labels"]) == ({"zone": "a"}, {})
    await done(run, "set", str(CHAT), *ROUTE, "--label", "zone=b")
    [entry] = [e async for chunk in log.read_entries(0) for e in chunk][-1:]
    assert b'"labels":{"zone":"b"}' in entry.fields[b"payload"]


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        (("--label", "zone"), r"^label: 'zone' is not KEY=VALUE$"),
        (("--label", "=a"), r"^label: key '' is not allowed: it must be 1 to 63 letters"),
        (("--label", "a b=c"), r"^label: key 'a b' is not allowed: it must be 1 to 63 letters"),
        (("--label", f"zone={'v' * 257}"), r"^label zone: .*257 characters, the limit is 256$"),
        (("--label", "a=1", "--label", "a=2"), r"^label: 'a' is given as '1' and '2'$"),
        (tuple(f"--label=k{n}=" for n in range(65)), r"^label: there are 65, the limit is 64$"),
    ],
)
async def test_a_wrong_label_is_refused_in_a_sentence_and_nothing_is_written(
    log: EventLog, run: Commands, given: tuple[str, ...], sentence: str
) -> None:
    for group, arguments in ((create, CREATE), (routes, ("set", str(CHAT), *ROUTE))):
        result = await run(group, *arguments, *given, "--yes")
        assert isinstance(result.exception, InvalidEventError)
        with pytest.raises(InvalidEventError, match=sentence):
            raise result.exception
    assert [chunk async for chunk in log.read_entries(0)] == []


@pytest.mark.parametrize("part", ["domain", "project", "user"])
async def test_a_wrong_owner_is_refused_before_the_name_is_claimed(
    log: EventLog, run: Commands, part: str
) -> None:
    before = await keys_of(log)
    result = await run(create, *CREATE, f"--owner-{part}", "x" * 257, "--yes")
    with pytest.raises(InvalidEventError, match=rf"^owner\.{part}: 'xxx.*<= 256$"):
        raise result.exception or AssertionError(result.output)
    assert await keys_of(log) == before


async def test_labels_do_not_go_with_a_file_whose_routes_have_their_own(
    run: Commands, tmp_path_factory: pytest.TempPathFactory
) -> None:
    file = tmp_path_factory.mktemp("routes") / "routes.json"
    file.write_text("[]")
    result = await run(routes, "set", str(CHAT), str(file), "--label", "zone=a", "--yes")
    assert result.exit_code == 2
    assert "a route in FILE has its own labels" in result.stderr
