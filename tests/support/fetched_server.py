"""Server programs that are fetched for tests: once, into `.servers/`, and never installed."""

import fcntl
import os
import subprocess
import sys
from hashlib import sha256
from pathlib import Path
from shutil import rmtree
from tempfile import TemporaryDirectory

FETCHED = ("redis-7.0", "redis-7.4", "redis-8.0", "valkey-8.1", "valkey-9.1")
ALSO_CALLED = {"valkey": "valkey-8.1"}
CACHE = Path(__file__).parents[2] / ".servers"

RECIPES = Path(__file__).parents[1] / "images"
_FETCH_TIMEOUT_S = 300.0


class NotFetchedError(Exception):
    """A server program that cannot be had here; the message says why."""


def server_tree(name: str) -> Path:
    """Return the folder with the server *name*, all that it needs, and `bin/redis-server`.

    It is fetched once for each state of the scripts that do so.

    Raises:
        NotFetchedError: It cannot be had.
    """
    name = ALSO_CALLED.get(name, name)
    if name not in FETCHED:
        raise NotFetchedError(
            f"a server is called {', '.join((*ALSO_CALLED, *FETCHED))}; not {name}"
        )
    recipes = b"".join(path.read_bytes() for path in sorted(RECIPES.glob("fetch_*")))
    tree = CACHE / f"{name}-{sha256(recipes).hexdigest()[:12]}"
    CACHE.mkdir(exist_ok=True)
    with (CACHE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not tree.exists():
            _fetch(name, tree)
    return tree


def _fetch(name: str, tree: Path) -> None:
    with TemporaryDirectory(dir=CACHE) as folder:
        fetched = Path(folder) / "tree"
        try:
            subprocess.run(
                [RECIPES / "fetch_server", name, fetched],
                check=True,
                capture_output=True,
                text=True,
                timeout=_FETCH_TIMEOUT_S,
                env={**os.environ, "PYTHON": sys.executable},
            )
        except subprocess.CalledProcessError as error:
            raise NotFetchedError(f"{name} cannot be fetched: {error.stderr.strip()}") from None
        except subprocess.TimeoutExpired:
            raise NotFetchedError(f"{name} was not fetched in {_FETCH_TIMEOUT_S:.0f} s") from None
        _write_program(fetched, tree)
        for older in CACHE.glob(f"{name}-*"):
            rmtree(older)
        fetched.rename(tree)


def _write_program(fetched: Path, tree: Path) -> None:
    """Write a program that starts the server with its own libraries, not with this machine's."""
    [found] = fetched.glob("usr/lib/*-linux-gnu/ld-linux-*.so.*")
    loader = tree / found.relative_to(fetched)
    server = tree / "usr" / "bin" / "redis-server"
    program = fetched / "bin" / "redis-server"
    program.parent.mkdir()
    program.write_text(
        f"#!/bin/sh\nexec '{loader}' --library-path '{loader.parent}' '{server}' \"$@\"\n"
    )
    program.chmod(0o755)
