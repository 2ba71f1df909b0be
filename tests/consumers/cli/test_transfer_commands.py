"""`events export`, `events import-log` and `replay run`, as a person calls them."""

import json
import os
import re
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from itertools import chain, repeat
from pathlib import Path
from uuid import uuid4

import anyio
import pytest
from anyio.abc import Process

from consumers.cli.events.import_backend_ai import import_events
from consumers.cli.events.transfer import export_events, import_exported
from consumers.cli.replay.playback import run_replay
from consumers.processes.embedded import EmbeddedServer
from events import EndpointCreatedEvent, EntryId, EventLog, open_log
from events.archive import ArchiveSettings
from events.archive.errors import DamagedArchiveError
from events.errors import LayoutError, TrimmedError
from events.transfer.export_file import read_export
from events.transfer.playback import SameLogError
from producers.backend_ai.capture import UnreadableCaptureError
from tests.consumers.support.commands import Commands, end_of
from tests.events.support.archives import add_many, archive_in, in_stream, names_in, run, trim
from tests.support.tcp_proxy import TcpProxy


@pytest.fixture
def here(redis_url: str, namespace: str) -> Commands:
    return Commands(redis_url, namespace)


@pytest.fixture
def there(own_server: EmbeddedServer) -> Commands:
    return Commands(own_server.url, "moved")


async def test_a_log_moves_to_another_server(
    log: EventLog, here: Commands, there: Commands, own_server: EmbeddedServer, tmp_path: Path
) -> None:
    await add_many(log, 20)
    await run(log, archive_in(tmp_path / "archive", log))
    await trim(log, 15)
    await add_many(log, 10, begin=21)
    settings = ArchiveSettings(location=str(tmp_path / "archive"))
    here.configure(archive=settings)
    path = tmp_path / "log.jsonl"

    exported = await here(export_events, str(path), "-o", "jsonl")
    assert json.loads(exported.stdout) == {
        "partition": 0, "entries": 30, "first": "1-0", "last": "30-0",
    }  # fmt: skip

    there.configure(partitions=5)
    refused = await there(import_exported, str(path))
    there.configure(partitions=None)
    assert refused.exit_code == 2
    assert "partitions: 1 in the export, 5 in the settings" in refused.stderr
    assert "partition 0: 0 entries -> up to 30-0, 30 entries more" in refused.stderr
    async with open_log(own_server.url, namespace="none") as other:
        assert await other.server.client.call("KEYS", "*moved*") == []

    imported = await there(import_exported, str(path), "--yes", "-o", "jsonl")
    assert json.loads(imported.stdout) == {
        "partition": 0, "added": 30, "were_there": 0, "last": "30-0",
    }  # fmt: skip
    again = await there(import_exported, str(path), "--yes", "-o", "jsonl")
    assert json.loads(again.stdout)["added"] == 0
    async with open_log(own_server.url, namespace="moved") as target:
        assert [entry_id for entry_id, _ in await in_stream(target)] == [
            b"%d-0" % ms for ms in range(1, 31)
        ]


async def test_a_part_of_the_log_is_exported(log: EventLog, here: Commands, tmp_path: Path) -> None:
    await add_many(log, 20)
    path = tmp_path / "log.jsonl"

    result = await here(export_events, str(path), "--from", "5-0", "--to", "9-0", "-o", "jsonl")

    assert json.loads(result.stdout)["entries"] == 5
    assert len(path.read_bytes().splitlines()) == 7


async def test_standard_output_has_the_export_and_nothing_else(
    log: EventLog, here: Commands, there: Commands, tmp_path: Path
) -> None:
    await add_many(log, 5)

    result = await here(export_events, "-")

    (tmp_path / "log.jsonl").write_bytes(result.stdout_bytes)
    imported = await there(import_exported, str(tmp_path / "log.jsonl"), "--yes", "-o", "jsonl")
    assert json.loads(imported.stdout)["added"] == 5


async def test_an_export_of_a_log_with_a_gap_fails_and_leaves_the_file_as_it_was(
    log: EventLog, here: Commands, tmp_path: Path
) -> None:
    await add_many(log, 10)
    await trim(log, 4)
    path = tmp_path / "log.jsonl"
    path.write_text("before")

    failed = await here(export_events, str(path))

    assert isinstance(failed.exception, TrimmedError)
    assert path.read_text() == "before"
    assert names_in(tmp_path) == ["log.jsonl"]
    accepted = await here(export_events, str(path), "--accept-gap", "-o", "jsonl")
    assert json.loads(accepted.stdout)["entries"] == 7
    assert "note: partition 0: 3 entries after 0-0" in accepted.stderr


