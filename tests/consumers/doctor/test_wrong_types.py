"""What is said of a key that holds another type than belongs there: which key it is."""

from collections.abc import Callable

import pytest

from consumers.cli.doctor.check import check
from consumers.cli.doctor.doctor import doctor
from consumers.cli.endpoints.endpoints import endpoints
from consumers.cli.events.tail import events
from consumers.cli.groups.groups import groups
from consumers.cli.streams.streams import streams
from events import EventLog, open_log
from events.errors import LayoutError, WrongTypeError
from events.log.keys import Keys
from events.log.positions import Positions
from events.server.connection import keys_of
from tests.consumers.support.commands import Commands, end_of
from tests.consumers.support.examination import examined, examined_log, found, not_well, projecting
from tests.support.running_consumer import GROUP, create_group, created, fill


@pytest.mark.parametrize(
    ("command", "keys"),
    [
        (("GET", b"k\xff"), [r"k\xff"]),
        (("XINFO STREAM", "k"), ["k"]),
        (("XGROUP", "CREATE", "k", "g", "0"), ["k"]),
        (("XREADGROUP", "GROUP", "g", "c", "STREAMS", "a", "b", ">", ">"), ["a", "b"]),
        (("EVALSHA", "0" * 40, 2, "a", "b", "argument"), ["a", "b"]),
        (("PING",), []),
    ],
)
def test_the_keys_of_a_command_are_found_among_its_words(
    command: tuple[object, ...], keys: list[str]
) -> None:
    assert keys_of(command) == keys


async def test_a_command_and_a_script_name_the_key_that_is_of_the_wrong_type(
    log: EventLog,
) -> None:
    key = log.keys.positions(0)
    await log.server.client.call("RPUSH", key, "stray")
    positions = Positions(log.server, log.keys, 0)
    for ask, name in (
        (positions.all(), "HGETALL"),
        (positions.advance("archive", (await log.append(created())).entry_ids[0]), "the script"),
    ):
        with pytest.raises(WrongTypeError) as raised:
            await ask
        told = f"{key} is not of the type that {name} is for: WRONGTYPE "
        assert str(raised.value).startswith(told)


async def test_an_append_names_all_keys_of_which_one_is_of_the_wrong_type(log: EventLog) -> None:
    await log.server.client.call("SET", log.keys.heads(0), "stray")
    with pytest.raises(WrongTypeError, match=r"one of .*:events, .*:heads, .*:event-ids"):
        await log.append(created())


async def test_reading_commands_name_the_partition_that_is_no_stream(
    log: EventLog, run: Commands
) -> None:
    await log.server.client.call("SET", log.keys.events(0), "stray")
    for command in ((events, "tail"), (groups, "ls"), (events, "show", "1-1")):
        result = await run(*command)
        assert end_of(result) == 1
        assert f"{log.keys.events(0)} is not of the type that X" in str(result.exception)


@pytest.mark.parametrize(
    "key_of",
    [
        lambda keys: keys.layout,
        lambda keys: keys.live(0, "route-table"),
        lambda keys: keys.positions(0),
        lambda keys: keys.dead(0, GROUP),
    ],
    ids=["layout", "live", "positions", "dead letters"],
)
async def test_the_doctor_calls_a_key_of_the_wrong_type_an_error_and_says_how_to_move_it_away(
    log: EventLog, run: Commands, key_of: Callable[[Keys], str]
) -> None:
    await fill(log, 1)
    await create_group(log)
    async with projecting(log):
        pass
    key = key_of(log.keys)
    await log.server.client.call("DEL", key)
    await log.server.client.call("RPUSH", key, "stray")
    findings = await examined_log(log)
    finding = found(findings, f"key {key}")
    assert finding.severity == "error"
    assert finding.to_do.startswith(f"redis-cli RENAME '{key}' '{key}:stray'")
    assert not [one for one in findings if "no log" in one.what or "there is none" in one.what]
    assert ((await run(doctor)).exit_code, (await run(check)).exit_code) == (1, 2)


async def test_a_string_in_place_of_a_log_without_a_layout_is_no_empty_log(
    redis_url: str, namespace: str, run: Commands
) -> None:
    stray = Keys(namespace).events(0)
    async with open_log(redis_url, namespace=f"{namespace}-other") as other:
        await other.server.client.call("SET", stray, "stray")
    findings = await examined(redis_url, namespace)
    finding = found(findings, "partition 0")
    assert (finding.severity, finding.figure) == ("error", "string")
    assert found(findings, "layout").severity == "error"
    listed = await run(streams, "ls")
    assert isinstance(listed.exception, LayoutError)


async def test_a_partition_that_is_no_stream_is_told_beside_those_that_are(
    redis_url: str, namespace: str, run: Commands
) -> None:
    async with open_log(redis_url, namespace=namespace, partitions=2) as log:
        await log.server.client.call("XADD", log.keys.events(0), "*", "name", "x")
        await log.server.client.call("SET", log.keys.events(1), "stray")
        listed = await run(streams, "ls")
        assert listed.exit_code == 1
        assert log.keys.events(0) in listed.stdout
        assert f"warning: the key {log.keys.events(1)!r} on " in listed.stderr


async def test_a_lost_layout_is_an_error_that_says_how_it_is_written_again(
    redis_url: str, namespace: str
) -> None:
    async with open_log(redis_url, namespace=namespace, partitions=4) as log:
        await log.append(created())
        await log.server.client.call("DEL", log.keys.layout)
        finding = found(await examined_log(log), "layout")
        assert finding.severity == "error"
        command = f"HSET {log.keys.layout} partitions 4 identity {log.layout.identity}"
        assert finding.to_do == f"redis-cli {command}"
        await log.server.client.call(*command.split())
        assert "layout" not in not_well(await examined_log(log))
        of_one = (log.keys.identity(1), log.keys.events(1), log.keys.heads(1))
        await log.server.client.call("DEL", log.keys.layout, *of_one)
        to_do = found(await examined_log(log), "layout").to_do
        assert to_do.endswith("partitions N, as many as it had: 4 or more")


async def test_show_says_what_lies_there_in_place_of_a_stream(
    log: EventLog, run: Commands, namespace: str
) -> None:
    await log.server.client.call("SET", f"x-{namespace}", "stray")
    for key, told in ((f"x-{namespace}", "is a string, no stream"), ("nowhere", "no stream")):
        result = await run(streams, "show", key)
        assert end_of(result) == 3
        assert told in str(result.exception)


async def test_endpoints_name_the_live_generation_of_the_wrong_type(
    log: EventLog, run: Commands
) -> None:
    await log.server.client.call("RPUSH", log.keys.live(0, "route-table"), "stray")
    result = await run(endpoints, "ls")
    assert end_of(result) == 1
    assert f"{log.keys.live(0, 'route-table')} is not of the type" in str(result.exception)
