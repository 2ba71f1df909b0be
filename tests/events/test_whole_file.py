"""A file that is replaced: the old one or the new one, whole, whatever breaks."""

import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from events.archive.whole_file import TEMPORARY, replacing

parts = st.lists(st.binary(max_size=50), max_size=5)


def content(path: Path) -> bytes | None:
    return path.read_bytes() if path.exists() else None


class BreakError(Exception):
    """Something breaks while a file is written."""


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(before=st.none() | st.binary(max_size=50), written=parts, breaks=st.booleans())
def test_the_file_is_the_new_one_where_all_went_well_and_else_as_it_was(
    tmp_path: Path, *, before: bytes | None, written: list[bytes], breaks: bool
) -> None:
    path = tmp_path / "file"
    path.unlink(missing_ok=True)
    if before is not None:
        path.write_bytes(before)
    with suppress(BreakError), replacing(path) as file:
        for part in written:
            file.write(part)
        file.flush()
        assert content(path) == before
        if breaks:
            raise BreakError
    assert content(path) == (before if breaks else b"".join(written))
    assert [one for one in tmp_path.iterdir() if one != path] == []


def test_two_that_write_one_file_at_once_do_not_mix(tmp_path: Path) -> None:
    path = tmp_path / "file"
    with replacing(path) as first, replacing(path) as second:
        for _ in range(3):
            first.write(b"first")
            second.write(b"second")
    assert path.read_bytes() == b"first" * 3
    assert list(tmp_path.iterdir()) == [path]


def test_a_process_that_is_killed_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"before")
    script = (
        "import os, pathlib, signal, sys\n"
        "from events.archive.whole_file import replacing\n"
        "with replacing(pathlib.Path(sys.argv[1])) as file:\n"
        "    file.write(b'half')\n"
        "    file.flush()\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run([sys.executable, "-c", script, str(path)], check=False)
    assert done.returncode == -9
    assert path.read_bytes() == b"before"
    [left] = [one for one in tmp_path.iterdir() if one != path]
    assert left.name.endswith(TEMPORARY)


def test_a_folder_that_is_missing_is_an_error_of_the_system(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), replacing(tmp_path / "missing" / "file"):
        pass
