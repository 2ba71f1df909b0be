"""A run of the benchmarks, as it is kept: machine, versions, every figure of every round."""

import os
import platform
import subprocess
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from statistics import median
from time import perf_counter

import msgspec

from benchmarks.program import PEERS, ROOT

RESULTS = ROOT / "benchmarks" / "results"
LATEST = RESULTS / "latest.json"

_OURS = ("redis", "hiredis", "msgspec", "anyio", "aiohttp")
_PEERS = ("faststream", "taskiq", "taskiq-redis", "pydocket", "redis")
_VERSIONS = "import sys; from importlib.metadata import version as v; print(*map(v, sys.argv[1:]))"
_LOOPS = 2_000_000

Rounds = dict[str, list[float]]
"""Every figure of one side: a value for each round."""


class Machine(msgspec.Struct, frozen=True):
    """Where it ran: how busy it was before, and how its speed changed meanwhile.

    Attributes:
        loop_ms: Milliseconds of the same loop before each round: what varies is not ours.
    """

    cpu: str
    cores: int
    system: str
    load_before: float
    load_after: float
    loop_ms: list[float]


class Run(msgspec.Struct, frozen=True):
    """One run, with figures by case, side and figure; *is_short* where little was measured."""

    is_short: bool
    began_at: datetime
    took_s: float
    commit: str
    machine: Machine
    versions: dict[str, str]
    cases: dict[str, dict[str, Rounds]]
    failed: list[str]

    def values(self, case: str, side: str, figure: str) -> list[float]:
        """Return the values of all rounds; none where it was not measured."""
        return self.cases.get(case, {}).get(side, {}).get(figure, [])


def ratios(own: list[float], other: list[float]) -> list[float]:
    """Return the ratio within each round."""
    return [one / beside for one, beside in zip(own, other, strict=False) if beside]


def shown(values: list[float], unit: str = "") -> str:
    """Return the median, and the range of several values."""
    if not values:
        return "not measured"
    text = f"{number(median(values))}{unit}"
    if len(values) == 1:
        return text
    return f"{text} ({number(min(values))} to {number(max(values))})"


def number(value: float) -> str:
    """Return it with as many digits as tell something."""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}" if abs(value) < 10 else f"{value:.1f}"


def loop_ms() -> float:
    """Return milliseconds of a loop that is always the same."""
    began_at = perf_counter()
    for _ in range(_LOOPS):
        pass
    return (perf_counter() - began_at) * 1_000


def cpu_name() -> str:
    """Return the processor's name as Linux tells it, else as Python does."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def versions(server_version: str) -> dict[str, str]:
    """Return the versions of all that takes part."""
    found = {"Python": platform.python_version(), "server": server_version}
    found |= {name: version(name) for name in _OURS}
    if PEERS.exists():
        command = [str(PEERS), "-c", _VERSIONS, *_PEERS]
        done = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603 - ours
        installed = zip(_PEERS, done.stdout.split(), strict=True)
        found |= {f"{name} (peers)": one for name, one in installed}
    return found


def commit() -> str:
    """Return the commit that is measured, with a mark where the tree differs from it."""
    git = ["git", "-C", str(ROOT), "describe", "--always", "--dirty", "--exclude=*"]
    done = subprocess.run(git, capture_output=True, text=True, check=False)  # noqa: S603 - our own command
    return done.stdout.strip() or "unknown"


def load() -> float:
    """Return how many processes wanted a core in the last minute, on average."""
    return os.getloadavg()[0]


def now() -> datetime:
    """Return the time, to the second."""
    return datetime.now(UTC).replace(microsecond=0)


def read_run(path: Path = LATEST) -> Run:
    """Read a run that was kept."""
    return msgspec.json.decode(path.read_bytes(), type=Run)


def write_run(run: Run, path: Path = LATEST) -> None:
    """Keep a run."""
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(msgspec.json.format(msgspec.json.encode(run), indent=1) + b"\n")
