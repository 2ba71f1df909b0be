"""What `events export` writes to, and what it leaves as it is."""

import json
import os
import socket
import stat
from pathlib import Path

from consumers.cli.events.export_target import ExportFailedError
from consumers.cli.events.transfer import export_events
from events import EventLog
from events.transfer.export_file import read_export
from tests.consumers.support.commands import Commands, end_of
from tests.events.support.archives import add_many, names_in


async def test_a_fifo_gets_the_export_and_stays_a_fifo(
    log: EventLog, run: Commands, tmp_path: Path
) -> None:
    await add_many(log, 5)
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)

    result = await run(export_events, str(fifo), "-o", "jsonl")

    assert json.loads(result.stdout)["entries"] == 5
    assert stat.S_ISFIFO(fifo.stat().st_mode)
    (tmp_path / "copy").write_bytes(os.read(reader, 65_536))
    os.close(reader)
    assert len(list(read_export(tmp_path / "copy"))) == 5
    assert names_in(tmp_path) == ["copy", "fifo"]


async def test_a_symlink_stays_and_what_it_leads_to_is_replaced(
    log: EventLog, run: Commands, tmp_path: Path
) -> None:
    await add_many(log, 5)
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "log.jsonl").write_text("before")
    links = tmp_path / "link", tmp_path / "to-nothing"
    links[0].symlink_to("folder/log.jsonl")
    links[1].symlink_to("folder/new.jsonl")

    for link in links:
        assert (await run(export_events, str(link))).exit_code == 0

    assert [str(link.readlink()) for link in links] == ["folder/log.jsonl", "folder/new.jsonl"]
    assert names_in(tmp_path / "folder") == ["log.jsonl", "new.jsonl"]
    assert all(len(list(read_export(link))) == 5 for link in links)


async def test_what_no_export_can_be_written_to_is_refused(
    log: EventLog, run: Commands, tmp_path: Path
) -> None:
    await add_many(log, 5)
    (tmp_path / "folder").mkdir()
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "socket"))

        for name in ("folder", "socket"):
            refused = await run(export_events, str(tmp_path / name))
            assert refused.exit_code == 2
            assert f"{tmp_path / name} is a directory, a block device or a socket" in refused.stderr

    assert names_in(tmp_path) == ["folder", "socket"]


async def test_a_target_that_cannot_be_opened_is_named(
    log: EventLog, run: Commands, tmp_path: Path
) -> None:
    await add_many(log, 5)
    (tmp_path / "loop").symlink_to("loop")
    for name, problem in (("loop", "symbolic links"), ("none/log.jsonl", "no such file")):
        failed = await run(export_events, str(tmp_path / name))
        assert isinstance(failed.exception, ExportFailedError)
        assert end_of(failed) == 1
        assert problem in str(failed.exception)
        assert "as it was before" in str(failed.exception)
