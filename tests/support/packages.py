"""Packages that add to routestream, installed into a folder for the time of a test."""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent


def install(source: Path, target: Path) -> None:
    """Install a package of this tree as `pip install` does, without a network."""
    options = ("--no-deps", "--no-build-isolation", "--no-index", "--quiet", "--target")
    command = [sys.executable, "-m", "pip", "install", *options, str(target), str(source)]
    subprocess.run(command, check=True, timeout=300)


def write_package(
    target: Path, name: str, entry_points: Mapping[str, Mapping[str, str]], code: str = ""
) -> None:
    """Write what installing a package of one module would leave in *target*."""
    target.mkdir(exist_ok=True)
    metadata = target / f"{name}-1.0.dist-info"
    metadata.mkdir()
    metadata.joinpath("METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    lines = [
        line
        for kind, points in entry_points.items()
        for line in (f"[routestream.{kind}]", *(f"{n} = {place}" for n, place in points.items()))
    ]
    metadata.joinpath("entry_points.txt").write_text("\n".join(lines) + "\n")
    target.joinpath(f"{name}.py").write_text(code)


def environment_with(target: Path | None, **more: str) -> dict[str, str]:
    """Return the environment of a program that finds what is installed in *target*, too."""
    path = {} if target is None else {"PYTHONPATH": str(target)}
    return {**os.environ, "ROUTESTREAM_METRICS_PORT": "0", "COLUMNS": "200", **path, **more}
