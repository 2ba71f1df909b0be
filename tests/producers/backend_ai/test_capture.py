from pathlib import Path

import pytest

from producers.backend_ai import capture
from producers.backend_ai.capture import Command, UnreadableCaptureError, read_capture

GOOD = b'{"t": 0.5, "db": 2, "args": ["SET", "k", {"b64": "/wA="}]}\n'


def written(tmp_path: Path, content: bytes) -> Path:
    path = tmp_path / "traffic.jsonl"
    path.write_bytes(content)
    return path


def test_each_line_is_a_command_in_bytes(tmp_path: Path) -> None:
    commands = read_capture(written(tmp_path, GOOD + b"\n" + GOOD.rstrip()))

    assert list(commands) == [
        Command(1, 0.5, 2, (b"SET", b"k", b"\xff\x00")),
        Command(3, 0.5, 2, (b"SET", b"k", b"\xff\x00")),
    ]


def test_an_empty_file_holds_no_commands(tmp_path: Path) -> None:
    assert list(read_capture(written(tmp_path, b""))) == []


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        (b"not json", "malformed"),
        (b'{"t": 0', "truncated"),
        (b"[]", "Expected `object`"),
        (b'{"t": 0, "db": 2}', "`args`"),
        (b'{"t": 0, "db": 2, "args": []}', r"at `\$.args`"),
        (b'{"t": 0, "db": 2, "args": ["SET", 7]}', r"at `\$.args\[1\]`"),
        (b'{"t": 0, "db": 2, "args": [{"b64": "?"}]}', "base64"),
        (b'{"t": -1, "db": 2, "args": ["PING"]}', r"at `\$.t`"),
        (b'{"t": 1e300, "db": 2, "args": ["PING"]}', r"at `\$.t`"),
        (b'{"t": 0, "db": -2, "args": ["PING"]}', r"at `\$.db`"),
        (b'{"t": 0, "db": 2, "args": ["\xff"]}', "utf-8"),
        (b"\x00\xff\xfe" * 9, "malformed"),
        (b'{"x": ' + b"[" * 100_000, "recursion"),
    ],
)
def test_a_broken_line_is_named_after_the_good_ones_were_read(
    tmp_path: Path, line: bytes, problem: str
) -> None:
    commands = read_capture(written(tmp_path, GOOD + line + b"\n" + GOOD))

    assert next(commands).line == 1
    with pytest.raises(UnreadableCaptureError, match=rf"traffic\.jsonl, line 2: .*{problem}"):
        next(commands)


def test_a_line_without_end_is_not_read_into_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(capture, "LINE_BYTES_MAX", len(GOOD))
    path = written(tmp_path, GOOD + b" " + GOOD)
    commands = read_capture(path)

    assert next(commands).line == 1
    with pytest.raises(
        UnreadableCaptureError, match=f"line 2: it is longer than {len(GOOD)} bytes"
    ):
        next(commands)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(UnreadableCaptureError, match=r"nowhere\.jsonl: No such file"):
        next(read_capture(tmp_path / "nowhere.jsonl"))


def test_a_directory_is_no_capture(tmp_path: Path) -> None:
    with pytest.raises(UnreadableCaptureError, match="Is a directory"):
        next(read_capture(str(tmp_path)))
