"""The soak test: `python -m tests.soak`, or `make soak`.

SOAK_S is for how many seconds faults happen (600), SOAK_SEED repeats their choice. The last line is
`N appended, N acknowledged, 0 lost, 0 invented, K faults`, the exit code 0 where all is well, 1
otherwise.
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

_SHOWN_MAX = 20


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
    wrong = [f"lost: {one}" for one in verdict.lost]
    wrong += [f"invented: {one}" for one in verdict.invented]
    wrong += [f"wrong: {one}" for one in soak.complaints]
    for one in wrong[:_SHOWN_MAX]:
        _say(one)
    if len(wrong) > _SHOWN_MAX:
        _say(f"and {len(wrong) - _SHOWN_MAX} more")
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