async def test_an_export_that_accepts_gaps_names_each_damaged_segment_and_saves_the_others(
    log: EventLog, here: Commands, tmp_path: Path
) -> None:
    await add_many(log, 40)
    await run(log, archive_in(tmp_path / "archive", log))
    await trim(log, 28)
    settings = ArchiveSettings(location=str(tmp_path / "archive"))
    here.configure(archive=settings)
    folder = tmp_path / "archive" / log.keys.namespace / "0"
    _, second, third, _ = sorted(name for name in names_in(folder) if name.endswith(".zst"))
    (folder / second).write_bytes(bytes(100))
    (folder / third).unlink()
    path = tmp_path / "log.jsonl"

    failed = await here(export_events, str(path))
    assert isinstance(failed.exception, DamagedArchiveError)
    assert "`events export --accept-gap` saves the rest" in str(failed.exception)
    assert not path.exists()
    accepted = await here(export_events, str(path), "--accept-gap")

    assert accepted.exit_code == 0
    notes = accepted.stderr.splitlines()
    for ids, kept, why in (
        ("11-0 to 20-0", 0, f"{folder}: {second}: 100 bytes, the manifest says"),
        ("21-0 to 30-0", 3, f"{folder}: {third}: the file is missing"),
    ):
        told = f"10 entries from {ids} are left out, but for {kept} that the stream still has"
        assert any(f"note: partition 0: {told}: {why}" in note for note in notes)
    saved = [entry.entry_id.ms for entry in read_export(path)]
    assert saved == [*range(1, 11), *range(28, 41)]


async def test_another_number_of_partitions_is_refused(
    log: EventLog, here: Commands, redis_url: str, tmp_path: Path
) -> None:
    await add_many(log, 3)
    await here(export_events, str(tmp_path / "log.jsonl"))
    other = Commands(redis_url, f"{log.keys.namespace}-3")
    async with open_log(redis_url, namespace=f"{log.keys.namespace}-3", partitions=3):
        pass

    result = await other(import_exported, str(tmp_path / "log.jsonl"), "--yes")

    assert isinstance(result.exception, LayoutError)
    assert "made with 3, it cannot be opened with 1" in str(result.exception)


async def test_each_import_knows_the_others_file_when_it_sees_one(
    log: EventLog, here: Commands, tmp_path: Path
) -> None:
    await add_many(log, 3)
    path = tmp_path / "log.jsonl"
    await here(export_events, str(path))

    wrong = await here(import_events, "--format", "backend-ai", str(path))
    assert isinstance(wrong.exception, UnreadableCaptureError)
    assert "import-log" in str(wrong.exception)
    capture = tmp_path / "capture.jsonl"
    capture.write_text('{"t":0.0,"db":0,"args":["PING"]}\n')
    wrong = await here(import_exported, str(capture), "--yes")
    assert "events import --format" in str(wrong.exception)


async def test_traffic_is_played_into_another_namespace(
    log: EventLog, here: Commands, redis_url: str
) -> None:
    for _ in range(20):
        await log.append(EndpointCreatedEvent(endpoint_id=uuid4(), name="n", model="m"))
    into = f"{log.keys.namespace}-copy"

    refused = await here(run_replay, "--into", into, "--speed", "max")
    assert refused.exit_code == 2
    assert "empty -> and after it the entries from" in refused.stderr
    played = await here(run_replay, "--into", into, "--speed", "max", "--yes", "-o", "jsonl")

    told = json.loads(played.stdout)
    assert (told["entries"], told["last"]) == (20, str(await log.head(0)))
    async with open_log(redis_url, namespace=into) as target:
        assert [one.event_id async for one in target.read()] == [
            one.event_id async for one in log.read()
        ]
    same = await here(run_replay, "--into", log.keys.namespace, "--yes")
    assert isinstance(same.exception, SameLogError)
    assert end_of(same) == 2


@pytest.mark.parametrize(
    ("span", "problem"),
    [
        (("--from", "end", "--to", "start"), "ends at 0-0, before it starts at"),
        (("--from", "-1h", "--to", "-2h"), "position '-1h..-2h': it ends at"),
        (("--from", "8-0", "--to", "7-9"), "position '8-0..7-9': it ends at 7-9, before"),
    ],
)
async def test_a_range_that_ends_before_it_starts_is_refused_and_nothing_is_written(
    log: EventLog, here: Commands, tmp_path: Path, span: tuple[str, ...], problem: str
) -> None:
    await add_many(log, 10)
    path = tmp_path / "log.jsonl"
    path.write_text("before")

    exported = await here(export_events, str(path), *span)
    played = await here(run_replay, "--into", f"{log.keys.namespace}-copy", "--yes", *span)

    for refused in (exported, played):
        assert end_of(refused) == 2
        assert problem in str(refused.exception)
    assert path.read_text() == "before"
    assert await log.server.client.call("KEYS", f"*{log.keys.namespace}-copy*") == []


