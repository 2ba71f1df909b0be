"""The soak's short form, and the proof that it can fail."""

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[2]
LAST_LINE = re.compile(
    r"^(\d+) appended, (\d+) acknowledged, (\d+) lost, (\d+) invented, (\d+) wrong documents,"
    r" (\d+) wrong tables, (\d+) crashes, (\d+) lost on purpose and told, (\d+) faults$"
)


class Verdict(NamedTuple):
    """The numbers of the last line."""

    appended: int
    acknowledged: int
    lost: int
    invented: int
    wrong_documents: int
    wrong_tables: int
    crashes: int
    told: int
    faults: int


SEED = "12"
"""A change is judged by the same faults each time; `make soak` looks for others."""


def soak(**settings: str) -> tuple[int, Verdict, str]:
    """Run it; return its exit code, the numbers of its last line, and all that it said."""
    environment = {**os.environ, **settings}
    command = [sys.executable, "-m", "tests.soak"]
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    found = LAST_LINE.match(done.stdout.splitlines()[-1])
    assert found is not None, done.stdout + done.stderr
    return done.returncode, Verdict(*map(int, found.groups())), done.stdout


@pytest.mark.timeout(400)
def test_through_faults_nothing_is_lost_and_nothing_wrong_is_shown(tmp_path: Path) -> None:
    seed = os.environ.get("SOAK_SEED", SEED)
    code, verdict, said = soak(SOAK_S="20", SOAK_SEED=seed, TMPDIR=str(tmp_path))

    assert code == 0, said
    assert verdict[2:7] == (0, 0, 0, 0, 0), said
    assert verdict.appended >= verdict.acknowledged > 0
    assert verdict.told > 0
    assert verdict.faults >= 5


@pytest.mark.timeout(400)
@pytest.mark.parametrize(("tampering", "found"), [("delete", "lost"), ("invent", "invented")])
def test_what_is_tampered_with_is_found(tmp_path: Path, tampering: str, found: str) -> None:
    code, verdict, said = soak(SOAK_S="0", SOAK_TAMPER=tampering, TMPDIR=str(tmp_path))

    assert code == 1
    assert verdict.lost + verdict.invented >= 1, said
    assert f"{found}: entry " in said
