"""Starts a PostgreSQL server of our own: AppProxy's coordinator keeps its circuits there."""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import mkdtemp

from consumers.processes.appproxy.errors import AppProxyFailedError, NoAppProxyError

_START_TIMEOUT_S = 60.0
_STOP_TIMEOUT_S = 20.0
USER = "appproxy"
"""Whom the database belongs to; there is no password."""


@contextmanager
def postgresql(port: int) -> Iterator[None]:
    """Run a server at *port* with an empty database `postgres` during the block.

    Raises:
        NoAppProxyError: PostgreSQL is not installed.
        AppProxyFailedError: It does not start.
    """
    programs = postgresql_programs()
    user = _user()
    folder = Path(mkdtemp(prefix="appproxy-db-"))
    try:
        if user is not None:
            shutil.chown(folder, user)
        data = folder / "data"
        make = (
            *(programs / "initdb", "-D", data, "-U", USER, "-A", "trust"),
            *("-E", "UTF8", "--no-sync"),
        )
        subprocess.run(  # noqa: S603 - a program that was looked up
            make, check=True, capture_output=True, cwd="/", user=user
        )
        with (folder / "log").open("wb") as output:
            server = subprocess.Popen(  # noqa: S603 - a program that was looked up
                [
                    *(programs / "postgres", "-D", data, "-p", str(port), "-k", folder),
                    *("-h", "127.0.0.1", "-F", "-c", "max_connections=200"),
                ],
                stdout=output,
                stderr=output,
                cwd="/",
                user=user,
                start_new_session=True,
            )
        try:
            _until_ready(programs, port, server, folder / "log")
            yield
        finally:
            server.send_signal(signal.SIGINT)  # PostgreSQL's fast end
            try:
                server.wait(_STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def postgresql_programs() -> Path:
    """Return the folder of PostgreSQL's programs; Debian keeps them off PATH.

    Raises:
        NoAppProxyError: There is none.
    """
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    on_path = shutil.which("postgres")
    for folder in [*folders, *([Path(on_path).parent] if on_path else [])]:
        if (folder / "initdb").exists() and (folder / "postgres").exists():
            return folder
    raise NoAppProxyError("there is no PostgreSQL, which AppProxy's coordinator needs")


def _user() -> str | None:
    """Return whom the server runs as: it refuses to be root."""
    return "postgres" if os.geteuid() == 0 else None


def _until_ready(programs: Path, port: int, server: subprocess.Popen[bytes], log: Path) -> None:
    ask = (programs / "pg_isready", "-q", "-h", "127.0.0.1", "-p", str(port))
    deadline = time.monotonic() + _START_TIMEOUT_S
    while subprocess.run(ask, check=False).returncode:  # noqa: S603 - a program that was looked up
        if server.poll() is not None or time.monotonic() > deadline:
            raise AppProxyFailedError(f"PostgreSQL did not start: {log.read_text()[-600:]}")
        time.sleep(0.1)
