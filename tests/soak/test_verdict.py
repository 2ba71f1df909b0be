"""The verdict finds what it is for, also over histories that were lost on purpose."""

import json
from pathlib import Path
from uuid import UUID

import msgspec

from events.entry.entry_id import EntryId
from events.entry.recorded import Entry
from tests.soak.crashes import crashes_in
from tests.soak.journal import Asked, End, Request, Told
from tests.soak.verdict import EndedHistory, Verdict, judge

NAME, PAYLOAD = "route_failed", {"endpoint_id": str(UUID(int=1)), "route_id": str(UUID(int=2))}


def entry(at: int, request_id: str = "p:1") -> Entry:
    metadata = json.dumps({"request_id": request_id}).encode()
    fields = {b"name": NAME.encode(), b"v": b"1", b"id": b"", b"source": b"", b"metadata": metadata}
    payload = json.dumps({**PAYLOAD, "errors": ["no GPU"]}).encode()
    return Entry(EntryId(at, 0), 0, {**fields, b"payload": payload})


def request(end: End, *entry_ids: str, at: float = 1.0) -> dict[str, Request]:
    payload = msgspec.Raw(json.dumps({**PAYLOAD, "errors": ["no GPU"]}).encode())
    asked = Asked("p:1", UUID(int=1), [(NAME, payload)])
    return {"p:1": Request(asked, Told("p:1", end, "", entry_ids, at))}


def verdict(requests: dict[str, Request], *logs: list[Entry]) -> Verdict:
    """Judge histories that ended at 10, 20 ..., and the last one."""
    *before, log = logs
    ended = [EndedHistory(one, {}, 10.0 * at) for at, one in enumerate(before, start=1)]
    posted = {(0, str(one.entry_id)) for one in log}
    return judge(requests, ended, log, {}, posted)


def test_what_was_acknowledged_and_lost_on_purpose_is_told_and_not_lost() -> None:
    found = verdict(request("acknowledged", "7-0"), [entry(7)], [])
    assert (found.lost, found.invented, found.told) == ([], [], 1)


def test_what_was_acknowledged_and_is_in_no_log_is_lost() -> None:
    found = verdict(request("acknowledged", "7-0"), [], [])
    assert (len(found.lost), found.is_good) == (1, False)


def test_an_append_that_was_tried_again_after_the_loss_is_not_doubled() -> None:
    found = verdict(request("acknowledged", "9-0"), [entry(7)], [entry(9)])
    assert (found.lost, found.invented, found.told) == ([], [], 0)


def test_an_entry_that_is_there_twice_or_was_refused_is_invented() -> None:
    assert verdict(request("acknowledged", "7-0"), [entry(7), entry(8)]).invented
    assert verdict(request("refused"), [entry(7)]).invented


def test_an_append_is_refused_truly_by_the_history_that_came_after_the_one_that_took_it() -> None:
    assert verdict(request("refused", at=11.0), [entry(7)], []).invented == []
    assert verdict(request("refused", at=9.0), [entry(7)], []).invented
    assert verdict(request("refused", at=11.0), [], [entry(12)]).invented


def test_an_entry_that_the_webhook_never_posted_is_lost() -> None:
    found = judge(request("acknowledged", "7-0"), [], [entry(7)], {}, set())
    assert found.lost == ["webhook: entry 7-0 of partition 0: never posted"]


def test_a_traceback_and_an_end_that_nobody_explained_are_crashes(tmp_path: Path) -> None:
    output = tmp_path / "processes.log"
    output.write_text('{"event": "process_started"}\nError: no Redis at 127.0.0.1:1\n')
    assert list(crashes_in(output, {"a": 3}, {"a": 2})) == []
    assert list(crashes_in(output, {"a": 4}, {"a": 2})) != []
    output.write_text("  | Traceback (most recent call last):\n  |   File\n  | IndexError: no\n")
    assert list(crashes_in(output, {}, {})) == ["IndexError: no"]