async def test_nothing_is_played_from_behind_the_end_of_the_log(
    log: EventLog, here: Commands
) -> None:
    await add_many(log, 10)
    for start in ("end", "10-1"):
        refused = await here(
            run_replay, "--into", f"{log.keys.namespace}-copy", "--yes", "--from", start
        )
        assert end_of(refused) == 2
        assert str(refused.exception) == f"position {start!r}: the log ends at 10-0, before it"
        assert refused.stderr == ""
    assert await log.server.client.call("KEYS", f"*{log.keys.namespace}-copy*") == []


@pytest.mark.parametrize(
    "arguments",
    [("--speed", "0x"), ("--speed", "fast"), ("--rate", "0"), ("--rate", "5", "--speed", "2x"),
     ("--into-url", "http://x")],
)  # fmt: skip
async def test_a_wrong_pace_is_refused(here: Commands, arguments: tuple[str, ...]) -> None:
    result = await here(run_replay, "--into", "x", "--yes", *arguments)
    assert result.exit_code == 2


class Playing:
    """A `replay run` of 400 entries into another log, as a process, through a proxy."""

    def __init__(self, log: EventLog, redis_url: str, proxy: TcpProxy) -> None:
        self.into = f"{log.keys.namespace}-copy"
        self.environment = {
            **os.environ, "REDIS_URL": redis_url, "ROUTESTREAM_NAMESPACE": log.keys.namespace,
        }  # fmt: skip
        self.words = [
            sys.executable, "-m", "consumers", "replay", "run", "--yes", "--into", self.into,
            "--into-url", proxy.url,
        ]  # fmt: skip

    @asynccontextmanager
    async def begun(self) -> AsyncIterator[Process]:
        words = [*self.words, "--rate", "200"]
        async with await anyio.open_process(words, env=self.environment) as process:
            yield process

    async def go_on(self, start: EntryId) -> None:
        arguments = ["--from", str(start), "--speed", "max"]
        await anyio.run_process([*self.words, *arguments], env=self.environment)


async def told_by(process: Process) -> str:
    assert process.stderr is not None
    return b"".join([part async for part in process.stderr]).decode()


async def test_interrupted_it_waits_for_what_is_on_its_way_and_goes_on_exactly_there(
    log: EventLog, redis_url: str, proxy: TcpProxy
) -> None:
    await add_many(log, 400)
    held = proxy.hold_next(b"n-31-0")
    playing = Playing(log, redis_url, proxy)
    async with open_log(redis_url, namespace=playing.into) as target:
        async with playing.begun() as process:
            await held.arrived.wait()
            process.send_signal(signal.SIGINT)
            with anyio.move_on_after(1) as patience:
                await process.wait()
            assert patience.cancelled_caught, "it gave up what was on its way"
            await held.release()
            told = await told_by(process)
        assert process.returncode == 130
        came = len(await in_stream(target))
        assert 30 < came < 400
        following = EntryId(came, 0).after()
        assert f"--from {following} goes on\n\ninterrupted" in told

        await playing.go_on(following)
        was, is_now = await in_stream(log), await in_stream(target)
        assert [strings for _, strings in is_now] == [strings for _, strings in was]


async def test_interrupted_twice_it_gives_up_and_says_what_it_does_not_know(
    log: EventLog, redis_url: str, proxy: TcpProxy
) -> None:
    await add_many(log, 400)
    held = proxy.hold_next(b"n-31-0")
    async with Playing(log, redis_url, proxy).begun() as process:
        await held.arrived.wait()
        with anyio.fail_after(30):
            # Two that come at once count as one; the second has time before there is a third.
            waits_s = chain([0.3], repeat(8.0))
            while process.returncode is None:
                # process.send_signal() may reap a child that asyncio waits for.
                with suppress(ProcessLookupError):
                    os.kill(process.pid, signal.SIGINT)
                with anyio.move_on_after(next(waits_s)):
                    await process.wait()
        told = await told_by(process)
        await held.release()
    assert process.returncode == 130
    began = re.search(r"--from (\d+)-1 goes on", told)
    sent = re.search(r"from there up to (\d+)-0 were sent, and nothing was heard of them", told)
    assert began is not None
    assert sent is not None
    assert int(began[1]) < 31 <= int(sent[1])
