"""The soak's short form, and the proof that it can fail."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LAST_LINE = re.compile(
    r"^(\d+) appended, (\d+) acknowledged, (\d+) lost, (\d+) invented, (\d+) faults$"
)


def soak(**settings: str) -> tuple[int, list[int], str]:
    """Run it; return its exit code, the five numbers of its last line, and all that it said."""
    environment = {**os.environ, **settings}
    command = [sys.executable, "-m", "tests.soak"]
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    found = LAST_LINE.match(done.stdout.splitlines()[-1])
    assert found is not None, done.stdout + done.stderr
    return done.returncode, [int(number) for number in found.groups()], done.stdout


@pytest.mark.timeout(400)
def test_through_a_minute_of_faults_nothing_is_lost_and_nothing_invented(
    tmp_path: Path,
) -> None:
    code, [appended, acknowledged, lost, invented, faults], said = soak(
        SOAK_S="60", TMPDIR=str(tmp_path)
    )

    assert (code, lost, invented) == (0, 0, 0), said
    assert appended >= acknowledged > 0
    assert faults >= 10


@pytest.mark.timeout(400)
@pytest.mark.parametrize(("tampering", "found"), [("delete", "lost"), ("invent", "invented")])
def test_what_is_tampered_with_is_found(tmp_path: Path, tampering: str, found: str) -> None:
    code, [_, _, lost, invented, _], said = soak(
        SOAK_S="0", SOAK_TAMPER=tampering, TMPDIR=str(tmp_path)
    )

    assert code == 1
    assert lost + invented >= 1, said
    assert f"{found}: entry " in said
