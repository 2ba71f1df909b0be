"""Starts a coordinator and a worker of AppProxy, and ends them by their ids."""

import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.error import URLError
from urllib.request import urlopen

from consumers.processes.appproxy.configuration import Ports, write_configuration
from consumers.processes.appproxy.errors import AppProxyFailedError, NoAppProxyError
from consumers.processes.appproxy.postgresql import USER, postgresql
from consumers.processes.port_block import port_block
from consumers.processes.started_program import (
    NotStartedError,
    kill_session,
    started_program,
)

_START_TIMEOUT_S = 90.0
_STOP_TIMEOUT_S = 15.0
_OTHER_PORTS = 8
"""Ports of a block that are no circuit's."""

_MODELS = "ai.backend.appproxy.coordinator.models:alembic"


class AppProxyServer:
    """One process: it renames itself and listens with SO_REUSEPORT, so only its id names it."""

    def __init__(self, python: Path, folder: Path, kind: str, port: int) -> None:
        self._command = (
            *(python, "-m", f"ai.backend.appproxy.{kind}.server"),
            *("-f", folder / f"{kind}.toml"),
        )
        self._folder = folder
        self._log = folder / f"{kind}.log"
        self._port = port
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, and return when it answers.

        Raises:
            AppProxyFailedError: It does not.
        """
        try:
            self._process = started_program(
                self._command,
                self._log,
                self._answers,
                timeout_s=_START_TIMEOUT_S,
                folder=self._folder,
            )
        except NotStartedError:
            raise AppProxyFailedError(
                f"{self._log.stem} did not start: {self.last_words}"
            ) from None

    def stop(self) -> None:
        """End it softly, with the processes that it has started."""
        if self._process is None:
            return
        self._process.send_signal(signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(_STOP_TIMEOUT_S)
        self.kill()

    def kill(self) -> None:
        """End it at once, as a crash would, with the processes of its session."""
        process, self._process = self._process, None
        if process is not None:
            kill_session(process)

    @property
    def last_words(self) -> str:
        """The end of what it logged."""
        return self._log.read_text(errors="replace")[-3_000:]

    def _answers(self) -> bool:
        try:
            with urlopen(f"http://127.0.0.1:{self._port}/status", timeout=2) as answer:
                return bool(answer.status == 200)
        except (URLError, OSError):
            return False


class AppProxy:
    """A coordinator with one worker, of one release."""

    def __init__(self, coordinator: AppProxyServer, worker: AppProxyServer, ports: Ports) -> None:
        self.coordinator = coordinator
        self.worker = worker
        self.ports = ports

    @property
    def url(self) -> str:
        """Where the coordinator's API is."""
        return f"http://127.0.0.1:{self.ports.coordinator}"


def release_of(python: Path) -> str:
    """Return which release of AppProxy's coordinator *python* has.

    Raises:
        NoAppProxyError: It has none.
    """
    package = "backend.ai-appproxy-coordinator"
    ask = f"import importlib.metadata as it; print(it.version({package!r}))"
    try:
        done = subprocess.run(  # noqa: S603 - the program that was given
            (python, "-c", ask), capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        raise NoAppProxyError(f"{python} is no Python that has {package} installed") from None
    return done.stdout.strip()


@contextmanager
def appproxy(python: Path, redis_port: int) -> Iterator[AppProxy]:
    """Run the AppProxy that *python* has during the block, on the Redis at *redis_port*.

    Raises:
        NoAppProxyError: It cannot be run here.
        AppProxyFailedError: It does not start.
    """
    release = release_of(python)
    with (
        port_block() as block,
        postgresql(block[0]),
        TemporaryDirectory(prefix="appproxy-") as made,
    ):
        folder = Path(made)
        ports = _ports(redis_port, block)
        write_configuration(folder, ports, USER, _MODELS)
        _make_tables(python, folder, release)
        coordinator = AppProxyServer(python, folder, "coordinator", ports.coordinator)
        worker = AppProxyServer(python, folder, "worker", ports.worker)
        try:
            coordinator.start()
            worker.start()
            yield AppProxy(coordinator, worker, ports)
        finally:
            worker.stop()
            coordinator.stop()


def _ports(redis: int, block: range) -> Ports:
    database, coordinator, worker, placeholder, *monitors = block[:_OTHER_PORTS]
    circuits = (block[_OTHER_PORTS], block[-1])
    return Ports(redis, database, coordinator, worker, tuple(monitors), circuits, placeholder)


def _make_tables(python: Path, folder: Path, release: str) -> None:
    command = (
        "ai.backend.appproxy.coordinator.cli -f coordinator.toml schema oneshot -f alembic.ini"
    )
    if release < "26":
        command = "alembic -c alembic.ini upgrade head"
    done = subprocess.run(  # noqa: S603 - the program that was given
        (python, "-m", *command.split()), cwd=folder, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise AppProxyFailedError((done.stdout + done.stderr)[-2_000:])
