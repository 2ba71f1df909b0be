"""The soak test: `python -m tests.soak`, or `make soak`.

SOAK_S is for how many seconds faults happen (600), SOAK_SEED repeats their choice. What the last
line counts: docs/soak.md. The exit code is 0 where all is well, 1 otherwise.
"""

import os
import shutil
import signal
import sys
from pathlib import Path
from random import Random, SystemRandom
from tempfile import mkdtemp

import anyio

from consumers.processes.logs import configure_logs
from tests.soak.soak import Soak

_SHOWN_MAX = 10


def main() -> int:
    """Run it, and say what came of it."""
    configure_logs("critical")
    # However it is ended, no server and no process is left behind.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    seed = int(os.environ.get("SOAK_SEED") or SystemRandom().randrange(2**32))
    seconds = float(os.environ.get("SOAK_S") or 600)
    folder = Path(mkdtemp(prefix="routestream-soak-"))
    _say(f"SOAK_SEED={seed} SOAK_S={seconds:g}")
    soak = Soak(Random(seed), seconds, _say, tampering=os.environ.get("SOAK_TAMPER"))
    verdict = anyio.run(soak.run, folder, seed)
    for what, found in (
        ("lost", verdict.lost),
        ("invented", verdict.invented),
        ("wrong document", verdict.wrong),
        ("wrong table", verdict.table),
        ("crash", verdict.crashes),
        ("wrong", soak.complaints),
    ):
        for one in found[:_SHOWN_MAX]:
            _say(f"{what}: {one}")
        if len(found) > _SHOWN_MAX:
            _say(f"{what}: and {len(found) - _SHOWN_MAX} more")
    is_good = verdict.is_good and not soak.complaints
    if is_good:
        shutil.rmtree(folder)
    else:
        _say(f"journals and logs are in {folder}")
    _say(verdict.line(soak.faults))
    return 0 if is_good else 1


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        _say("interrupted")
        sys.exit(130)
